"""The fragments of a document, in an order in which each comes after those that it spreads."""

from collections.abc import Iterator, Mapping

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    SelectionSetNode,
)


def fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    """Return the document's fragments by name."""
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}


def dependency_order(fragments: Mapping[str, FragmentDefinitionNode]) -> Iterator[str]:
    """Yield the name of each fragment once, after those that it spreads; a cycle is left where it closes.

    Linear in the number of spreads, and not recursive, because a chain of fragments may be long.
    """
    begun: set[str] = set()
    for first in fragments:
        if first in begun:
            continue
        begun.add(first)
        pending = [(first, _spreads_in(fragments[first].selection_set))]
        while pending:
            name, rest = pending[-1]
            following = next((each for each in rest if each in fragments and each not in begun), None)
            if following is None:
                pending.pop()
                yield name
            else:
                begun.add(following)
                pending.append((following, _spreads_in(fragments[following].selection_set)))


def _spreads_in(selection_set: SelectionSetNode) -> Iterator[str]:
    """Yield the names of the fragments that are spread at any depth."""
    pending = [selection_set]
    while pending:
        for selection in pending.pop().selections:
            if isinstance(selection, FragmentSpreadNode):
                yield selection.name.value
            elif isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set is not None:
                pending.append(selection.selection_set)
