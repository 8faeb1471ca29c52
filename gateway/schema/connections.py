"""Relay connections: keyset pages in both directions; a total is counted if selected.

The nodes are the domain's objects: their types are named here, and stand in `nodes`, which imports this module.
"""

import itertools
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Final, Generic, Literal, TypeVar, cast
from uuid import UUID

import strawberry
from asyncpg import Record
from strawberry.types.base import StrawberryList
from strawberry.types.lazy_type import LazyType

from gateway.domain import installations as domain
from gateway.domain import pages
from gateway.domain.api_keys import ApiKey
from gateway.domain.cursors import Keyset, decode_keyset, keyset_encoder
from gateway.domain.installations import InstallationColumns, InstallationStatus
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
from gateway.storage.installations import copied_columns_of, installation_of
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
_INSTALLATIONS: Final = "installations"
"""The name of the list in cursors."""
_COLUMNS: Final[Mapping[str, Parts]] = {
    **dict.fromkeys(("id", "status", "version", "connection_failures", "created_at"), frozenset()),
    **dict.fromkeys(("authorization_expires_at", "updated_at", "activated_at"), TIMES),
}
"""Of an installation's row, those that fields are, with their parts."""
_ORDER_NAMES: Final = {
    (field, direction): f"{field.value} {direction.value}"
    for field, direction in itertools.product(pages.InstallationOrderField, pages.OrderDirection)
}
Row = TypeVar("Row", domain.Application, domain.Account, ApiKey)


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


def page_info(page: Page[Any], *, cursors: list[str]) -> PageInfo:
    """Describe the position of a page whose items have these cursors."""
    start, end = (cursors[0], cursors[-1]) if cursors else (None, None)
    return PageInfo(
        has_next_page=page.has_next, has_previous_page=page.has_previous, start_cursor=start, end_cursor=end
    )


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


@dataclass(frozen=True, kw_only=True, slots=True)
class _List(Generic[Row]):
    """A list in one order: the names of both, which its cursors are valid for, and the value that orders it."""

    name: str
    order: str
    value: Callable[[Row], datetime | str]
    value_type: type[datetime | str]

    def window(self, first: First, after: After, last: Last, before: Before) -> Window[Keyset]:
        """Read the arguments of a page. Raises BadUserInput."""
        place = partial(decode_keyset, connection=self.name, order=self.order, value_type=self.value_type)
        return pages.window(first=first, after=after, last=last, before=before, place=place)

    def fields(self, page: Page[Row], *, edge: Callable[..., Any]) -> dict[str, Any]:
        """Return the fields that every connection has."""
        encode = keyset_encoder(self.name, self.order)
        cursors = [encode(self.value(row), row.id) for row in page.items]
        return {
            "edges": [edge(node=row, cursor=cursor) for row, cursor in zip(page.items, cursors, strict=True)],
            "nodes": page.items,
            "page_info": page_info(page, cursors=cursors),
        }


@strawberry.type(description="The number of installations in one status.")
class StatusCount:
    status: InstallationStatus = strawberry.field(description="The status.")
    count: int = strawberry.field(description="How many installations have this status.")


class InstallationPage:
    """The source of an `InstallationConnection`, whose objects are made of their rows when they are needed."""

    __slots__ = ("_cursors", "_encode", "_make", "_page", "listed", "parent")

    def __init__(self, page: Page[Record], *, parts: Parts, listed: InstallationList, parent: UUID | None) -> None:
        self._page = page
        self._make = installation_of if parts >= WHOLE else copied_columns_of
        self._encode = keyset_encoder(_INSTALLATIONS, _order_name(listed.order))
        self._cursors: list[str] | None = None
        """Those of all rows, once they are needed."""
        self.listed = listed
        self.parent = parent

    @property
    def rows(self) -> list[Record]:
        return self._page.items

    @property
    def nodes(self) -> list[domain.Installation | InstallationColumns]:
        return list(map(self._make, self._page.items))

    @property
    def edges(self) -> list["InstallationInPage"]:
        rows, make = self._page.items, self._make
        self._cursors = cursors = self._encoded(rows)
        return [InstallationInPage(row, cursor, make) for row, cursor in zip(rows, cursors, strict=True)]

    @property
    def page_info(self) -> PageInfo:
        cursors = self._cursors
        if cursors is None:
            cursors = self._encoded(self._page.items[:1] + self._page.items[-1:])
        return page_info(self._page, cursors=cursors)

    def _encoded(self, rows: list[Record]) -> list[str]:
        column, encode = self.listed.order.column, self._encode
        return [encode(row[column], row["id"]) for row in rows]


