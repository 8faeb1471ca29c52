"""Direct writers: functions that make the JSON of a selection from its source, and know of no errors.

What most operations do is copy attributes. For that the completers keep the place of every value and treat every
error, at the price of three calls for each field. An operation that runs for the third time gets one function for each
selection instead, whose Python is generated, so that an object becomes one dict display. Completed, a page of 20 with
its applications takes twice the CPU, its statements included (2026-11-26, `python -m tests.benchmarks.execution`).

A direct writer raises where anything is unusual: a null or a type that is not expected, or an error of a resolver. Then
`runner` begins the response anew with the completers, which make the same of all other values. The resolvers of the
root fields are not called again, so that no mutation is made twice; the loaders of the operation keep what was read.
"""

import enum
from collections.abc import ItemsView, Mapping, Sequence, ValuesView
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Final, cast
from uuid import UUID

from graphql import (
    GraphQLEnumType,
    GraphQLID,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    Undefined,
    get_named_type,
    get_nullable_type,
)
from graphql.execution.collect_fields import FieldDetails

from gateway.execution.resolvers import resolver
from gateway.execution.selections import Selections, Unusual, names_used, selected_parts
from gateway.execution.state import (
    UNCOUNTED_CHARACTERS,
    ExecutionState,
    Referenced,
    Settled,
    Write,
    Writer,
    answer_of,
)
from gateway.execution.strawberry_fields import attribute_of, names_of, possible_types, reference_of, rows_of
from gateway.usecases.batch_loader import MappedFuture
from gateway.usecases.rows import Reference

_ITEMS_PER_CHECK: Final = 16
"""Of a list, until it is checked whether the turn is over: the check takes 1 us, an item of 500 fields 100."""
_PLAIN_TYPES: Final[dict[str, type]] = {"String": str, "ID": str, "Boolean": bool}
_PLAIN: Final = {
    "String": f"__class__ is str and len(v) <= {UNCOUNTED_CHARACTERS}",
    "ID": "__class__ is str",
    "Boolean": "__class__ is bool",
    "Int": "__class__ is int and -2147483648 <= v <= 2147483647",
    "DateTime": "__class__ is datetime and v.tzinfo is UTC",
}
"""When a value `v` of a scalar is left to the encoder as it is; continues `v.`."""


def direct_writer(
    selections: Selections, output_type: GraphQLOutputType, details: list[FieldDetails], *, of_rows: bool = False
) -> Writer:
    """Return the writer of a field's value. What is below it is generated when the first object comes."""
    nullable = not isinstance(output_type, GraphQLNonNull)
    match get_nullable_type(output_type):
        case GraphQLScalarType() | GraphQLEnumType() as leaf_type:
            return Writer(leaf_write(leaf_type, nullable=nullable))
        case GraphQLList(of_type=item_type):
            return _list_writer(direct_writer(selections, item_type, details, of_rows=of_rows), nullable=nullable)
        case GraphQLObjectType() as object_type:
            return _ObjectWriter(selections, object_type, details, nullable=nullable, of_rows=of_rows)
        case abstract_type:
            possible = possible_types(selections.schema, abstract_type)
            writers = {
                source: _ObjectWriter(selections, each, details, nullable=False) for source, each in possible.items()
            }
            return _abstract_writer(writers, nullable=nullable)


def settle(value: Any, writer: Writer, container: Any, key: Any, state: ExecutionState) -> None:
    """Write what a resolver returned, now or when it is there."""
    if value.__class__ is MappedFuture and value.batch.done:
        container[key] = writer.write(value.answer(), state)
    elif hasattr(value.__class__, "__await__"):
        state.late.append((value, partial(_write_late, writer, container, key, state)))
    else:
        container[key] = writer.write(value, state)


def _write_late(writer: Writer, container: Any, key: Any, state: ExecutionState, settled: Settled) -> None:
    container[key] = writer.write(answer_of(settled), state)


def write_items(items: Sequence[Any], first: int, writer: Writer, result: list[Any], state: ExecutionState) -> None:
    """Write the items of a list from `first` on; when the turn is over, leave the rest for the next one."""
    for begin in range(first, len(items), _ITEMS_PER_CHECK):
        if begin > first and state.must_pause():
            state.rest.append(partial(write_items, items, begin, writer, result, state))
            return
        end, write = begin + _ITEMS_PER_CHECK, writer.write
        result[begin:end] = [write(item, state) for item in items[begin:end]]


