"""Limits on the size of documents, checked before validation in time linear in the text.

The fields of a fragment count at each place where it is spread, so that a short document cannot select much; each
fragment is measured once. A cycle of fragments counts once; the validation refuses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from gateway.execution.errors import OperationTooComplex
from gateway.execution.fragments import dependency_order, fragments_of, selections, written_selections


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
class _Size:
    """The size of a selection, with the fragments that it spreads."""

    depth: int = 0
    aliases: int = 0
    root_fields: int = 0
    directives: int = 0


_SENTENCES = {
    "depth": "is {found} fields deep",
    "aliases": "has {found} aliases, with fragments counted at each spread",
    "root_fields": "selects {found} fields at its root",
    "directives": "has {found} directives, with fragments counted at each spread",
}


def check_size(document: DocumentNode, limits: DocumentLimits) -> None:
    """Raise OperationTooComplex where the document exceeds a limit."""
    fragments = fragments_of(document)
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    written = sum(isinstance(selection, FieldNode) for selection in written_selections(document))
    if written > limits.written_fields:
        _refuse("written_fields", "has {found} fields", found=written, most=limits.written_fields)
    sizes: dict[str, _Size] = {}
    for name in dependency_order(fragments):
        sizes[name] = _size(fragments[name].selection_set, sizes)
    for operation in operations:
        size = _size(operation.selection_set, sizes)
        size.directives += len(operation.directives or ())
        for limit, sentence in _SENTENCES.items():
            found, most = getattr(size, limit), getattr(limits, limit)
            if found > most:
                _refuse(limit, sentence, found=found, most=most)


def _refuse(name: str, sentence: str, *, found: int, most: int) -> None:
    shown = str(found) if found <= 1_000_000 else "over a million"  # noqa: PLR2004 - nested fragments can stand for a number with hundreds of digits
    first, *rest = name.split("_")
    raise OperationTooComplex(
        f"The operation {sentence.format(found=shown)}; at most {most} are allowed.",
        limit=first + "".join(word.title() for word in rest),
        allowed=most,
    )


def _size(selection_set: SelectionSetNode, fragments: Mapping[str, _Size]) -> _Size:
    size = _Size()
    for selection, depth in selections(selection_set):
        size.directives += len(selection.directives or ())
        if isinstance(selection, FieldNode):
            size.depth = max(size.depth, depth + 1)
            size.aliases += selection.alias is not None
            size.root_fields += depth == 0
        elif isinstance(selection, FragmentSpreadNode) and (spread := fragments.get(selection.name.value)):
            size.depth = max(size.depth, depth + spread.depth)
            size.aliases += spread.aliases
            size.directives += spread.directives
            size.root_fields += spread.root_fields if depth == 0 else 0
    return size
