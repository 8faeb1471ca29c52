"""Documents: parsed and validated once, and kept as operations that are ready to run."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Generic, TypeVar

from graphql import (
    SKIP,
    ArgumentNode,
    ASTValidationRule,
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    VisitorAction,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
    visit,
)
from graphql.language.visitor import EnterLeaveVisitor
from graphql.validation import validation_context
from graphql.validation.rules import overlapping_fields_can_be_merged
from strawberry import Schema
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from gateway.domain.errors import BadUserInput, GatewayError
from gateway.execution.compiler import CompiledOperation
from gateway.execution.cost_sums import Cost
from gateway.execution.costs import CostModel, estimate
from gateway.execution.errors import InvalidDocument, OperationTooComplex, ParseFailed, ValidationFailed
from gateway.execution.fragments import fragments_of
from gateway.execution.limits import DocumentLimits, check_size

_MAX_ERRORS: Final = 20
"""Validation stops after these."""
_MAX_COMPARISONS: Final = 20_000
_MAX_FRAGMENT_WORK: Final = 10_000
"""In graphql-core's own units, far below its defaults: they bound the time that validation takes to 0.05 s. A
field that is written 200 times in one selection is still compared with all others."""
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
INTROSPECTION_FIELDS: Final = frozenset({"__schema", "__type", "__typename"})


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Operation:
    """A valid operation of a document, ready to run any number of times."""

    source: str
    name: str | None
    """The `operationName` of the request; None where the document has a single operation."""
    document: DocumentNode
    compiled: CompiledOperation
    type: OperationType
    root_fields: frozenset[str]
    """The fields selected on the root type, also through fragments, whether or not a directive skips them."""
    cost: Cost
    payload_variables: frozenset[str]
    """The variables that are used elsewhere than in the arguments of a root field: the payload of a subscription's
    event depends on these alone. The root field's arguments decide which events it gets."""
    introspects_only: bool
    """Whether it selects nothing but introspection."""


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Value]):
    value: Value
    size: int
    owner: Hashable


