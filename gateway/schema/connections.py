"""Relay connections: keyset pages in both directions; a total is counted if selected.

The nodes are the domain's objects: their types are named here, and stand in `nodes`, which imports this module.
"""

import itertools
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any, ClassVar, Final, Literal, cast
from uuid import UUID

import strawberry
from strawberry.types.base import StrawberryList
from strawberry.types.lazy_type import LazyType

from gateway.domain import installations as domain
from gateway.domain import pages
from gateway.domain.api_keys import ApiKey
from gateway.domain.cursors import Keyset, decode_keyset, keyset_encoder
from gateway.domain.installations import InstallationStatus
from gateway.domain.pages import InstallationList, Page, Window
from gateway.domain.pages import InstallationOrder as Order
from gateway.schema.arguments import (
    Accounts,
    After,
    ApiKeys,
    Applications,
    Before,
    First,
    Installations,
    Last,
    OrderBy,
)
from gateway.schema.context import Info
from gateway.storage.installation_pages import TIMES, WHOLE, Parts
from gateway.storage.installations import InstallationColumns, installation_of
from gateway.usecases import api_keys, installation_lists, reads
from gateway.usecases.batch_loader import MappedFuture
from gateway.usecases.rows import RowsOf

_PARENTS: Final[Mapping[type, Literal["application", "account"]]] = {
    domain.Application: "application",
    domain.Account: "account",
}
_ApplicationType, _AccountType, _ApiKeyType, _InstallationType = (
    cast("Any", LazyType(name, "gateway.schema.nodes")) for name in ("Application", "Account", "ApiKey", "Installation")
)
_COLUMNS: Final[Mapping[str, Parts]] = {
    **dict.fromkeys(("id", "status", "version", "connection_failures", "created_at"), frozenset()),
    **dict.fromkeys(("authorization_expires_at", "updated_at", "activated_at"), TIMES),
}
"""Of an installation's row, those that fields are, with their parts."""


@strawberry.type(description="The position of a page in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more objects follow this page.")
    has_previous_page: bool = strawberry.field(description="Whether there are objects before this page.")
    start_cursor: str | None = strawberry.field(
        description="The cursor of the first object of the page, to pass as `before`. Null on an empty page."
    )
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last object of the page, to pass as `after`. Null on an empty page."
    )


@dataclass(slots=True, eq=False)
class ListPage:
    """The source of a connection, whose objects are made of the page's rows when they are needed."""

    page: Page[Any]
    cursors_of: Callable[[list[Any]], list[str]]
    make: Callable[[Any], Any] = lambda row: row
    _cursors: list[str] | None = field(default=None, init=False)
    """Those of all rows, once they are needed."""

    @property
    def rows(self) -> list[Any]:
        return self.page.items

    @property
    def nodes(self) -> list[Any]:
        return list(map(self.make, self.page.items))

    @property
    def edges(self) -> list["RowInPage"]:
        self._cursors = cursors = self.cursors_of(self.page.items)
        return list(map(RowInPage, self.page.items, cursors, itertools.repeat(self.make)))

    @property
    def page_info(self) -> PageInfo:
        page, cursors = self.page, self._cursors
        if cursors is None:
            cursors = self.cursors_of(page.items[:1] + page.items[-1:])
        start, end = (cursors[0], cursors[-1]) if cursors else (None, None)
        return PageInfo(
            has_next_page=page.has_next, has_previous_page=page.has_previous, start_cursor=start, end_cursor=end
        )


@dataclass(slots=True, eq=False)
class RowInPage:
    """The source of an edge."""

    row: Any
    cursor: str
    make: Callable[[Any], Any]

    @property
    def node(self) -> Any:
        return self.make(self.row)


@dataclass(frozen=True, kw_only=True, slots=True)
class _List:
    """A list in one order: the names of both, which its cursors are valid for, and what orders it."""

    name: str
    order: str
    place: Callable[[Any], tuple[datetime | str, UUID]]
    """Returns the value that the list is ordered by, and the id, of a row."""
    value_type: type[datetime | str]

    def window(self, first: First, after: After, last: Last, before: Before) -> Window[Keyset]:
        """Read the arguments of a page. Raises BadUserInput."""
        place = partial(decode_keyset, connection=self.name, order=self.order, value_type=self.value_type)
        return pages.window(first=first, after=after, last=last, before=before, place=place)

    def cursors_of(self, rows: list[Any]) -> list[str]:
        encode, place = keyset_encoder(self.name, self.order), self.place
        return [encode(*place(row)) for row in rows]


