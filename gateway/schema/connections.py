"""Relay connections of installations and applications: keyset pages in both directions; a total is counted if selected.

The nodes are the domain's objects: their types are named here, and stand in `nodes`, which imports this module.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal
from uuid import UUID

import strawberry
from strawberry.types.base import StrawberryList
from strawberry.types.lazy_type import LazyType

from gateway.domain import installations as domain
from gateway.domain.cursors import Keyset, decode_keyset, encode_keyset
from gateway.domain.installations import InstallationStatus
from gateway.domain.pages import ApplicationFilter as ApplicationsMatching
from gateway.domain.pages import InstallationFilter as InstallationsMatching
from gateway.domain.pages import InstallationList, InstallationOrderField, Page, window
from gateway.domain.pages import InstallationOrder as Order
from gateway.schema.arguments import After, Applications, Before, First, Installations, Last, OrderBy
from gateway.schema.context import Info
from gateway.usecases import reads
from gateway.usecases.batch_loader import MappedFuture

_APPLICATIONS, _INSTALLATIONS = "applications", "installations"
_BY_NAME = "NAME ASC"
_PARENTS: Final[Mapping[type, Literal["application", "account"]]] = {
    domain.Application: "application",
    domain.Account: "account",
}
_ApplicationType: Any = LazyType("Application", "gateway.schema.nodes")
_InstallationType: Any = LazyType("Installation", "gateway.schema.nodes")


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


@strawberry.type(description="The number of installations in one status.")
class StatusCount:
    status: InstallationStatus = strawberry.field(description="The status.")
    count: int = strawberry.field(description="How many installations have this status.")


@strawberry.type(description="An installation in a list, with its cursor.")
class InstallationEdge:
    node: domain.Installation = strawberry.field(description="The installation.", graphql_type=_InstallationType)
    cursor: str = strawberry.field(
        description="The position in the list in this order, to pass as `after` or `before`."
    )


@strawberry.type(description="A page of installations.")
class InstallationConnection:
    edges: list[InstallationEdge] = strawberry.field(description="The installations of the page with their cursors.")
    nodes: list[domain.Installation] = strawberry.field(
        description="The installations of the page.", graphql_type=StrawberryList(_InstallationType)
    )
    page_info: PageInfo = strawberry.field(description="The position of the page in the list.")
    listed: strawberry.Private[InstallationList]
    parent: strawberry.Private[UUID | None]

    @strawberry.field(description="The number of installations on all pages.", graphql_type=int)
    def total_count(self, info: Info) -> MappedFuture[Any, int | None]:
        counts = info.context.loaders.batched(reads.count_installations_by_status, listed=self.listed)
        return counts.load(self.parent, lambda by_status: sum(by_status.values()))

    @strawberry.field(
        description="The number of installations on all pages by status; a status without any has the count 0.",
        graphql_type=list[StatusCount],
    )
    def status_counts(self, info: Info) -> MappedFuture[Any, list[StatusCount] | None]:
        counts = info.context.loaders.batched(reads.count_installations_by_status, listed=self.listed)
        return counts.load(
            self.parent,
            lambda by_status: [StatusCount(status=each, count=by_status.get(each, 0)) for each in InstallationStatus],
        )


def _installation_connection(
    page: Page[domain.Installation], *, listed: InstallationList, parent: UUID | None
) -> InstallationConnection:
    by_creation = listed.order.field is InstallationOrderField.CREATED_AT
    cursors = [
        encode_keyset(
            Keyset(value=row.created_at if by_creation else row.updated_at, id=row.id),
            connection=_INSTALLATIONS,
            order=_order_name(listed.order),
        )
        for row in page.items
    ]
    return InstallationConnection(
        edges=[InstallationEdge(node=row, cursor=cursor) for row, cursor in zip(page.items, cursors, strict=True)],
        nodes=page.items,
        page_info=page_info(page, cursors=cursors),
        listed=listed,
        parent=parent,
    )


def _order_name(order: Order) -> str:
    return f"{order.field.value} {order.direction.value}"


def list_installations(
    self: object,
    info: Info,
    filter: Installations = None,
    order_by: OrderBy = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> MappedFuture[Any, InstallationConnection | None]:
    """Resolve a page of all installations, or of those of an application or account.

    The same page of several parents is read by one statement.
    """
    parent = self.id if isinstance(self, domain.Application | domain.Account) else None
    order = Order(field=order_by.field, direction=order_by.direction) if order_by else Order()
    matching = filter.value() if filter else InstallationsMatching()
    listed = InstallationList(of=_PARENTS.get(type(self)), matching=matching, order=order)
    place = partial(decode_keyset, connection=_INSTALLATIONS, order=_order_name(order), value_type=datetime)
    pages = info.context.loaders.batched(
        reads.list_installations,
        listed=listed,
        window=window(first=first, after=after, last=last, before=before, place=place),
    )
    return pages.load(parent, partial(_installation_connection, listed=listed, parent=parent))


@strawberry.type(description="An application in a list, with its cursor.")
class ApplicationEdge:
    node: domain.Application = strawberry.field(description="The application.", graphql_type=_ApplicationType)
    cursor: str = strawberry.field(description="The position in the list, to pass as `after` or `before`.")


@strawberry.type(description="A page of applications, ordered by name.")
class ApplicationConnection:
    edges: list[ApplicationEdge] = strawberry.field(description="The applications of the page with their cursors.")
    nodes: list[domain.Application] = strawberry.field(
        description="The applications of the page.", graphql_type=StrawberryList(_ApplicationType)
    )
    page_info: PageInfo = strawberry.field(description="The position of the page in the list.")
    matching: strawberry.Private[ApplicationsMatching]

    @strawberry.field(description="The number of applications on all pages.")
    async def total_count(self, info: Info) -> int:
        context = info.context
        return await reads.count_listed_applications(context.services, context.principal, matching=self.matching)


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
    context, matching = info.context, filter.value() if filter else ApplicationsMatching()
    asked = window(
        first=first,
        after=after,
        last=last,
        before=before,
        place=partial(decode_keyset, connection=_APPLICATIONS, order=_BY_NAME, value_type=str),
    )
    page = await reads.list_applications(context.services, context.principal, matching=matching, window=asked)
    cursors = [
        encode_keyset(Keyset(value=row.name, id=row.id), connection=_APPLICATIONS, order=_BY_NAME) for row in page.items
    ]
    return ApplicationConnection(
        edges=[ApplicationEdge(node=row, cursor=cursor) for row, cursor in zip(page.items, cursors, strict=True)],
        nodes=page.items,
        page_info=page_info(page, cursors=cursors),
        matching=matching,
    )