class _ObjectWriter(Writer):
    """The writer of one type's selection, generated when its first object comes."""

    __slots__ = ("_details", "_nullable", "_of_rows", "_renamed", "_selections", "_type")

    def __init__(
        self,
        selections: Selections,
        object_type: GraphQLObjectType,
        details: list[FieldDetails],
        *,
        nullable: bool,
        of_rows: bool = False,
    ) -> None:
        self._selections = selections
        self._type = object_type
        self._details = details
        self._nullable = nullable
        self._of_rows = of_rows
        self._renamed: Mapping[str, str] = {}
        """The attributes of the source that stand for those of the type."""
        super().__init__(self._generate)

    def _generate(self, source: Any, state: ExecutionState) -> Any:
        if source is None and self._nullable:
            return None
        if self.write == self._generate:  # a list that has begun calls it again
            self.write = self._generated()
        return self.write(source, state)

    def _generated(self) -> Write:
        selected = self._selections.selected(self._type, self._details)
        self._selections.count_direct(len(selected))
        names: dict[str, Any] = {"Unusual": Unusual, "settle": settle, "datetime": datetime, "UTC": UTC, "UUID": UUID}
        members: list[str] = []
        statements: list[str] = []
        for at, (key, details) in enumerate(selected):
            value, statement = self._member(key, details, str(at), names)
            members.append(f"{key!r}: {value}")
            statements += [statement] if statement else []
        lines = [
            "def write(source, state):",
            f"    if source is None: {'return None' if self._nullable else 'raise Unusual'}",
            f"    result = {{{', '.join(members)}}}",
            *(f"    {statement}" for statement in statements),
            "    return result",
        ]
        exec("\n".join(lines), names)  # noqa: S102 - names of GraphQL and of our classes, and reprs of strings
        return names["write"]  # type: ignore[no-any-return]  # defined by what was executed

    def _member(self, key: str, details: list[FieldDetails], at: str, names: dict[str, Any]) -> tuple[str, str]:
        """Return the Python of a field's value, and of a statement that follows; add the names that they use."""
        if details[0].node.name.value == "__typename":
            return repr(self._type.name), ""
        selections = self._selections
        field = selections.definition(self._type, details)
        attribute, reference, rows = attribute_of(field), reference_of(field), None
        if attribute is None and reference is None:
            names[f"write_{at}"] = direct_writer(selections, field.type, details)
            names[f"resolve_{at}"] = resolver(selections, self._type, field, details)
            return "None", f"settle(resolve_{at}(source, state), write_{at}, result, {key!r}, state)"
        if reference is not None:
            return self._referenced(key, details, reference, at, names)
        rows = rows_of(self._type, field)
        if rows is not None and "whole" not in selected_parts(selections, field, details, rows.columns):
            names[f"write_{at}"] = direct_writer(selections, field.type, details, of_rows=True)
            return f"write_{at}.write(source.{rows.attribute}, state)", ""
        if isinstance(leaf_type := get_nullable_type(field.type), GraphQLEnumType):
            names[f"names_{at}"] = enum_names(leaf_type, nullable=not isinstance(field.type, GraphQLNonNull))
        names[f"write_{at}"] = direct_writer(selections, field.type, details)
        value = self._value(str(attribute))
        return (_column(field.type, value, at) if self._of_rows else _expression(field.type, value, at)), ""

    def _referenced(
        self, key: str, details: list[FieldDetails], reference: Reference, at: str, names: dict[str, Any]
    ) -> tuple[str, str]:
        """Do as `_member` for an object that is looked up, unless the source has all that is selected of it."""
        selections = self._selections
        field = selections.definition(self._type, details)
        names[f"referenced_{at}"] = Referenced(reference.cache, key, direct_writer(selections, field.type, details))
        look_up = f"state.references[referenced_{at}].append(({self._value(reference.id)}, result))"
        own_names = names_of(self._type, field)
        used = own_names and names_used(selections, field, details, own_names)
        if own_names is None or used is None:
            return "None", look_up
        referenced = cast("GraphQLObjectType", get_named_type(field.type))
        own = _ObjectWriter(selections, referenced, details, nullable=False, of_rows=self._of_rows)
        own._renamed = own_names.attributes
        selected = selections.selected(referenced, details)
        selections.count_direct(len(selected))
        members = [
            f"{key!r}: {own._member(key, each, f'{at}_{number}', names)[0]}"
            for number, (key, each) in enumerate(selected)
        ]
        written = f"{{{', '.join(members)}}}"
        if self._of_rows or used <= {reference.id}:
            return written, ""
        missing = f"source.{min(used - {reference.id})} is None"
        return f"None if {missing} else {written}", f"if {missing}: {look_up}"

    def _value(self, attribute: str) -> str:
        attribute = self._renamed.get(attribute, attribute)
        return f"source[{attribute!r}]" if self._of_rows else f"source.{attribute}"


