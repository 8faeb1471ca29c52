"""Operations compiled: what graphql-core works out anew for each value is worked out once for each document.

Which fields are selected of which type, how each is resolved, how each value is turned into what is encoded: all that
becomes functions. graphql-core still collects the fields, coerces arguments, and serializes all but the plainest
values.
"""

import asyncio
import enum
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, Final, cast

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    Undefined,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_scalar_type,
    is_union_type,
)
from graphql.execution.collect_fields import (
    CollectedFields,
    FieldDetails,
    FragmentDetails,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues, get_argument_values
from graphql.pyutils import Path
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_argument
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from gateway.execution.runner import Complete, ExecutionState, InvalidValue, Pending, RootField
from gateway.usecases.mapped_future import MappedFuture

_PLAIN_TYPES: Final[dict[str, type]] = {"String": str, "ID": str, "Boolean": bool}
_HELPERS = GraphQLResolveInfoHelpers(gather=lambda values: asyncio.gather(*values), track=lambda _values: None)

FieldWriter = Callable[[Any, ExecutionState, dict[str, Any]], None]
"""Puts one field of an object into a result."""
Resolve = Callable[[Any, ExecutionState], Any]


class NotCompiled(Exception):
    """This operation is none of those that are compiled."""


class Compiler:
    """Compiles one operation, for one set of answers to its directives' questions."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: dict[str, FragmentDetails],
        variable_values: VariableValues,
        *,
        most_fields: int,
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._fragments = fragments
        self._variable_values = variable_values
        self._most_fields = most_fields
        self.fields = 0
        """How many were compiled."""

    def root_fields(self) -> list[RootField]:
        """Return the operation's own fields, in order. Raises NotCompiled."""
        root_type = self._schema.get_root_type(self._operation.operation)
        if root_type is None:
            raise NotCompiled
        collected = collect_fields(self._schema, self._fragments, self._variable_values, root_type, self._operation)
        return [self._root_field(root_type, key, details) for key, details in _grouped(collected)]

    def _root_field(self, root_type: GraphQLObjectType, key: str, details: list[FieldDetails]) -> RootField:
        field = self._field(root_type, details)
        if field is None:
            return RootField(key, lambda _source, _run: root_type.name, lambda value, _run: value)
        # A subscription's own resolver opens the stream; what becomes of an event, the field's other function says.
        streams = self._operation.operation is OperationType.SUBSCRIPTION
        resolve = (self._asking if streams else self._resolving)(root_type, field, details)
        return RootField(key, resolve, self._complete(field.type, details))

    def _field(self, parent_type: GraphQLObjectType, details: list[FieldDetails]) -> GraphQLField | None:
        """Return the field's definition; None is `__typename`."""
        self.fields += 1
        name = details[0].node.name.value
        if self.fields > self._most_fields or any(each.fragment_variable_values for each in details):
            raise NotCompiled
        if name == "__typename":
            return None
        if name not in parent_type.fields:  # it asks for the schema
            raise NotCompiled
        field: GraphQLField = parent_type.fields[name]
        return field

    def _put(self, parent_type: GraphQLObjectType, key: str, details: list[FieldDetails]) -> FieldWriter:
        field = self._field(parent_type, details)
        if field is None:
            return _putting_constant(key, parent_type.name)
        complete = self._complete(field.type, details)
        definition = _definition(field)
        if definition.is_basic_field:
            return _putting_attribute(key, attrgetter(definition.python_name), complete)
        return _putting_answer(key, self._resolving(parent_type, field, details), complete)

    def _resolving(self, parent_type: GraphQLObjectType, field: GraphQLField, details: list[FieldDetails]) -> Resolve:
        if _is_called_directly(field, _definition(field)):
            return self._calling(parent_type, field, details)
        return self._asking(parent_type, field, details)

    def _asking(self, parent_type: GraphQLObjectType, field: GraphQLField, details: list[FieldDetails]) -> Resolve:
        """Resolve as graphql-core does: by its own signature, with coerced arguments."""
        resolve_field, node = cast("Callable[..., Any]", field.resolve), details[0].node

        def resolve(source: Any, run: ExecutionState) -> Any:
            known = run.infos.get(resolve)
            if known is None:
                arguments = get_argument_values(field, node, run.variable_values) if field.args else {}
                known = run.infos[resolve] = (self._info(parent_type, field, details, run), arguments)
            info, arguments = known
            return resolve_field(source, info, **arguments)

        return resolve

    def _calling(self, parent_type: GraphQLObjectType, field: GraphQLField, details: list[FieldDetails]) -> Resolve:
        """Call a resolver as Strawberry does, but for having found out how each time."""
        definition, node = _definition(field), details[0].node
        resolver = definition.base_resolver
        call, told = resolver.wrapped_func, resolver.info_parameter
        convert = self._converting(field, definition)

        def resolve(source: Any, run: ExecutionState) -> Any:
            arguments = run.infos.get(resolve)
            if arguments is None:
                arguments = convert(get_argument_values(field, node, run.variable_values)) if field.args else {}
                if told is not None:
                    raw_info = self._info(parent_type, field, details, run)
                    arguments[told.name] = Info(_raw_info=raw_info, _field=definition)
                run.infos[resolve] = arguments
            return call(source, **arguments)

        return resolve

    def _converting(
        self, field: GraphQLField, definition: StrawberryField
    ) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Turn coerced arguments into those of the resolver: scalars are that already."""
        strawberry_schema = self._schema._strawberry_schema  # type: ignore[attr-defined]  # noqa: SLF001 - the way back
        config, scalars = strawberry_schema.config, strawberry_schema.schema_converter.scalar_registry
        known = {config.name_converter.from_argument(argument): argument for argument in definition.arguments}
        plain = {name for name, argument in field.args.items() if is_scalar_type(get_nullable_type(argument.type))}

        def convert(given: dict[str, Any]) -> dict[str, Any]:
            return {
                known[name].python_name: value
                if name in plain
                else convert_argument(value, known[name].type, scalars, config, path=(name,))
                for name, value in given.items()
            }

        return convert

    def _info(
        self, parent_type: GraphQLObjectType, field: GraphQLField, details: list[FieldDetails], run: ExecutionState
    ) -> GraphQLResolveInfo[Any]:
        """Make what resolvers are told. It is one for all objects of a list: its path knows but the field's own key."""
        node = details[0].node
        return GraphQLResolveInfo(
            field_name=node.name.value,
            field_nodes=[each.node for each in details],
            return_type=field.type,
            parent_type=parent_type,
            path=Path(None, (node.alias or node.name).value, parent_type.name),
            schema=self._schema,
            fragments={name: fragment.definition for name, fragment in self._fragments.items()},
            root_value=run.root_value,
            operation=self._operation,
            variable_values=run.variable_values,
            context=run.context,
            is_awaitable=cast("Any", optimized_is_awaitable),
            abort_signal=None,
            async_helpers=_HELPERS,
        )

    def _complete(self, output_type: GraphQLOutputType, details: list[FieldDetails]) -> Complete:
        nullable_type = cast("GraphQLOutputType", get_nullable_type(output_type))
        allowing = _required if isinstance(output_type, GraphQLNonNull) else _optional
        if isinstance(nullable_type, GraphQLScalarType | GraphQLEnumType):
            return _completing_leaf(nullable_type, allowing)
        return allowing(self._complete_value(nullable_type, details))

    def _complete_value(self, output_type: GraphQLOutputType, details: list[FieldDetails]) -> Complete:
        match output_type:
            case GraphQLList():
                return _completing_list(self._complete(output_type.of_type, details))
            case GraphQLObjectType():
                return _completing_object(self._puts(output_type, details))
            case _ if is_abstract_type(output_type):
                return _completing_abstract(
                    {
                        _definition(possible_type).origin: _completing_object(self._puts(possible_type, details))
                        for possible_type in self._schema.get_possible_types(output_type)
                    }
                )
        raise NotCompiled

    def _puts(self, object_type: GraphQLObjectType, details: list[FieldDetails]) -> tuple[FieldWriter, ...]:
        collected = collect_subfields(
            self._schema, self._fragments, self._variable_values, self._operation, object_type, details
        )
        return tuple(self._put(object_type, key, each) for key, each in _grouped(collected))


def _grouped(collected: CollectedFields) -> Sequence[tuple[str, list[FieldDetails]]]:
    if collected.new_defer_usages or collected.forbidden_directive_instances:
        raise NotCompiled
    return tuple(collected.grouped_field_set.items())


def _definition(element: GraphQLField | GraphQLObjectType) -> Any:
    """Return what Strawberry made a field or a type from."""
    return element.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]


