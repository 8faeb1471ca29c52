"""Compiles operations: what graphql-core works out anew for each value is worked out once for each document.

The selected fields, their resolvers and the completion of their values become functions. Measured on 2026-11-22: a
point query took 46 us compiled and 546 us by graphql-core, a page of 20 with its applications 303 us and 2,578 us
(`python -m tests.benchmarks.execution` measures both in one run). There is no production-ready compiled executor for
Python to depend on, which is why this one exists.

graphql-core still collects the fields, coerces variables and arguments, and serializes leaves. It executes the whole
operation for introspection, `@defer`, fragment variables and documents that are too large to compile, and whenever a
compiled run fails (see `runner`). tests/api/test_compiled_operations.py compares the answers byte by byte.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from operator import attrgetter
from typing import Any, Final, cast

from graphql import (
    DirectiveNode,
    DocumentNode,
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
    is_abstract_type,
    is_scalar_type,
    is_union_type,
    visit,
)
from graphql.execution.collect_fields import (
    CollectedFields,
    FieldDetails,
    FragmentDetails,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues, get_argument_values, get_variable_values
from graphql.pyutils import Path
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.arguments import convert_argument
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from gateway.execution.completers import abstract_completer, leaf_completer, list_completer, null
from gateway.execution.fragments import fragments_of
from gateway.execution.runner import Completer, ExecutionState, Groups, PendingValue, RootField
from gateway.usecases.batch_loader import MappedFuture

_MAX_VARIANTS: Final = 8
_MIN_COMPILED_FIELDS: Final = 60
_CHARACTERS_PER_COMPILED_FIELD: Final = 8
"""A compiled field takes 1.3 kB, and fragments that spread each other can stand for any number of fields: the fields
that are compiled of a document are bounded by the length of its source."""
_HELPERS: Final = GraphQLResolveInfoHelpers(gather=lambda values: asyncio.gather(*values), track=lambda _values: None)

FieldWriter = Callable[[Any, ExecutionState, dict[str, Any]], None]
"""Writes one field of an object into the result."""
Resolver = Callable[[Any, ExecutionState], Any]


class NotCompiled(Exception):
    """graphql-core has to execute this operation."""


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
        self._variants: dict[tuple[Any, ...], Groups | None] = {}

    def coerced(self, variables: Mapping[str, Any] | None) -> VariableValues | None:
        """Coerce a caller's variables; None where graphql-core has to report what is wrong with them."""
        given = cast("dict[str, Any]", variables or {})
        values = get_variable_values(self._schema, self._operation.variable_definitions or (), given, max_errors=1)
        return None if isinstance(values, list) else values

    def variant(self, values: VariableValues) -> Groups | None:
        """Return the root fields for these variables; None where graphql-core has to execute the operation."""
        key = tuple([values.coerced.get(name) for name in self._conditional])
        if key not in self._variants:
            if len(self._variants) == _MAX_VARIANTS:
                return None
            self._variants[key] = self._compiled(values)
        return self._variants[key]

    def _compiled(self, values: VariableValues) -> Groups | None:
        conditional = VariableValues(
            sources={name: source for name, source in values.sources.items() if name in self._conditional},
            coerced={name: value for name, value in values.coerced.items() if name in self._conditional},
        )
        compiler = _Compiler(
            schema=self._schema,
            operation=self._operation,
            fragments=self._fragments,
            conditional=conditional,
            max_fields=self._fields_left,
        )
        try:
            fields = compiler.root_fields()
        except (NotCompiled, RecursionError):
            return None
        self._fields_left -= compiler.fields
        if self._operation.operation is OperationType.MUTATION:
            return [[field] for field in fields]
        return [fields]


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
    max_fields: int
    fields: int = 0
    """How many fields were compiled."""

    def root_fields(self) -> list[RootField]:
        """Compile the operation. Raises NotCompiled."""
        root_type = self.schema.get_root_type(self.operation.operation)
        if root_type is None:
            raise NotCompiled
        collected = collect_fields(self.schema, self.fragments, self.conditional, root_type, self.operation)
        return [self._root_field(root_type, key, details) for key, details in _grouped(collected)]

    def _root_field(self, root_type: GraphQLObjectType, key: str, details: list[FieldDetails]) -> RootField:
        field = self._field(root_type, details)
        if field is None:
            return RootField(key, lambda _source, _state: root_type.name, lambda value, _state: value)
        if self.operation.operation is OperationType.SUBSCRIPTION:
            # `field.subscribe` has opened the stream; `field.resolve` takes an event of it, and needs nothing else.
            resolve = cast("Resolver", field.resolve)
        else:
            resolve = self._resolver(root_type, field, details, direct=_is_called_directly(field))
        return RootField(key, resolve, self._completer(field.type, details))

    def _field(self, parent_type: GraphQLObjectType, details: list[FieldDetails]) -> GraphQLField | None:
        """Return the field's definition; None is `__typename`."""
        self.fields += 1
        name = details[0].node.name.value
        if self.fields > self.max_fields or any(each.fragment_variable_values for each in details):
            raise NotCompiled
        if name == "__typename":
            return None
        if name not in parent_type.fields:  # introspection
            raise NotCompiled
        field: GraphQLField = parent_type.fields[name]
        return field

    def _writer(self, parent_type: GraphQLObjectType, key: str, details: list[FieldDetails]) -> FieldWriter:
        field = self._field(parent_type, details)
        if field is None:
            return _typename_writer(key, parent_type.name)
        complete = self._completer(field.type, details)
        definition = _definition(field)
        if definition.is_basic_field:
            return _attribute_writer(key, attrgetter(definition.python_name), complete)
        resolve = self._resolver(parent_type, field, details, direct=_is_called_directly(field))
        return _resolver_writer(key, resolve, complete)

    def _resolver(
        self, parent_type: GraphQLObjectType, field: GraphQLField, details: list[FieldDetails], *, direct: bool
    ) -> Resolver:
        """Return a function that calls a field's resolver; its arguments are made once in a run.

        A direct call is what Strawberry would do after having worked out how to call the resolver.
        """
        definition, node = _definition(field), details[0].node
        call = cast("Callable[..., Any]", definition.base_resolver.wrapped_func if direct else field.resolve)
        convert = self._argument_converter(field, definition)
        info_parameter = definition.base_resolver.info_parameter if direct else None

        def bind(state: ExecutionState) -> tuple[tuple[Any, ...], dict[str, Any]]:
            arguments = get_argument_values(field, node, state.variable_values) if field.args else {}
            if not direct:
                return (self._info(parent_type, field, details, state),), arguments
            arguments = dict(starmap(convert, arguments.items()))
            if info_parameter is not None:
                raw_info = self._info(parent_type, field, details, state)
                arguments[info_parameter.name] = Info(_raw_info=raw_info, _field=definition)
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

    def _completer(self, output_type: GraphQLOutputType, details: list[FieldDetails]) -> Completer:
        nullable = not isinstance(output_type, GraphQLNonNull)
        match get_nullable_type(output_type):
            case GraphQLScalarType() | GraphQLEnumType() as leaf_type:
                return leaf_completer(leaf_type, nullable=nullable)
            case GraphQLList(of_type=item_type):
                return list_completer(self._completer(item_type, details), nullable=nullable)
            case GraphQLObjectType() as object_type:
                return self._object_completer(object_type, details, nullable=nullable)
            case abstract_type if is_abstract_type(abstract_type):
                return abstract_completer(
                    {
                        _source_type(possible): self._object_completer(possible, details, nullable=False)
                        for possible in self.schema.get_possible_types(abstract_type)
                    },
                    nullable=nullable,
                )
        raise NotCompiled

    def _object_completer(
        self, object_type: GraphQLObjectType, details: list[FieldDetails], *, nullable: bool
    ) -> Completer:
        collected = collect_subfields(
            self.schema, self.fragments, self.conditional, self.operation, object_type, details
        )
        writers = tuple(self._writer(object_type, key, each) for key, each in _grouped(collected))

        def complete_object(value: Any, state: ExecutionState) -> Any:
            if value is None:
                return null(nullable=nullable)
            result: dict[str, Any] = {}
            for write in writers:
                write(value, state, result)
            return result

        return complete_object