class FairCache(Generic[Key, Value]):
    """Keeps values of at most `max_size` in all; what exceeds it is taken from the owner that has the most.

    With a plain LRU cache, two documents of 200 kB evicted those of all other callers, which were then parsed again.
    """

    def __init__(self, max_size: int) -> None:
        self.max_size: Final = max_size
        self.size = 0
        self._entries: dict[Key, _Entry[Value]] = {}
        self._keys: dict[Hashable, dict[Key, None]] = {}
        """The keys of each owner, the latest used last."""
        self._sizes: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Value | None:
        """Return the value, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        keys = self._keys[entry.owner]
        del keys[key]
        keys[key] = None
        return entry.value

    def put(self, key: Key, value: Value, *, size: int, owner: Hashable) -> None:
        """Keep a value, unless it is larger than the cache."""
        self._remove(key)
        if size > self.max_size:
            return
        self._entries[key] = _Entry(value, size, owner)
        self._keys.setdefault(owner, {})[key] = None
        self._count(owner, size)
        while self.size > self.max_size:
            largest = max(self._sizes, key=self._sizes.__getitem__)
            self._remove(next(iter(self._keys[largest])))

    def _remove(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        del self._keys[entry.owner][key]
        self._count(entry.owner, -entry.size)
        if not self._keys[entry.owner]:
            del self._keys[entry.owner], self._sizes[entry.owner]

    def _count(self, owner: Hashable, size: int) -> None:
        self._sizes[owner] += size
        self.size += size


class _RuleWithCache(Visitor):
    """Remembers for the class of a rule which kinds of nodes it has no method for.

    graphql-core looks for four methods of each rule and kind in every document: half of what a small one takes.
    """

    _nothing: ClassVar[EnterLeaveVisitor] = EnterLeaveVisitor(None, None)
    _ignored: ClassVar[set[str]]

    def get_enter_leave_for_kind(self, kind: str) -> EnterLeaveVisitor:
        if kind in self._ignored:
            return self._nothing
        methods = super().get_enter_leave_for_kind(kind)
        if methods == self._nothing:
            self._ignored.add(kind)
        return methods


class Documents:
    """The operations used last: at most `max_count`, of at most `max_source_bytes`. Invalid documents are not kept."""

    def __init__(
        self,
        schema: Schema,
        *,
        rules: Sequence[type[ASTValidationRule]] = (),
        limits: DocumentLimits = DocumentLimits(),  # noqa: B008 - frozen
        costs: CostModel = CostModel(),  # noqa: B008 - frozen
        max_count: int = 1_000,
        max_source_bytes: int = 400_000,
        hide_suggestions: bool = False,
    ) -> None:
        """Validate by `rules` in addition to the specification's. Parsed, a document takes 120 times its source."""
        self.hide_suggestions = hide_suggestions
        self._schema = schema._schema  # noqa: SLF001 - Strawberry has no public name for graphql-core's schema
        self._rules = [
            type(rule.__name__, (_RuleWithCache, rule), {"_ignored": set()})
            for rule in (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule, *rules)
        ]
        self._limits = limits
        self._costs = costs
        self._min_size = max_source_bytes // max_count  # so that the sum of the sizes bounds the count as well
        self.kept: FairCache[tuple[str, str | None], Operation] = FairCache(max_source_bytes)
        """By the source and the `operationName`."""
        # graphql-core has no other way to set them: they are the process's.
        overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = _MAX_COMPARISONS
        validation_context.MAX_FRAGMENT_WORK = _MAX_FRAGMENT_WORK

    def prepare(self, source: str, *, name: str | None = None, owner: Hashable = None) -> Operation:
        """Return the operation of that name, or the document's only one: kept, or parsed and validated now.

        `owner` is whose share of the cache a new one takes.

        Raises:
            InvalidDocument: The document does not parse or validate.
            OperationTooComplex: It exceeds a limit.
            BadUserInput: It has no operation of that name, or several and no name was given.
        """
        return self.kept.get((source, name)) or self.keep(self.parse(source, name=name), owner=owner)

    def keep(self, operation: Operation, *, owner: Hashable) -> Operation:
        """Keep an operation in this owner's share of the cache, and return it."""
        size = max(self._min_size, len(operation.source.encode(errors="surrogatepass")))
        self.kept.put((operation.source, operation.name), operation, size=size, owner=owner)
        return operation

    def parse(self, source: str, *, name: str | None = None) -> Operation:
        """Do what `prepare` does, without the cache: in any thread. It takes up to 100 ms."""
        document = self.check(source)
        definition = get_operation_ast(document, name)
        if definition is None:
            raise BadUserInput(
                "The document has several operations, or none: name the one to run in operationName."
                if name is None
                else f"The document has no operation {name!r}."
            )
        root_fields = frozenset(root.name.value for root in _root_fields(document, definition))
        return Operation(
            source=source,
            name=name,
            document=document,
            compiled=CompiledOperation(self._schema, source, document, definition),
            type=definition.operation,
            root_fields=root_fields,
            cost=estimate(self._schema, document, definition, model=self._costs),
            payload_variables=_payload_variables(document, definition),
            introspects_only=root_fields <= INTROSPECTION_FIELDS,
        )

    def check(self, source: str) -> DocumentNode:
        """Parse and validate a document, within its limits. Raises InvalidDocument and OperationTooComplex."""
        try:
            document = parse(
                source,
                max_lexical_tokens=self._limits.tokens,
                max_comments=self._limits.tokens,
                max_source_length=self._limits.characters,
            )
            check_size(document, self._limits)
        except GraphQLError as error:  # also where the document is nested too deeply
            raise _refused([error], kind=ParseFailed) from None
        if errors := validate(
            self._schema, document, self._rules, max_errors=_MAX_ERRORS, hide_suggestions=self.hide_suggestions
        ):
            raise _refused(errors, kind=ValidationFailed)
        return document


def _refused(errors: Sequence[GraphQLError], *, kind: type[GatewayError]) -> GatewayError:
    """Return the error of a document. Where graphql-core stopped at a limit, its message is the only sign of it."""
    for error in errors:
        if error.message.endswith(("Parsing aborted.", "Validation aborted.")) and "errors" not in error.message:
            return OperationTooComplex(error.message.removeprefix("Syntax Error: "))
    return InvalidDocument(errors, kind=kind)


def _payload_variables(document: DocumentNode, operation: OperationDefinitionNode) -> frozenset[str]:
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


def _root_fields(document: DocumentNode, operation: OperationDefinitionNode) -> Iterator[FieldNode]:
    fragments = fragments_of(document)
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
