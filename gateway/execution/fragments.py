"""The selections of a document at all depths, and its fragments: each after those that it spreads."""

from collections.abc import Iterator, Mapping

from graphql import (
    DocumentNode,
    ExecutableDefinitionNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    SelectionNode,
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
    return (each.name.value for each, _ in selections(selection_set) if isinstance(each, FragmentSpreadNode))


def selections(selection_set: SelectionSetNode) -> Iterator[tuple[SelectionNode, int]]:
    """Yield the selections at all depths, each with its depth in fields; spreads are not followed."""
    pending = [(selection_set, 0)]
    while pending:
        selected, depth = pending.pop()
        for selection in selected.selections:
            yield selection, depth
            if isinstance(selection, InlineFragmentNode):
                pending.append((selection.selection_set, depth))
            elif isinstance(selection, FieldNode) and selection.selection_set is not None:
                pending.append((selection.selection_set, depth + 1))


def written_selections(document: DocumentNode) -> Iterator[SelectionNode]:
    """Yield the selections of all operations and fragments, as they are written."""
    for node in document.definitions:
        if isinstance(node, ExecutableDefinitionNode):
            yield from (selection for selection, _ in selections(node.selection_set))
