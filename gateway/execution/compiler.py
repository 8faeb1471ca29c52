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

from collections.abc import AsyncIterator, Awaitable
from functools import partial
from typing import Any, Final, cast

from graphql import (
    DocumentNode,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    located_error,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails
from graphql.execution.values import VariableValues, get_argument_values

from gateway.execution.completers import completer, position_of
from gateway.execution.direct import direct_writer
from gateway.execution.fragments import fragments_of, written_selections
from gateway.execution.resolvers import resolver
from gateway.execution.selections import Selections
from gateway.execution.state import ExecutionState, Groups, Resolver, RootField, WarmWriter
from gateway.execution.variables import Variables

_MAX_VARIANTS: Final = 8
_MIN_COMPILED_FIELDS: Final = 60
_CHARACTERS_PER_COMPILED_FIELD: Final = 8
"""A compiled field takes 1.3 kB, and fragments that spread each other can stand for any number of fields: the fields
that are kept of a document are bounded by the length of its source. Beyond, an operation is compiled for each run."""


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
            groups = _root_fields(self._selections(values, key))
            if len(self._variants) < _MAX_VARIANTS and self._fields_left > 0:
                self._variants[key] = groups
        return groups

    async def subscribe(self, state: ExecutionState) -> AsyncIterator[Any]:
        """Open the source of a subscription's events. Raises GraphQLError with the field's path."""
        selections = self._selections(state.variable_values, ())
        root_type, ((key, details),) = selections.root()
        field, nodes = selections.definition(root_type, details), [each.node for each in details]
        try:
            arguments = get_argument_values(field, nodes[0], state.variable_values)
            info = selections.info(root_type, field, details, state)
            source = cast("Any", field.subscribe)(None, info, **arguments)
            return aiter(await source if isinstance(source, Awaitable) else source)
        except Exception as error:
            raise located_error(error, nodes, [key]) from error

    def _selections(self, values: VariableValues, key: tuple[Any, ...]) -> Selections:
        conditional = VariableValues(
            sources={name: source for name, source in values.sources.items() if name in self._conditional},
            coerced={name: value for name, value in values.coerced.items() if name in self._conditional},
        )
        return Selections(
            schema=self._schema,
            operation=self._operation,
            fragments=self._fragments,
            conditional=conditional,
            count_field=partial(self._count_field, key),
            direct_left=self._most_fields,
        )

    def _count_field(self, key: tuple[Any, ...]) -> None:
        self._fields_left -= 1
        if self._fields_left == 0:
            self._variants.pop(key, None)


def _conditional_variables(document: DocumentNode) -> tuple[str, ...]:
    directives = [directive for selection in written_selections(document) for directive in selection.directives or ()]
    values = [argument.value for directive in directives for argument in directive.arguments or ()]
    return tuple({value.name.value: None for value in values if isinstance(value, VariableNode)})


def _root_fields(selections: Selections) -> Groups:
    """Compile the root fields; the selections below are compiled as they are needed."""
    root_type, selected = selections.root()
    fields = [_root_field(selections, root_type, key, details) for key, details in selected]
    in_turn = selections.operation.operation is OperationType.MUTATION
    return [[field] for field in fields] if in_turn else [fields]


def _root_field(
    selections: Selections, root_type: GraphQLObjectType, key: str, details: list[FieldDetails]
) -> RootField:
    selections.count_field()
    field = selections.definition(root_type, details)
    position = position_of(root_type, field, details)
    if selections.operation.operation is OperationType.SUBSCRIPTION:
        # `subscribe` has opened the stream; `field.resolve` takes an event of it, and needs nothing else.
        resolve = cast("Resolver", field.resolve)
    else:
        resolve = resolver(selections, root_type, field, details)
    direct = WarmWriter(lambda: direct_writer(selections, field.type, details))
    return RootField(key, position, resolve, completer(selections, field.type, details, position), direct)
