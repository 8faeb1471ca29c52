"""A document's operation, compiled when it first runs: once for each set of answers to its directives' questions."""

from collections.abc import Mapping
from typing import Any, cast

from graphql import (
    DirectiveNode,
    DocumentNode,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.values import VariableValues, get_variable_values

from gateway.execution.compiler import Compiler, NotCompiled
from gateway.execution.fragments import fragments_of
from gateway.execution.runner import ExecutionState, RootField, run_fields

_MOST_VARIANTS = 8
_FIELDS_OF_ANY = 60
_CHARACTERS_FOR_A_FIELD = 8
"""After which graphql-core runs what else there may be: a compiled field takes 1.3 kB, and fragments that spread each
other could stand for any number of them. So what is kept of a document stays within a measure of its source."""

Groups = list[list[RootField]]


class CompiledOperation:
    """One operation, ready for `run_compiled`, whatever its variables decide."""

    def __init__(
        self, schema: GraphQLSchema, source: str, document: DocumentNode, operation: OperationDefinitionNode
    ) -> None:
        self._schema = schema
        self._fields_left = _FIELDS_OF_ANY + len(source) // _CHARACTERS_FOR_A_FIELD
        self._operation = operation
        self._fragments = {name: FragmentDetails(node) for name, node in fragments_of(document).items()}
        self._deciding = _deciding_variables(document)
        self._variants: dict[tuple[Any, ...], Groups | None] = {}

    def variable_values(self, variables: Mapping[str, Any] | None) -> VariableValues | None:
        """Coerce a caller's variables; None where graphql-core has to say what is wrong with them."""
        given = cast("dict[str, Any]", variables or {})
        values = get_variable_values(self._schema, self._operation.variable_definitions or (), given, max_errors=1)
        return None if isinstance(values, list) else values

    def prepare(self, variable_values: VariableValues) -> Groups | None:
        """Return the root fields, in groups to run one after the other; None where they are graphql-core's to run."""
        decided = tuple(variable_values.coerced.get(name) for name in self._deciding)
        if decided not in self._variants:
            if len(self._variants) == _MOST_VARIANTS:
                return None
            self._variants[decided] = self._compiled(self._deciding_of(variable_values))
        return self._variants[decided]

    def _deciding_of(self, values: VariableValues) -> VariableValues:
        """Leave out what decides nothing: all that is compiled keeps what it was compiled with."""
        return VariableValues(
            sources={name: source for name, source in values.sources.items() if name in self._deciding},
            coerced={name: value for name, value in values.coerced.items() if name in self._deciding},
        )

    def _compiled(self, deciding: VariableValues) -> Groups | None:
        compiler = Compiler(self._schema, self._operation, self._fragments, deciding, most_fields=self._fields_left)
        try:
            fields = compiler.root_fields()
        except (NotCompiled, RecursionError):
            return None
        self._fields_left -= compiler.fields
        if self._operation.operation is OperationType.MUTATION:
            return [[field] for field in fields]
        return [fields]


async def run_compiled(
    groups: Groups, *, context: Any, variable_values: VariableValues, root_value: Any = None
) -> dict[str, Any]:
    """Run, and return the data. Raises Failed."""
    run = ExecutionState(context=context, variable_values=variable_values, root_value=root_value)
    return await run_fields(run, groups)


def _deciding_variables(document: DocumentNode) -> tuple[str, ...]:
    """Return the variables that directives use: what is skipped or included depends on them."""
    used: dict[str, None] = {}

    class InDirectives(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: object) -> None:
            for argument in node.arguments or ():
                if isinstance(argument.value, VariableNode):
                    used[argument.value.name.value] = None

    visit(document, InDirectives())
    return tuple(used)