def _grouped(collected: CollectedFields) -> Sequence[tuple[str, list[FieldDetails]]]:
    if collected.new_defer_usages or collected.forbidden_directive_instances:
        raise NotCompiled
    return tuple(collected.grouped_field_set.items())


def _definition(element: GraphQLField | GraphQLObjectType) -> Any:
    """Return the Strawberry definition of a field or a type."""
    return element.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]


def _source_type(object_type: GraphQLObjectType) -> type:
    """Return the class of the objects that a type describes: its own class, unless it names another one."""
    origin = _definition(object_type).origin
    return cast("type", getattr(origin, "source_type", origin))


def _is_called_directly(field: GraphQLField) -> bool:
    """Return whether Strawberry would only call the resolver. It handles exceptions where the type is a union."""
    definition = _definition(field)
    resolver = definition.base_resolver
    return (
        resolver is not None
        and not definition.extensions
        and not is_union_type(get_named_type(field.type))
        and resolver.self_parameter is not None
    )


def _typename_writer(key: str, name: str) -> FieldWriter:
    def write_typename(_source: Any, _state: ExecutionState, result: dict[str, Any]) -> None:
        result[key] = name

    return write_typename


def _attribute_writer(key: str, attribute: Callable[[Any], Any], complete: Completer) -> FieldWriter:
    def write_attribute(source: Any, state: ExecutionState, result: dict[str, Any]) -> None:
        result[key] = complete(attribute(source), state)

    return write_attribute


def _resolver_writer(key: str, resolve: Resolver, complete: Completer) -> FieldWriter:
    def write_resolved(source: Any, state: ExecutionState, result: dict[str, Any]) -> None:
        value = resolve(source, state)
        if isinstance(value, MappedFuture) and value.future.done():
            value = value.transform(value.future.result())
        if isinstance(value, Awaitable):
            result[key] = None  # keeps the field's place among the others
            state.pending.append(PendingValue(value, complete, result, key))
        else:
            result[key] = complete(value, state)

    return write_resolved
