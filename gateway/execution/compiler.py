"""Compiles operations: what graphql-core works out anew for each value is worked out once for each document.

The selected fields, their resolvers and the completion of their values become functions. Measured on 2026-11-22: a
point query took 46 us compiled and 546 us by graphql-core, a page of 20 with its applications 303 us and 2,578 us
(`python -m tests.benchmarks.execution` measures both in one run). There is no production-ready compiled executor for
Python to depend on, which is why this one exists.

graphql-core still collects the fields, coerces variables and arguments, and serializes leaves; it never executes, so
that no operation runs without the limits of `runner`. tests/api/test_compiled_operations.py compares the responses of
both byte by byte, errors included.

The selection of a type is compiled when its first object comes: nested interfaces would otherwise be compiled for
every combination of their types.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from operator import attrgetter
from typing import Any, Final, cast

from graphql import (
    DirectiveNode,
    DocumentNode,
    GraphQLAbstractType,
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
    VariableNode,
    Visitor,
    get_named_type,
    get_nullable_type,
    is_scalar_type,
    is_union_type,
    located_error,
    print_ast,
    visit,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues, get_argument_values, get_variable_values
from graphql.pyutils import Path
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_argument
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from gateway.execution.completers import (
    FieldWriter,
    Resolver,
    abstract_completer,
    attribute_writer,
    complete_null,
    leaf_completer,
    list_completer,
    resolver_writer,
    typename_writer,
)
from gateway.execution.errors import InvalidDocument
from gateway.execution.fragments import fragments_of
from gateway.execution.runner import Completer, ExecutionState, Groups, Place, Position, RootField

_MAX_VARIANTS: Final = 8
_MAX_COERCION_ERRORS: Final = 10
_MIN_COMPILED_FIELDS: Final = 60
_CHARACTERS_PER_COMPILED_FIELD: Final = 8
"""A compiled field takes 1.3 kB, and fragments that spread each other can stand for any number of fields: the fields
that are kept of a document are bounded by the length of its source. Beyond, an operation is compiled for each run."""
_HELPERS: Final = GraphQLResolveInfoHelpers(gather=lambda values: asyncio.gather(*values), track=lambda _values: None)


class CompiledOperation:
    """One operation of a document, compiled when it first runs: once for each combination of its conditional variables.

    Conditional variables are those that `@skip` and `@include` use. Nothing is kept of a caller's other variables.
    """

    def __init__(
        self, schema: GraphQLSchema, source: str, document: DocumentNode, operation: OperationDefinitionNode
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._fragments = {name: FragmentDetails(node) for name, node in fragments_of(document).items()}
        self._conditional = _conditional_variables(document)
        self._fields_left = _MIN_COMPILED_FIELDS + len(source) // _CHARACTERS_PER_COMPILED_FIELD
        self._variants: dict[tuple[Any, ...], Groups] = {}

    def coerced(self, variables: Mapping[str, Any] | None, *, hide_suggestions: bool = False) -> VariableValues:
        """Coerce a caller's variables. Raises InvalidDocument."""
        values = get_variable_values(
            self._schema,
            self._operation.variable_definitions or (),
            cast("dict[str, Any]", variables or {}),
            max_errors=_MAX_COERCION_ERRORS,
            hide_suggestions=hide_suggestions,
        )
        if isinstance(values, list):
            raise InvalidDocument(values)
        return values

    def variant(self, values: VariableValues) -> Groups:
        """Return the root fields for these variables."""
        key = tuple([values.coerced.get(name) for name in self._conditional])
        groups = self._variants.get(key)
        if groups is None:
            groups = self._compiler(values, key).root_fields()
            if len(self._variants) < _MAX_VARIANTS and self._fields_left > 0:
                self._variants[key] = groups
        return groups

    async def subscribe(self, state: ExecutionState) -> AsyncIterator[Any]:
        """Open the source of a subscription's events. Raises GraphQLError with the field's path."""
        return await self._compiler(state.variable_values, ()).subscribe(state)

    def _compiler(self, values: VariableValues, key: tuple[Any, ...]) -> "_Compiler":
        conditional = VariableValues(
            sources={name: source for name, source in values.sources.items() if name in self._conditional},
            coerced={name: value for name, value in values.coerced.items() if name in self._conditional},
        )

        def count_field() -> None:
            self._fields_left -= 1
            if self._fields_left == 0:
                self._variants.pop(key, None)

        return _Compiler(
            schema=self._schema,
            operation=self._operation,
            fragments=self._fragments,
            conditional=conditional,
            count_field=count_field,
        )