@strawberry.type
class _Edge:
    cursor: str = strawberry.field(
        description="The position in the list in this order, to pass as `after` or `before`."
    )


@strawberry.type
class _Connection:
    page_info: PageInfo = strawberry.field(description="The position of the page in the list.")


@strawberry.type
class _CountedConnection(_Connection):
    count: strawberry.Private[Callable[[], Coroutine[Any, Any, int]]]

    @strawberry.field(description="The number of objects on all pages.")
    async def total_count(self) -> int:
        return await self.count()


@dataclass(slots=True, eq=False)
class CountedPage(ListPage):
    count: Callable[[], Coroutine[Any, Any, int]] = field(kw_only=True)


@strawberry.type(description="The number of installations in one status.")
class StatusCount:
    status: InstallationStatus = strawberry.field(description="The status.")
    count: int = strawberry.field(description="How many installations have this status.")


_INSTALLATIONS: Final = {
    (field, direction): _List(
        name="installations",
        order=f"{field.value} {direction.value}",
        place=itemgetter(pages.InstallationOrder(field=field).column, "id"),
        value_type=datetime,
    )
    for field, direction in itertools.product(pages.InstallationOrderField, pages.OrderDirection)
}


@dataclass(slots=True, eq=False)
class InstallationPage(ListPage):
    listed: InstallationList = field(kw_only=True)
    parent: UUID | None = field(kw_only=True)


@strawberry.type(description="An installation in a list, with its cursor.")
class InstallationEdge(_Edge):
    rows: ClassVar = {"node": RowsOf("row", _COLUMNS)}
    node: domain.Installation = strawberry.field(description="The installation.", graphql_type=_InstallationType)


@strawberry.type(description="A page of installations.")
class InstallationConnection(_Connection):
    rows: ClassVar = {"nodes": RowsOf("rows", _COLUMNS)}
    edges: list[InstallationEdge] = strawberry.field(description="The installations of the page with their cursors.")
    nodes: list[domain.Installation] = strawberry.field(
        description="The installations of the page.", graphql_type=StrawberryList(_InstallationType)
    )
    listed: strawberry.Private[InstallationList]
    parent: strawberry.Private[UUID | None]

    @strawberry.field(description="The number of installations on all pages.", graphql_type=int)
    def total_count(self, info: Info) -> MappedFuture[Any, int | None]:
        counts = info.context.loaders.batched(installation_lists.count_installations_by_status, listed=self.listed)
        return counts.load(self.parent, lambda by_status: sum(by_status.values()))

    @strawberry.field(
        description="The number of installations on all pages by status; a status without any has the count 0.",
        graphql_type=list[StatusCount],
    )
    def status_counts(self, info: Info) -> MappedFuture[Any, list[StatusCount] | None]:
        counts = info.context.loaders.batched(installation_lists.count_installations_by_status, listed=self.listed)
        return counts.load(
            self.parent,
            lambda by_status: [StatusCount(status=each, count=by_status.get(each, 0)) for each in InstallationStatus],
        )