def _column(output_type: GraphQLOutputType, value: str, at: str) -> str:
    """Return the Python of a column's JSON."""
    leaf_type = get_nullable_type(output_type)
    if leaf_type is GraphQLID:
        return f"str({value})"
    return value if isinstance(leaf_type, GraphQLEnumType) else _expression(output_type, value, at)


def _expression(output_type: GraphQLOutputType, value: str, at: str) -> str:
    """Return the Python of an attribute's JSON: inline where a leaf is as usual."""
    leaf_type = get_nullable_type(output_type)
    if isinstance(leaf_type, GraphQLEnumType):
        return f"names_{at}[{value}]"
    plain = _PLAIN.get(leaf_type.name) if isinstance(leaf_type, GraphQLScalarType) else None
    if plain is None:
        return f"write_{at}.write({value}, state)"
    otherwise = f"write_{at}.write(v, state)"
    if leaf_type is GraphQLID:
        otherwise = f"str(v) if isinstance(v, UUID) else {otherwise}"
    return f"v if (v := {value}).{plain} else {otherwise}"


def leaf_write(leaf_type: GraphQLScalarType | GraphQLEnumType, *, nullable: bool = False) -> Write:
    """Return the function that makes the JSON of a scalar or an enum; it raises where the value is none of the type.

    Leaves are serialized by their own types, except for strings, ids and booleans that are already what they have to
    be, ids that are UUIDs, and enum members, whose names are remembered.
    """
    is_enum = isinstance(leaf_type, GraphQLEnumType)
    serialize = enum_names(leaf_type).__getitem__ if is_enum else leaf_type.coerce_output_value
    plain_type = _PLAIN_TYPES.get(leaf_type.name)
    text_type = UUID if leaf_type is GraphQLID else None

    def write_leaf(value: Any, state: ExecutionState) -> Any:
        if value is None and nullable:
            return None
        if isinstance(value, str) and len(value) > UNCOUNTED_CHARACTERS:
            state.characters += len(value)
        if type(value) is plain_type:
            return value
        if type(value) is text_type:
            return str(value)
        coerced = serialize(value)
        if value is None or coerced is None or coerced is Undefined:
            raise TypeError(f"Expected a value of {leaf_type.name}, but received {value!r}.")
        return coerced

    return write_leaf


class EnumNames(dict[enum.Enum | None, Any]):
    """The names of an enum's members, as far as they were needed; and None for None, where it is nullable."""

    def __init__(self, leaf_type: GraphQLEnumType, *, nullable: bool = False) -> None:
        super().__init__({None: None} if nullable else {})
        self._coerce = leaf_type.coerce_output_value

    def __missing__(self, value: enum.Enum) -> Any:
        name = self[value] = self._coerce(value)
        return name


enum_names = cache(EnumNames)
"""The names of one enum: all its fields share them."""


def _list_writer(item: Writer, *, nullable: bool) -> Writer:
    def write_list(value: Any, state: ExecutionState) -> Any:
        if value.__class__ is not list:
            if value is None and nullable:
                return None
            if not isinstance(value, Sequence | ValuesView | ItemsView) or isinstance(value, str | bytes):
                raise Unusual
            value = list(value)  # introspection lists the views of dicts
        result: list[Any] = [None] * len(value)
        write_items(value, 0, item, result, state)
        return result

    return Writer(write_list)


def _abstract_writer(writers: dict[type, _ObjectWriter], *, nullable: bool) -> Writer:
    def write_abstract(value: Any, state: ExecutionState) -> Any:
        writer = writers.get(value.__class__)
        if writer is not None:
            return writer.write(value, state)
        if value is None and nullable:
            return None
        raise Unusual

    return Writer(write_abstract)
