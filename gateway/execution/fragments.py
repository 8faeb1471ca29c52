"""The fragments of a document, in an order in which each comes after those that it spreads."""

from collections.abc import Iterable, Iterator, Mapping

from graphql import DocumentNode, FragmentDefinitionNode, FragmentSpreadNode, InlineFragmentNode, SelectionSetNode


def fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    """Return the document's fragments by name."""
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}


def dependency_order(spreads: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Yield each fragment once, after those that it spreads; a cycle is left where it closes.

    Linear in the number of spreads, and not recursive, because a chain of fragments may be long.
    """
    begun: set[str] = set()
    for first in spreads:
        if first in begun:
            continue
        begun.add(first)
        pending = [(first, iter(spreads[first]))]
        while pending:
            name, rest = pending[-1]
            following = next((each for each in rest if each in spreads and each not in begun), None)
            if following is None:
                pending.pop()
                yield name
            else:
                begun.add(following)
                pending.append((following, iter(spreads[following])))


def spreads_in(selection_set: SelectionSetNode) -> Iterator[str]:
    """Yield the names of the fragments that are spread at any depth."""
    pending = [selection_set]
    while pending:
        for selection in pending.pop().selections:
            if isinstance(selection, FragmentSpreadNode):
                yield selection.name.value
            elif isinstance(selection, InlineFragmentNode) or selection.selection_set is not None:  # type: ignore[attr-defined]  # the one kind left is a field
                pending.append(selection.selection_set)  # type: ignore[attr-defined]  # as above
