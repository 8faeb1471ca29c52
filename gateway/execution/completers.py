"""Writers of fields and completers of values: functions that write them to their places in the response.

graphql-core decides for each value anew what its type is and how to serialize it; here that is decided once, when the
operation is compiled. Leaves are still serialized by their own types, except for strings, ids and booleans that are
already what they have to be, ids that are UUIDs, and enum members, whose names are remembered.
"""

import enum
from collections.abc import Callable, ItemsView, Sequence, ValuesView
from functools import cache, partial
from typing import Any, Final
from uuid import UUID

from graphql import GraphQLEnumType, GraphQLID, GraphQLScalarType, Undefined

from gateway.execution.state import (
    UNCOUNTED_CHARACTERS,
    Completer,
    ExecutionState,
    Place,
    Position,
    Settled,
    Write,
    answer_of,
)
from gateway.usecases.batch_loader import MappedFuture

FieldWriter = Callable[[Any, ExecutionState, dict[str, Any], Place], None]
"""Writes one field of an object into the object's dict."""
Resolver = Callable[[Any, ExecutionState], Any]

_PLAIN_TYPES: Final[dict[str, type]] = {"String": str, "ID": str, "Boolean": bool}


def leaf_completer(leaf_type: GraphQLScalarType | GraphQLEnumType, position: Position) -> Completer:
    """Return the completer of a scalar or an enum."""
    write = leaf_write(leaf_type)

    def complete_leaf(value: Any, state: ExecutionState, container: Any, key: Any, parent: Place) -> None:
        if value is None:
            complete_null(position, state, container, key, parent)
            return
        try:
            container[key] = write(value, state)
        except Exception as error:  # noqa: BLE001 - any error is the field's
            state.fail(error, position, container, key, parent)

    return complete_leaf


def leaf_write(leaf_type: GraphQLScalarType | GraphQLEnumType, *, nullable: bool = False) -> Write:
    """Return the function that makes the JSON of a scalar or an enum; it raises where the value is none of the type."""
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


def list_completer(complete_item: Completer, position: Position) -> Completer:
    """Return the completer of a list, given the completer of its items."""

    def complete_list(value: Any, state: ExecutionState, container: Any, key: Any, parent: Place) -> None:
        if value is None:
            complete_null(position, state, container, key, parent)
        elif not isinstance(value, Sequence | ValuesView | ItemsView) or isinstance(value, str | bytes):
            error = TypeError(f"Expected Iterable, but did not find one for field '{position.name}'.")
            state.fail(error, position, container, key, parent)
        else:
            items = value if isinstance(value, Sequence) else tuple(value)  # introspection lists the views of dicts
            result = container[key] = [None] * len(items)
            complete_items(items, 0, state, complete_item, result, Place(parent, container, key, position))

    return complete_list


def complete_items(
    items: Sequence[Any],
    first: int,
    state: ExecutionState,
    complete_item: Completer,
    container: list[Any],
    place: Place,
) -> None:
    """Complete the items of a list from `first` on; when the turn is over, leave the rest for the next one."""
    for index in range(first, len(items)):
        if index > first and state.must_pause():
            state.rest.append(partial(complete_items, items, index, state, complete_item, container, place))
            return
        complete_item(items[index], state, container, index, place)


def abstract_completer(completers: dict[type, Completer], position: Position) -> Completer:
    """Return the completer of a union or an interface, given the completers of its types' Python classes."""

    def complete_abstract(value: Any, state: ExecutionState, container: Any, key: Any, parent: Place) -> None:
        if value is None:
            complete_null(position, state, container, key, parent)
            return
        complete = completers.get(type(value))
        if complete is None:
            error = TypeError(f"A {type(value).__name__} is none of the possible types of field {position.name}.")
            state.fail(error, position, container, key, parent)
            return
        complete(value, state, container, key, parent)

    return complete_abstract


def complete_null(position: Position, state: ExecutionState, container: Any, key: Any, parent: Place) -> None:
    """Write null, or fail where the type does not allow it."""
    if position.nullable:
        container[key] = None
    else:
        error = TypeError(f"Cannot return null for non-nullable field {position.name}.")
        state.fail(error, position, container, key, parent)


def typename_writer(key: str, name: str) -> FieldWriter:
    def write_typename(_source: Any, _state: ExecutionState, result: dict[str, Any], _place: Place) -> None:
        result[key] = name

    return write_typename


def attribute_writer(key: str, attribute: Callable[[Any], Any], complete: Completer, position: Position) -> FieldWriter:
    def write_attribute(source: Any, state: ExecutionState, result: dict[str, Any], place: Place) -> None:
        try:
            value = attribute(source)
        except Exception as error:  # noqa: BLE001 - any error is the field's
            state.fail(error, position, result, key, place)
            return
        complete(value, state, result, key, place)

    return write_attribute


def resolver_writer(key: str, resolve: Resolver, complete: Completer, position: Position) -> FieldWriter:
    def write_resolved(source: Any, state: ExecutionState, result: dict[str, Any], place: Place) -> None:
        try:
            value = resolve(source, state)
            if isinstance(value, MappedFuture) and value.batch.done:
                value = value.answer()
        except Exception as error:  # noqa: BLE001 - any error is the field's
            state.fail(error, position, result, key, place)
            return
        if hasattr(value.__class__, "__await__"):
            result[key] = None  # keeps the field's place among the others
            state.late.append((value, partial(_complete_late, complete, position, state, result, key, place)))
        else:
            complete(value, state, result, key, place)

    return write_resolved


def _complete_late(
    complete: Completer,
    position: Position,
    state: ExecutionState,
    result: dict[str, Any],
    key: str,
    place: Place,
    settled: Settled,
) -> None:
    try:
        value = answer_of(settled)
    except Exception as error:  # noqa: BLE001 - any error is the field's
        state.fail(error, position, result, key, place)
    else:
        complete(value, state, result, key, place)
