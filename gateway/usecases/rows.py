"""What the schema says of the rows behind its objects, so that execution copies their columns without the objects."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from gateway.storage.installation_pages import Parts

Resolver = TypeVar("Resolver", bound=Callable[..., object])


class Reference(NamedTuple):
    """A field that is a row with an id that its source has."""

    cache: str
    """The attribute of the operation's loaders."""
    id: str
    """The attribute of the source, and the column of its row."""


class RowsOf(NamedTuple):
    """The rows of which storage makes the objects of a field."""

    attribute: str
    """Of the field's source."""
    columns: Mapping[str, Parts]
    """Those that equal the attribute of the same name, except that enums are their names; and the part each is of."""


class NamesOf(NamedTuple):
    """What a source has of a row that it refers to, where it was read with the source's own."""

    part: Parts
    """Of a page, the part that has it."""
    attributes: Mapping[str, str]
    """The attributes of the row, each with the attribute and column of the source that is the same."""


def references(cache: str, *, by: str) -> Callable[[Resolver], Resolver]:
    """Declare a resolver that does nothing but look up the row with this id."""

    def declare(resolver: Resolver) -> Resolver:
        resolver.reference = Reference(cache, by)  # type: ignore[attr-defined]  # read by the compiler
        return resolver

    return declare
