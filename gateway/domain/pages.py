"""Lists: filters, orders and pages (windows) of them."""

import enum
from collections.abc import Callable
from datetime import datetime
from typing import Generic, Literal, TypeVar
from uuid import UUID

from gateway.domain.errors import BadUserInput
from gateway.domain.installations import AuthorizationMethod, InstallationStatus, StatusReasonCode
from gateway.domain.principals import PrincipalKind
from gateway.domain.records import record

DEFAULT_PAGE_SIZE = 20
LARGEST_PAGE_SIZE = 100

Item = TypeVar("Item")
Place = TypeVar("Place")


class InstallationOrderField(enum.Enum):
    """The field that a list of installations is ordered by; equal values are ordered by id."""

    CREATED_AT = "CREATED_AT"
    UPDATED_AT = "UPDATED_AT"

    __hash__ = object.__hash__  # as that of PrincipalKind


class OrderDirection(enum.Enum):
    """Smallest first, or largest first."""

    ASC = "ASC"
    DESC = "DESC"

    __hash__ = object.__hash__  # as that of PrincipalKind


@record
class InstallationOrder:
    field: InstallationOrderField = InstallationOrderField.CREATED_AT
    direction: OrderDirection = OrderDirection.DESC

    @property
    def column(self) -> str:
        """The name of the attribute, and of the column, that installations are ordered by."""
        return "created_at" if self.field is InstallationOrderField.CREATED_AT else "updated_at"


@record
class InstallationFilter:
    """Conditions, of which all that are set hold; a set means any of its values, and an empty one matches nothing."""

    application_ids: frozenset[UUID] | None = None
    account_ids: frozenset[UUID] | None = None
    statuses: frozenset[InstallationStatus] | None = None
    reasons: frozenset[StatusReasonCode] | None = None
    search: str | None = None
    """Text that the name of the application or of the account contains, in any case."""
    updated_since: datetime | None = None
    updated_before: datetime | None = None
    authorization_expires_before: datetime | None = None
    metadata: str | None = None
    """JSON text that the metadata has to contain."""
    other_application_ids: frozenset[UUID] | None = None
    """Not of these applications."""

    @property
    def matches_nothing(self) -> bool:
        return frozenset() in (self.application_ids, self.account_ids, self.statuses, self.reasons)


@record
class InstallationList:
    """A list of installations: of all of them, or of one parent's."""

    of: Literal["application", "account"] | None
    """What the list's parent is; None: it has no parent."""
    matching: InstallationFilter
    order: InstallationOrder


@record
class ApplicationFilter:
    """Conditions, of which all that are set hold; `search` is for name, slug and description."""

    listed_or_id: UUID | None = None
    """Of the unlisted applications, only the one with this id."""
    listed_or_installed_for: UUID | None = None
    """Of the unlisted applications, only those that this account has installed."""
    search: str | None = None
    category: str | None = None
    authorization_method: AuthorizationMethod | None = None
    listed: bool | None = None


@record
class AccountFilter:
    """Conditions, of which all that are set hold; `search` is for the name."""

    id: UUID | None = None
    installed_for: UUID | None = None
    """Only accounts that have this application installed."""
    search: str | None = None


@record
class ApiKeyFilter:
    """Conditions, of which all that are set hold; `in_force`: neither revoked nor expired."""

    kind: PrincipalKind | None = None
    application_id: UUID | None = None
    account_id: UUID | None = None
    in_force: bool | None = None


@record
class Window(Generic[Place]):
    """A page: `size` rows after one place and before another, from the end where `backward`."""

    size: int
    backward: bool
    after: Place | None
    before: Place | None

    def ascending(self, direction: OrderDirection) -> "Window[Place]":
        """Return the window of the ascending list that has the rows of this one, of a list in this direction."""
        if direction is OrderDirection.ASC:
            return self
        return Window(size=self.size, backward=not self.backward, after=self.before, before=self.after)

    def page(self, found: list[Item]) -> "Page[Item]":
        """Make a page of the rows found in this window's direction, of which one more than its size was asked for."""
        more, items = len(found) > self.size, found[: self.size]
        if self.backward:
            return Page(items=items[::-1], has_next=self.before is not None, has_previous=more)
        return Page(items=items, has_next=more, has_previous=self.after is not None)


@record
class Page(Generic[Item]):
    items: list[Item]
    has_next: bool
    has_previous: bool


def window(
    *,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
    place: Callable[..., Place],
) -> Window[Place]:
    """Read the arguments of a Relay connection; `place` decodes a cursor, given the name of its `argument`.

    Where no size is given, `before` alone asks for what is just before it, anything else for what comes first.

    Raises:
        BadUserInput: A size is negative or too large, both sizes are given, or a cursor is not of this list.
    """
    if first is not None and last is not None:
        raise BadUserInput("Give either first or last, not both.", argument="last")
    for name, size in (("first", first), ("last", last)):
        if size is not None and not 0 <= size <= LARGEST_PAGE_SIZE:
            raise BadUserInput(f"{name} must be from 0 to {LARGEST_PAGE_SIZE}, not {size}.", argument=name)
    size = first if first is not None else last
    return Window(
        size=DEFAULT_PAGE_SIZE if size is None else size,
        backward=last is not None or (first is None and after is None and before is not None),
        after=None if after is None else place(after, argument="after"),
        before=None if before is None else place(before, argument="before"),
    )
