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
from operator import attrgetter
from typing import Any, Final, TypeVar, cast

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
    get_nullable_type,
    located_error,
    print_ast,
    visit,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues, get_argument_values
from graphql.pyutils import Path
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.execution import optimized_is_awaitable

from gateway.execution.arguments import argument_converter, arguments_reader
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
from gateway.execution.direct import Unusual, direct_writer, needed_parts
from gateway.execution.fragments import fragments_of
from gateway.execution.state import Completer, ExecutionState, Groups, Place, Position, RootField, WarmWriter
from gateway.execution.strawberry_fields import (
    ExpectedFailures,
    expected_failures,
    is_called_directly,
    strawberry_definition,
)
from gateway.execution.variables import Variables
from gateway.schema.context import FieldInfo
from gateway.usecases.rows import NamesOf, Reference, RowsOf

Result = TypeVar("Result")
_MAX_VARIANTS: Final = 8
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
        self.variables = Variables(schema, operation.variable_definitions or ())
        self._conditional = _conditional_variables(document)
        self._fields_left = self._most_fields = _MIN_COMPILED_FIELDS + len(source) // _CHARACTERS_PER_COMPILED_FIELD
        self._variants: dict[tuple[Any, ...], Groups] = {}

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
            direct_left=self._most_fields,
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
    direct_left: int
    """How many fields may have direct writers."""

    def root_fields(self) -> Groups:
        """Compile the root fields; the selections below are compiled as they are needed."""
        root_type, grouped = self._root()
        fields = [self._root_field(root_type, key, details) for key, details in grouped]
        return [[field] for field in fields] if self.operation.operation is OperationType.MUTATION else [fields]

    async def subscribe(self, state: ExecutionState) -> AsyncIterator[Any]:
        """Call the resolver that opens the source of the events. Raises GraphQLError."""
        root_type, ((key, details),) = self._root()
        field, node = self.definition(root_type, details), details[0].node
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
        field = self.definition(root_type, details)
        position = _position(root_type, field, details)
        if self.operation.operation is OperationType.SUBSCRIPTION:
            # `subscribe` has opened the stream; `field.resolve` takes an event of it, and needs nothing else.
            resolve = cast("Resolver", field.resolve)
        else:
            resolve = self.resolver(root_type, field, details)
        direct = WarmWriter(lambda: direct_writer(self, field.type, details))
        return RootField(key, position, resolve, self._completer(field.type, details, position), direct)

    def definition(self, parent_type: GraphQLObjectType, details: list[FieldDetails]) -> GraphQLField:
        """Return the definition of a field that validation has found in the schema, introspection included."""
        return cast("GraphQLField", self.schema.get_field(parent_type, details[0].node.name.value))

    def count_direct(self, fields: int) -> None:
        """Count fields whose direct writers are kept. Raises Unusual where they would be too many."""
        self.direct_left -= fields
        if self.direct_left < 0:
            raise Unusual

    def attribute(self, field: GraphQLField) -> str | None:
        """Return the name of the source's attribute that the field is; None where it has a resolver."""
        definition = strawberry_definition(field)
        return definition.python_name if definition is not None and definition.is_basic_field else None

    def reference(self, field: GraphQLField) -> Reference | None:
        """Return what the field's resolver only looks up: its attribute `reference`."""
        definition = strawberry_definition(field)
        resolver = definition and definition.base_resolver
        return getattr(resolver.wrapped_func, "reference", None) if resolver else None

    def names(self, parent_type: GraphQLObjectType, field: GraphQLField) -> NamesOf | None:
        """Return what sources may have of what the field refers to: what its parent's class calls `names`."""
        found: Mapping[str, NamesOf] = getattr(strawberry_definition(parent_type).origin, "names", {})
        return found.get(strawberry_definition(field).python_name)

    def rows(self, parent_type: GraphQLObjectType, field: GraphQLField) -> RowsOf | None:
        """Return where the rows are of which the field's objects are made: what its parent's class calls `rows`."""
        definition = strawberry_definition(parent_type)
        attribute = self.attribute(field)
        return None if definition is None else getattr(definition.origin, "rows", {}).get(attribute)

    def has_rows(self, object_type: GraphQLObjectType) -> bool:
        """Return whether any field of the type has rows."""
        definition = strawberry_definition(object_type)
        return definition is not None and hasattr(definition.origin, "rows")

    def possible_types(self, abstract_type: GraphQLAbstractType) -> dict[type, GraphQLObjectType]:
        """Return the types of an interface or a union, by the classes of their sources."""
        return {_source_type(possible): possible for possible in self.schema.get_possible_types(abstract_type)}

    def _writer(self, parent_type: GraphQLObjectType, key: str, details: list[FieldDetails]) -> FieldWriter:
        self.count_field()
        if details[0].node.name.value == "__typename":
            return typename_writer(key, parent_type.name)
        field = self.definition(parent_type, details)
        position = _position(parent_type, field, details)
        complete = self._completer(field.type, details, position)
        attribute = self.attribute(field)
        if attribute is not None:
            return attribute_writer(key, attrgetter(attribute), complete, position)
        return resolver_writer(key, self.resolver(parent_type, field, details), complete, position)

    def resolver(self, parent_type: GraphQLObjectType, field: GraphQLField, details: list[FieldDetails]) -> Resolver:
        """Return a function that calls a field's resolver; its arguments are made once in a run.

        A direct call is what Strawberry would do after having worked out how to call the resolver. Equal fields, as
        aliases are, share the arguments.
        """
        definition, node = strawberry_definition(field), details[0].node
        direct = is_called_directly(definition)
        call = cast("Callable[..., Any]", definition.base_resolver.wrapped_func if direct else field.resolve)
        convert = argument_converter(self.schema, field, definition) if direct else None
        info_parameter = definition.base_resolver.info_parameter if direct else None
        failures = expected_failures(self.schema, definition) if direct else ()
        read = arguments_reader(field, node)
        parts = needed_parts(self, field, details)
        written = (parent_type.name, node.name.value, *(print_ast(argument) for argument in node.arguments or ()))

        def bind(state: ExecutionState) -> tuple[tuple[Any, ...], dict[str, Any]]:
            arguments: dict[str, Any] | None = state.arguments.get(written) if field.args else {}
            if arguments is None:
                arguments = read(state.variable_values)
                if convert is not None:
                    arguments = convert(arguments)
                state.arguments[written] = arguments
            if not direct:
                return (self._info(parent_type, field, details, state),), arguments
            if info_parameter is not None:
                info = FieldInfo(_raw_info=cast("Any", state), _field=definition, parts=parts)
                arguments = {**arguments, info_parameter.name: info}
            return (), arguments

        def resolve(source: Any, state: ExecutionState) -> Any:
            bound = state.arguments.get(resolve)
            if bound is None:
                bound = state.arguments[resolve] = bind(state)
            result = call(source, *bound[0], **bound[1])
            return _with_expected_failures(result, failures) if failures else result

        return resolve

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
                possible = self.possible_types(cast("GraphQLAbstractType", abstract_type))
                completers = {
                    source: self._object_completer(each, details, position) for source, each in possible.items()
                }
                return abstract_completer(completers, position)

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
                writers = tuple(
                    self._writer(object_type, key, each) for key, each in self.selected(object_type, details)
                )
            place = Place(parent, container, key, position)
            result: dict[str, Any] = {}
            container[key] = result
            for write in writers:
                write(value, state, result, place)

        return complete_object

    def selected(
        self, object_type: GraphQLObjectType, details: list[FieldDetails]
    ) -> list[tuple[str, list[FieldDetails]]]:
        """Return the fields selected of an object, by their keys in the response."""
        collected = collect_subfields(
            self.schema, self.fragments, self.conditional, self.operation, object_type, details
        )
        return list(collected.grouped_field_set.items())


async def _with_expected_failures(result: Awaitable[Result], failures: ExpectedFailures) -> Result:
    """Return the result, or the member of the union that an expected failure is."""
    try:
        return await result
    except Exception as error:
        for types, handler in failures:
            if isinstance(error, types):
                return cast("Result", handler.handle(error))
        raise


def _position(parent_type: GraphQLObjectType, field: GraphQLField, details: list[FieldDetails]) -> Position:
    nodes = [each.node for each in details]
    return Position(f"{parent_type.name}.{nodes[0].name.value}", nodes, not isinstance(field.type, GraphQLNonNull))


def _source_type(object_type: GraphQLObjectType) -> type:
    """Return the class of the objects that a type describes: its own class, unless it names another one."""
    origin = strawberry_definition(object_type).origin
    return cast("type", getattr(origin, "source_type", origin))