def _is_called_directly(field: GraphQLField, definition: StrawberryField) -> bool:
    """Tell whether Strawberry would do nothing but call: what it does to failures, it does to members of unions."""
    resolver = definition.base_resolver
    return (
        resolver is not None
        and not definition.extensions
        and not is_union_type(get_named_type(field.type))
        and resolver.self_parameter is not None
    )


def _putting_constant(key: str, value: str) -> FieldWriter:
    def put(_source: Any, _run: ExecutionState, result: dict[str, Any]) -> None:
        result[key] = value

    return put


def _putting_attribute(key: str, attribute: Callable[[Any], Any], complete: Complete) -> FieldWriter:
    def put(source: Any, run: ExecutionState, result: dict[str, Any]) -> None:
        result[key] = complete(attribute(source), run)

    return put


def _putting_answer(key: str, resolve: Resolve, complete: Complete) -> FieldWriter:
    def put(source: Any, run: ExecutionState, result: dict[str, Any]) -> None:
        value = resolve(source, run)
        if isinstance(value, MappedFuture) and value.future.done():
            value = value.then(value.future.result())
        if isinstance(value, Awaitable):
            result[key] = None  # its place among the others
            run.pending.append(Pending(value, complete, result, key))
        else:
            result[key] = complete(value, run)

    return put


