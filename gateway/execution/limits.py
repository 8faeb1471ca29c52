"""Limits on the size of documents, checked before validation in time linear in the text.

The fields of a fragment count at each place where it is spread, so that a short document cannot select much; each
fragment is measured once. A cycle of fragments counts once; the validation refuses it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

from graphql import DocumentNode, FieldNode, FragmentSpreadNode, InlineFragmentNode, OperationDefinitionNode
from graphql.language import SelectionSetNode

from gateway.execution.errors import OperationTooComplex
from gateway.execution.fragments import dependency_order, fragments_of


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentLimits:
    """The largest document."""

    characters: int = 200_000
    tokens: int = 4_000
    written_fields: int = 500
    """As they are written, fragments not expanded: it bounds the comparisons of the validation."""
    depth: int = 16
    aliases: int = 100
    root_fields: int = 30
    directives: int = 50


@dataclass(kw_only=True, slots=True)
class _Measure:
    """The size of one definition: first without, then with the fragments that it spreads."""

    depth: int = 0
    aliases: int = 0
    root_fields: int = 0
    directives: int = 0

    def include(self, fragment: "_Measure", *, depth: int) -> None:
        """Add a fragment that is spread at this depth."""
        self.depth = max(self.depth, depth + fragment.depth)
        self.aliases += fragment.aliases
        self.directives += fragment.directives
        if depth == 0:
            self.root_fields += fragment.root_fields


@dataclass(kw_only=True, slots=True)
class _Definition:
    measure: _Measure
    spreads: list[tuple[str, int]]
    """The fragments that are spread, and the depth of each spread."""
    fields: int = 0


_NAMES = {
    "depth": "is {found} fields deep",
    "aliases": "has {found} aliases, with fragments counted at each spread",
    "root_fields": "selects {found} fields at its root",
    "directives": "has {found} directives, with fragments counted at each spread",
}


def check_size(document: DocumentNode, limits: DocumentLimits) -> None:
    """Raise OperationTooComplex where the document exceeds a limit."""
    fragments = {name: _measured(node.selection_set) for name, node in fragments_of(document).items()}
    operations = [_operation(node) for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    written = sum(each.fields for each in (*operations, *fragments.values()))
    if written > limits.written_fields:
        _refuse("written_fields", "has {found} fields", found=written, most=limits.written_fields)
    for name in dependency_order({name: [spread for spread, _ in each.spreads] for name, each in fragments.items()}):
        _include_spreads(fragments[name], fragments)
    for operation in operations:
        _include_spreads(operation, fragments)
        _check_measure(operation.measure, limits)


def _check_measure(measure: _Measure, limits: DocumentLimits) -> None:
    for each in fields(measure):
        found, most = getattr(measure, each.name), getattr(limits, each.name)
        if found > most:
            _refuse(each.name, _NAMES[each.name], found=found, most=most)


def _refuse(name: str, sentence: str, *, found: int, most: int) -> None:
    told = str(found) if found <= 1_000_000 else "over a million"  # noqa: PLR2004 - nested fragments can stand for a number with hundreds of digits
    first, *rest = name.split("_")
    raise OperationTooComplex(
        f"The operation {sentence.format(found=told)}; at most {most} are allowed.",
        limit=first + "".join(word.title() for word in rest),
        allowed=most,
    )


def _operation(node: OperationDefinitionNode) -> _Definition:
    definition = _measured(node.selection_set)
    definition.measure.directives += len(node.directives or ())
    return definition


def _measured(selection_set: SelectionSetNode) -> _Definition:
    definition = _Definition(measure=_Measure(), spreads=[])
    measure = definition.measure
    for selection, depth in _selections(selection_set):
        measure.directives += len(selection.directives or ())
        if isinstance(selection, FragmentSpreadNode):
            definition.spreads.append((selection.name.value, depth))
        elif isinstance(selection, FieldNode):
            definition.fields += 1
            measure.depth = max(measure.depth, depth + 1)
            measure.aliases += selection.alias is not None
            measure.root_fields += depth == 0
    return definition


def _selections(
    selection_set: SelectionSetNode,
) -> Iterator[tuple[FieldNode | InlineFragmentNode | FragmentSpreadNode, int]]:
    """Yield the selections at all depths, each with its depth in fields."""
    pending = [(selection_set, 0)]
    while pending:
        selected, depth = pending.pop()
        for selection in selected.selections:
            match selection:
                case FieldNode():
                    yield selection, depth
                    if selection.selection_set is not None:
                        pending.append((selection.selection_set, depth + 1))
                case InlineFragmentNode():
                    yield selection, depth
                    pending.append((selection.selection_set, depth))
                case FragmentSpreadNode():
                    yield selection, depth


def _include_spreads(definition: _Definition, fragments: dict[str, _Definition]) -> None:
    for name, depth in definition.spreads:
        if name in fragments:
            definition.measure.include(fragments[name].measure, depth=depth)