def _conditional_variables(document: DocumentNode) -> tuple[str, ...]:
    used: dict[str, None] = {}

    class InDirectives(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: object) -> None:
            for argument in node.arguments or ():
                if isinstance(argument.value, VariableNode):
                    used[argument.value.name.value] = None

    visit(document, InDirectives())
    return tuple(used)


@dataclass(kw_only=True, eq=False)
class _Compiler:
    """Compiles an operation for one combination of its conditional variables."""

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDetails]
    conditional: VariableValues
    count_field: Callable[[], None]
    """Called for each field that is compiled."""

    def root_fields(self) -> Groups:
        """Compile the root fields; the selections below are compiled as they are needed."""
        root_type, grouped = self._root()
        fields = [self._root_field(root_type, key, details) for key, details in grouped]
        return [[field] for field in fields] if self.operation.operation is OperationType.MUTATION else [fields]

    async def subscribe(self, state: ExecutionState) -> AsyncIterator[Any]:
        """Call the resolver that opens the source of the events. Raises GraphQLError."""
        root_type, ((key, details),) = self._root()
        field, node = self._definition(root_type, details), details[0].node
        try:
            arguments = get_argument_values(field, node, state.variable_values)
            source = cast("Any", field.subscribe)(None, self._info(root_type, field, details, state), **arguments)
            return aiter(await source if isinstance(source, Awaitable) else source)
        except Exception as error:
            raise located_error(error, [each.node for each in details], [key]) from error

    def _root(self) -> tuple[GraphQLObjectType, Sequence[tuple[str, list[FieldDetails]]]]:
        root_type = cast("GraphQLObjectType", self.schema.get_root_type(self.operation.operation))
        collected = collect_fields(self.schema, self.fragments, self.conditional, root_type, self.operation)
        return root_type, tuple(collected.grouped_field_set.items())

    def _root_field(self, root_type: GraphQLObjectType, key: str, details: list[FieldDetails]) -> RootField:
        self.count_field()
        field = self._definition(root_type, details)
        position = _position(root_type, field, details)
        if self.operation.operation is OperationType.SUBSCRIPTION:
            # `subscribe` has opened the stream; `field.resolve` takes an event of it, and needs nothing else.
            resolve = cast("Resolver", field.resolve)
        else:
            resolve = self._resolver(root_type, field, details)
        return RootField(key, position, resolve, self._completer(field.type, details, position))

    def _definition(self, parent_type: GraphQLObjectType, details: list[FieldDetails]) -> GraphQLField:
        """Return the definition of a field that validation has found in the schema, introspection included."""
        return cast("GraphQLField", self.schema.get_field(parent_type, details[0].node.name.value))

    def _writer(self, parent_type: GraphQLObjectType, key: str, details: list[FieldDetails]) -> FieldWriter:
        self.count_field()
        if details[0].node.name.value == "__typename":
            return typename_writer(key, parent_type.name)
        field = self._definition(parent_type, details)
        position = _position(parent_type, field, details)
        complete = self._completer(field.type, details, position)
        definition = _strawberry_definition(field)
        if definition is not None and definition.is_basic_field:
            return attribute_writer(key, attrgetter(definition.python_name), complete, position)
        return resolver_writer(key, self._resolver(parent_type, field, details), complete, position)

    def _resolver(self, parent_type: GraphQLObjectType, field: GraphQLField, details: list[FieldDetails]) -> Resolver:
        """Return a function that calls a field's resolver; its arguments are made once in a run.

        A direct call is what Strawberry would do after having worked out how to call the resolver. Equal fields, as
        aliases are, share the arguments.
        """
        definition, node = _strawberry_definition(field), details[0].node
        direct = definition is not None and _is_called_directly(field, definition)
        call = cast("Callable[..., Any]", definition.base_resolver.wrapped_func if direct else field.resolve)
        convert = self._argument_converter(field, definition) if direct else None
        info_parameter = definition.base_resolver.info_parameter if direct else None
        written = (parent_type.name, node.name.value, *(print_ast(argument) for argument in node.arguments or ()))

        def bind(state: ExecutionState) -> tuple[tuple[Any, ...], dict[str, Any]]:
            arguments: dict[str, Any] | None = state.arguments.get(written)
            if arguments is None:
                arguments = get_argument_values(field, node, state.variable_values) if field.args else {}
                if convert is not None:
                    arguments = dict(starmap(convert, arguments.items()))
                state.arguments[written] = arguments
            if not direct:
                return (self._info(parent_type, field, details, state),), arguments
            if info_parameter is not None:
                raw_info = self._info(parent_type, field, details, state)
                arguments = {**arguments, info_parameter.name: Info(_raw_info=raw_info, _field=definition)}
            return (), arguments

        def resolve(source: Any, state: ExecutionState) -> Any:
            bound = state.arguments.get(resolve)
            if bound is None:
                bound = state.arguments[resolve] = bind(state)
            return call(source, *bound[0], **bound[1])

        return resolve

    def _argument_converter(
        self, field: GraphQLField, definition: StrawberryField
    ) -> Callable[[str, Any], tuple[str, Any]]:
        """Return a function from a coerced argument to the resolver's: its Python name, and inputs as their classes."""
        strawberry_schema = self.schema._strawberry_schema  # type: ignore[attr-defined]  # noqa: SLF001 - the way back
        config, scalars = strawberry_schema.config, strawberry_schema.schema_converter.scalar_registry
        known = {config.name_converter.from_argument(argument): argument for argument in definition.arguments}
        scalar = {name for name, argument in field.args.items() if is_scalar_type(get_nullable_type(argument.type))}

        def convert(name: str, value: Any) -> tuple[str, Any]:
            argument = known[name]
            if name not in scalar:
                value = convert_argument(value, argument.type, scalars, config, path=(name,))
            return argument.python_name, value

        return convert

    def _info(
        self, parent_type: GraphQLObjectType, field: GraphQLField, details: list[FieldDetails], state: ExecutionState
    ) -> GraphQLResolveInfo[Any]:
        """Make the info that resolvers take. All objects of a list share it: its path has the field's key alone."""
        node = details[0].node
        return GraphQLResolveInfo(
            field_name=node.name.value,
            field_nodes=[each.node for each in details],
            return_type=field.type,
            parent_type=parent_type,
            path=Path(None, (node.alias or node.name).value, parent_type.name),
            schema=self.schema,
            fragments={name: fragment.definition for name, fragment in self.fragments.items()},
            root_value=state.root_value,
            operation=self.operation,
            variable_values=state.variable_values,
            context=state.context,
            is_awaitable=cast("Any", optimized_is_awaitable),
            abort_signal=None,
            async_helpers=_HELPERS,
        )

    def _completer(self, output_type: GraphQLOutputType, details: list[FieldDetails], position: Position) -> Completer:
        match get_nullable_type(output_type):
            case GraphQLScalarType() | GraphQLEnumType() as leaf_type:
                return leaf_completer(leaf_type, position)
            case GraphQLList(of_type=item_type):
                item = position._replace(nullable=not isinstance(item_type, GraphQLNonNull))
                return list_completer(self._completer(item_type, details, item), position)
            case GraphQLObjectType() as object_type:
                return self._object_completer(object_type, details, position)
            case abstract_type:
                possible_types = self.schema.get_possible_types(cast("GraphQLAbstractType", abstract_type))
                return abstract_completer(
                    {
                        _source_type(possible): self._object_completer(possible, details, position)
                        for possible in possible_types
                    },
                    position,
                )

    def _object_completer(
        self, object_type: GraphQLObjectType, details: list[FieldDetails], position: Position
    ) -> Completer:
        writers: tuple[FieldWriter, ...] | None = None

        def complete_object(value: Any, state: ExecutionState, container: Any, key: Any, parent: Place) -> None:
            nonlocal writers
            if value is None:
                complete_null(position, state, container, key, parent)
                return
            if writers is None:
                writers = self._writers(object_type, details)
            place = Place(parent, container, key, position)
            result: dict[str, Any] = {}
            container[key] = result
            for write in writers:
                write(value, state, result, place)

        return complete_object

    def _writers(self, object_type: GraphQLObjectType, details: list[FieldDetails]) -> tuple[FieldWriter, ...]:
        collected = collect_subfields(
            self.schema, self.fragments, self.conditional, self.operation, object_type, details
        )
        return tuple(self._writer(object_type, key, each) for key, each in collected.grouped_field_set.items())


def _position(parent_type: GraphQLObjectType, field: GraphQLField, details: list[FieldDetails]) -> Position:
    nodes = [each.node for each in details]
    return Position(f"{parent_type.name}.{nodes[0].name.value}", nodes, not isinstance(field.type, GraphQLNonNull))


def _strawberry_definition(element: GraphQLField | GraphQLObjectType) -> Any:
    """Return the Strawberry definition of a field or a type; None for introspection."""
    return element.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)


def _source_type(object_type: GraphQLObjectType) -> type:
    """Return the class of the objects that a type describes: its own class, unless it names another one."""
    origin = _strawberry_definition(object_type).origin
    return cast("type", getattr(origin, "source_type", origin))


def _is_called_directly(field: GraphQLField, definition: StrawberryField) -> bool:
    """Return whether Strawberry would only call the resolver. It handles exceptions where the type is a union."""
    resolver = definition.base_resolver
    return (
        resolver is not None
        and not definition.extensions
        and not is_union_type(get_named_type(field.type))
        and resolver.self_parameter is not None
    )