def _required(complete: Complete) -> Complete:
    def complete_required(value: Any, run: ExecutionState) -> Any:
        if value is None:
            raise InvalidValue("null where there is none")
        return complete(value, run)

    return complete_required


def _optional(complete: Complete) -> Complete:
    def complete_optional(value: Any, run: ExecutionState) -> Any:
        return None if value is None else complete(value, run)

    return complete_optional


def _completing_list(complete_item: Complete) -> Complete:
    def complete(value: Any, run: ExecutionState) -> Any:
        if not isinstance(value, list | tuple):
            raise InvalidValue("no list")
        return [complete_item(item, run) for item in value]

    return complete


@cache
def _completing_leaf(
    leaf_type: GraphQLScalarType | GraphQLEnumType, allowing: Callable[[Complete], Complete]
) -> Complete:
    """Complete leaves of one type: one function for all fields that have it."""
    coerce = leaf_type.coerce_output_value
    plain_type = _PLAIN_TYPES.get(leaf_type.name)
    names: dict[enum.Enum, str] = {}

    def complete(value: Any, _run: ExecutionState) -> Any:
        coerced = coerce(value)
        if coerced is None or coerced is Undefined:
            raise InvalidValue("no such leaf")
        return coerced

    def complete_plain(value: Any, run: ExecutionState) -> Any:
        return value if type(value) is plain_type else complete(value, run)

    def complete_member(value: Any, run: ExecutionState) -> Any:
        name = names.get(value)
        if name is None:
            name = names[value] = complete(value, run)
        return name

    if isinstance(leaf_type, GraphQLEnumType):
        return allowing(complete_member)
    return allowing(complete if plain_type is None else complete_plain)


def _completing_object(puts: tuple[FieldWriter, ...]) -> Complete:
    def complete(value: Any, run: ExecutionState) -> Any:
        result: dict[str, Any] = {}
        for put in puts:
            put(value, run, result)
        return result

    return complete


def _completing_abstract(completes: dict[type, Complete]) -> Complete:
    def complete(value: Any, run: ExecutionState) -> Any:
        complete_member = completes.get(type(value))
        if complete_member is None:
            raise InvalidValue("none of the possible types")
        return complete_member(value, run)

    return complete
