"""Documents on their way to become operations: parsed and validated once, then kept for the next caller."""

import enum
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graphql import (
    SKIP,
    ArgumentNode,
    ASTValidationRule,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    VisitorAction,
    get_operation_ast,
    parse,
    validate,
    visit,
)
from graphql.validation import validation_context
from graphql.validation.rules import overlapping_fields_can_be_merged

from gateway.domain.errors import BadUserInput
from gateway.execution.compiled_operation import CompiledOperation
from gateway.execution.costs import Cost, CostModel, estimate
from gateway.execution.errors import (
    FormattedError,
    OperationTooComplex,
    Refusal,
    formatted,
    refuse,
    request_error,
)
from gateway.execution.limits import DocumentLimits, check_size

_MOST_ERRORS = 20
"""After which a document is not looked at any further."""
_MOST_COMPARISONS = 50_000
_MOST_FRAGMENT_WORK = 10_000
"""In graphql-core's own units, a tenth and a fifth of what it allows: what bounds the seconds that validation can take.
A field that is written 200 times in one place is still compared with all the others."""
INTROSPECTION_FIELDS = frozenset({"__schema", "__type", "__typename"})


class OperationType(enum.Enum):
    """What an operation does, as its document says."""

    QUERY = "query"
    MUTATION = "mutation"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Operation:
    """One valid operation of a document, ready to run as often as wished."""

    source: str
    name: str | None
    """The name that the caller chose by; None where the document has but one operation."""
    document: DocumentNode
    compiled: CompiledOperation
    type: OperationType
    root_fields: frozenset[str]
    """The fields selected on the root type, through fragments too, whether or not a directive skips them."""
    cost: Cost
    rendering_variables: frozenset[str]
    """The variables that are used elsewhere than in a root field's arguments: of a subscription, those on which the
    payload of an event depends. What follows which events, and from where, is in the arguments."""

    @property
    def introspects_only(self) -> bool:
        """Whether it asks for nothing but the schema itself."""
        return self.root_fields <= INTROSPECTION_FIELDS


class Documents:
    """The documents lately seen, at most `max_count` and `max_source_bytes` together. Broken ones are not kept."""

    def __init__(
        self,
        schema: GraphQLSchema,
        *,
        rules: Sequence[type[ASTValidationRule]],
        limits: DocumentLimits,
        costs: CostModel,
        max_count: int,
        max_source_bytes: int,
        hide_suggestions: bool,
    ) -> None:
        self._schema = schema
        self._rules = tuple(rules)
        self._limits = limits
        self._costs = costs
        self._max_count = max_count
        self._max_source_bytes = max_source_bytes
        self._hide_suggestions = hide_suggestions
        self._operations: OrderedDict[tuple[str, str | None], Operation] = OrderedDict()
        self._source_bytes = 0
        # the whole process's: graphql-core has no other way to set them
        overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = _MOST_COMPARISONS
        validation_context.MAX_FRAGMENT_WORK = _MOST_FRAGMENT_WORK

    def operation(self, source: str, *, name: str | None) -> Operation:
        """Return the operation of that name, or the document's only one. Raises Refusal."""
        key = (source, name)
        operation = self._operations.get(key)
        if operation is None:
            operation = self._prepared(source, name)
            self._keep(key, operation)
        else:
            self._operations.move_to_end(key)
        return operation

    def knows(self, source: str, *, name: str | None) -> bool:
        """Tell whether this operation is at hand."""
        return (source, name) in self._operations

    def _keep(self, key: tuple[str, str | None], operation: Operation) -> None:
        self._operations[key] = operation
        self._source_bytes += _size(operation)
        while len(self._operations) > self._max_count or self._source_bytes > self._max_source_bytes:
            _, evicted = self._operations.popitem(last=False)
            self._source_bytes -= _size(evicted)

    def check(self, source: str) -> DocumentNode:
        """Parse and validate a document, within its limits. Raises Refusal."""
        document = self._parsed(source)
        self._check_size(document)
        if errors := validate(
            self._schema, document, self._rules, max_errors=_MOST_ERRORS, hide_suggestions=self._hide_suggestions
        ):
            raise Refusal(map(_document_error, errors))
        return document

    def _prepared(self, source: str, name: str | None) -> Operation:
        document = self.check(source)
        definition = get_operation_ast(document, name)
        if definition is None:
            refuse(BadUserInput(_which_operation(name)))
        return Operation(
            source=source,
            name=name,
            document=document,
            compiled=CompiledOperation(self._schema, source, document, definition),
            type=OperationType(definition.operation.value),
            root_fields=frozenset(root.name.value for root in _root_fields(document, definition)),
            cost=estimate(self._schema, document, definition, model=self._costs),
            rendering_variables=_rendering_variables(document, definition),
        )

    def _check_size(self, document: DocumentNode) -> None:
        try:
            check_size(document, self._limits)
        except OperationTooComplex as error:
            refuse(error)

    def _parsed(self, source: str) -> DocumentNode:
        try:
            return parse(
                source,
                max_lexical_tokens=self._limits.tokens,
                max_comments=self._limits.tokens,
                max_source_length=self._limits.characters,
            )
        except GraphQLError as error:  # which is also what it says when the document is nested too deeply
            raise Refusal([_document_error(error)]) from None


def _document_error(error: GraphQLError) -> FormattedError:
    """Format what is wrong with a document: where graphql-core gave up on it, it says so by these words alone."""
    if error.message.endswith(("Parsing aborted.", "Validation aborted.")) and "errors" not in error.message:
        return formatted(OperationTooComplex(error.message.removeprefix("Syntax Error: ")))
    return request_error(error)


def _rendering_variables(document: DocumentNode, operation: OperationDefinitionNode) -> frozenset[str]:
    arguments = {id(argument) for root in _root_fields(document, operation) for argument in root.arguments or ()}
    used: set[str] = set()

    class Uses(Visitor):
        def enter_variable_definition(self, _node: VariableDefinitionNode, *_: object) -> VisitorAction:
            return SKIP

        def enter_argument(self, node: ArgumentNode, *_: object) -> VisitorAction:
            return SKIP if id(node) in arguments else None

        def enter_variable(self, node: VariableNode, *_: object) -> None:
            used.add(node.name.value)

    visit(document, Uses())
    return frozenset(used)


def _size(operation: Operation) -> int:
    return len(operation.source.encode(errors="surrogatepass"))


def _which_operation(name: str | None) -> str:
    if name is None:
        return "The document has several operations, or none: say by operationName which one to run."
    return f"The document has no operation {name!r}."


def _root_fields(document: DocumentNode, operation: OperationDefinitionNode) -> Iterator[FieldNode]:
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    seen: set[str] = set()
    pending: list[SelectionSetNode] = [operation.selection_set]
    while pending:
        for selection in pending.pop().selections:
            match selection:
                case FieldNode():
                    yield selection
                case InlineFragmentNode():
                    pending.append(selection.selection_set)
                case FragmentSpreadNode() if selection.name.value not in seen:
                    seen.add(selection.name.value)
                    pending.append(fragments[selection.name.value].selection_set)