class InstallationInPage:
    """The source of an `InstallationEdge`."""

    __slots__ = ("_make", "cursor", "row")

    def __init__(self, row: Record, cursor: str, make: Callable[[Record], Any]) -> None:
        self.row = row
        self.cursor = cursor
        self._make = make

    @property
    def node(self) -> domain.Installation | InstallationColumns:
        return cast("domain.Installation | InstallationColumns", self._make(self.row))


def _order_name(order: Order) -> str:
    """Return the order as cursors name it."""
    return _ORDER_NAMES[order.field, order.direction]


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
    place = partial(decode_keyset, connection=_INSTALLATIONS, order=_order_name(order), value_type=datetime)
    window = pages.window(first=first, after=after, last=last, before=before, place=place)
    parts: Parts = getattr(info, "parts", WHOLE)
    make = partial(InstallationPage, parts=parts, listed=listed, parent=parent)
    return info.context.loaders.installations_page(listed, window, parts=parts, parent=parent, transform=make)


@strawberry.type(description="An application in a list, with its cursor.")
class ApplicationEdge(_Edge):
    node: domain.Application = strawberry.field(description="The application.", graphql_type=_ApplicationType)


@strawberry.type(description="A page of applications, ordered by name.")
class ApplicationConnection(_CountedConnection):
    edges: list[ApplicationEdge] = strawberry.field(description="The applications of the page with their cursors.")
    nodes: list[domain.Application] = strawberry.field(
        description="The applications of the page.", graphql_type=StrawberryList(_ApplicationType)
    )


_APPLICATIONS: _List[domain.Application] = _List(
    name="applications", order="NAME ASC", value=lambda row: row.name, value_type=str
)


async def list_applications(
    self: object,  # noqa: ARG001 - Strawberry passes the parent, here the root value
    info: Info,
    filter: Applications = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> ApplicationConnection:
    """Resolve a page of the marketplace."""
    window = _APPLICATIONS.window(first, after, last, before)
    asked = (info.context.services, info.context.caller)
    matching = filter.value() if filter else pages.ApplicationFilter()
    page = await reads.list_applications(*asked, matching=matching, window=window)
    count = partial(reads.count_listed_applications, *asked, matching=matching)
    return ApplicationConnection(**_APPLICATIONS.fields(page, edge=ApplicationEdge), count=count)


@strawberry.type(description="An account in a list, with its cursor.")
class AccountEdge(_Edge):
    node: domain.Account = strawberry.field(description="The account.", graphql_type=_AccountType)


@strawberry.type(description="A page of accounts, ordered by name.")
class AccountConnection(_CountedConnection):
    edges: list[AccountEdge] = strawberry.field(description="The accounts of the page with their cursors.")
    nodes: list[domain.Account] = strawberry.field(
        description="The accounts of the page.", graphql_type=StrawberryList(_AccountType)
    )


_ACCOUNTS: _List[domain.Account] = _List(name="accounts", order="NAME ASC", value=lambda row: row.name, value_type=str)


async def list_accounts(
    self: object,  # noqa: ARG001 - Strawberry passes the parent, here the root value
    info: Info,
    filter: Accounts = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> AccountConnection:
    """Resolve a page of the accounts."""
    window = _ACCOUNTS.window(first, after, last, before)
    asked = (info.context.services, info.context.caller)
    matching = filter.value() if filter else pages.AccountFilter()
    page = await reads.list_accounts(*asked, matching=matching, window=window)
    count = partial(reads.count_listed_accounts, *asked, matching=matching)
    return AccountConnection(**_ACCOUNTS.fields(page, edge=AccountEdge), count=count)


@strawberry.type(description="An API key in a list, with its cursor.")
class ApiKeyEdge(_Edge):
    node: ApiKey = strawberry.field(description="The API key.", graphql_type=_ApiKeyType)


@strawberry.type(description="A page of API keys, the newest first.")
class ApiKeyConnection(_CountedConnection):
    edges: list[ApiKeyEdge] = strawberry.field(description="The API keys of the page with their cursors.")
    nodes: list[ApiKey] = strawberry.field(
        description="The API keys of the page.", graphql_type=StrawberryList(_ApiKeyType)
    )


_API_KEYS: _List[ApiKey] = _List(
    name="apiKeys", order="CREATED_AT DESC", value=lambda row: row.created_at, value_type=datetime
)


async def list_api_keys(
    self: object,  # noqa: ARG001 - Strawberry passes the parent, here the root value
    info: Info,
    filter: ApiKeys = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> ApiKeyConnection:
    """Resolve a page of the API keys."""
    window = _API_KEYS.window(first, after, last, before)
    asked = (info.context.services, info.context.caller)
    matching = filter.value() if filter else pages.ApiKeyFilter()
    page = await api_keys.list_api_keys(*asked, matching=matching, window=window)
    count = partial(api_keys.count_listed_api_keys, *asked, matching=matching)
    return ApiKeyConnection(**_API_KEYS.fields(page, edge=ApiKeyEdge), count=count)