def list_installations(
    self: object,
    info: Info,
    filter: Installations = None,
    order_by: OrderBy = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> MappedFuture[Any, InstallationPage | None]:
    """Resolve a page of all installations, or of those of an application or account.

    The same page of several parents is read by one statement.
    """
    parent = self.id if isinstance(self, domain.Application | domain.Account) else None
    order = Order(field=order_by.field, direction=order_by.direction) if order_by else Order()
    matching = filter.value() if filter else pages.InstallationFilter()
    listed = InstallationList(of=_PARENTS.get(type(self)), matching=matching, order=order)
    ordered = _INSTALLATIONS[order.field, order.direction]
    window = ordered.window(first, after, last, before)
    parts: Parts = getattr(info, "parts", WHOLE)
    make = installation_of if parts >= WHOLE else InstallationColumns
    source = partial(InstallationPage, cursors_of=ordered.cursors_of, make=make, listed=listed, parent=parent)
    return info.context.loaders.installations_page(listed, window, parts=parts, parent=parent, transform=source)


@strawberry.type(description="An application in a list, with its cursor.")
class ApplicationEdge(_Edge):
    node: domain.Application = strawberry.field(description="The application.", graphql_type=_ApplicationType)


@strawberry.type(description="A page of applications, ordered by name.")
class ApplicationConnection(_CountedConnection):
    edges: list[ApplicationEdge] = strawberry.field(description="The applications of the page with their cursors.")
    nodes: list[domain.Application] = strawberry.field(
        description="The applications of the page.", graphql_type=StrawberryList(_ApplicationType)
    )


_APPLICATIONS: Final = _List(name="applications", order="NAME ASC", place=attrgetter("name", "id"), value_type=str)


async def list_applications(
    self: object,  # noqa: ARG001 - Strawberry passes the parent, here the root value
    info: Info,
    filter: Applications = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> CountedPage:
    """Resolve a page of the marketplace."""
    window = _APPLICATIONS.window(first, after, last, before)
    asked = (info.context.services, info.context.caller)
    matching = filter.value() if filter else pages.ApplicationFilter()
    page = await reads.list_applications(*asked, matching=matching, window=window)
    count = partial(reads.count_listed_applications, *asked, matching=matching)
    return CountedPage(page, _APPLICATIONS.cursors_of, count=count)


@strawberry.type(description="An account in a list, with its cursor.")
class AccountEdge(_Edge):
    node: domain.Account = strawberry.field(description="The account.", graphql_type=_AccountType)


@strawberry.type(description="A page of accounts, ordered by name.")
class AccountConnection(_CountedConnection):
    edges: list[AccountEdge] = strawberry.field(description="The accounts of the page with their cursors.")
    nodes: list[domain.Account] = strawberry.field(
        description="The accounts of the page.", graphql_type=StrawberryList(_AccountType)
    )


_ACCOUNTS: Final = _List(name="accounts", order="NAME ASC", place=attrgetter("name", "id"), value_type=str)


async def list_accounts(
    self: object,  # noqa: ARG001 - Strawberry passes the parent, here the root value
    info: Info,
    filter: Accounts = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> CountedPage:
    """Resolve a page of the accounts."""
    window = _ACCOUNTS.window(first, after, last, before)
    asked = (info.context.services, info.context.caller)
    matching = filter.value() if filter else pages.AccountFilter()
    page = await reads.list_accounts(*asked, matching=matching, window=window)
    count = partial(reads.count_listed_accounts, *asked, matching=matching)
    return CountedPage(page, _ACCOUNTS.cursors_of, count=count)


@strawberry.type(description="An API key in a list, with its cursor.")
class ApiKeyEdge(_Edge):
    node: ApiKey = strawberry.field(description="The API key.", graphql_type=_ApiKeyType)


@strawberry.type(description="A page of API keys, the newest first.")
class ApiKeyConnection(_CountedConnection):
    edges: list[ApiKeyEdge] = strawberry.field(description="The API keys of the page with their cursors.")
    nodes: list[ApiKey] = strawberry.field(
        description="The API keys of the page.", graphql_type=StrawberryList(_ApiKeyType)
    )


_API_KEYS: Final = _List(
    name="apiKeys", order="CREATED_AT DESC", place=attrgetter("created_at", "id"), value_type=datetime
)


async def list_api_keys(
    self: object,  # noqa: ARG001 - Strawberry passes the parent, here the root value
    info: Info,
    filter: ApiKeys = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> CountedPage:
    """Resolve a page of the API keys."""
    window = _API_KEYS.window(first, after, last, before)
    asked = (info.context.services, info.context.caller)
    matching = filter.value() if filter else pages.ApiKeyFilter()
    page = await api_keys.list_api_keys(*asked, matching=matching, window=window)
    count = partial(api_keys.count_listed_api_keys, *asked, matching=matching)
    return CountedPage(page, _API_KEYS.cursors_of, count=count)
