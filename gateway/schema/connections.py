"""Relay connections: pages by keyset, in both directions; what is not selected is not counted."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import strawberry

from gateway.domain.cursors import Keyset, decode_keyset, encode_keyset
from gateway.domain.installations import InstallationStatus
from gateway.domain.pages import ApplicationFilter as ApplicationsMatching
from gateway.domain.pages import InstallationFilter as InstallationsMatching
from gateway.domain.pages import InstallationOrder as Order
from gateway.domain.pages import InstallationOrderField, Page, window
from gateway.schema.context import Info, InstallationsAsked, Request
from gateway.schema.inputs import ApplicationFilter, InstallationFilter, InstallationOrder
from gateway.schema.nodes import Application, Installation
from gateway.storage.installation_pages import InstallationList
from gateway.usecases import reading

_APPLICATIONS, _INSTALLATIONS = "applications", "installations"
_BY_NAME = "NAME ASC"


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more follows this page.")
    has_previous_page: bool = strawberry.field(description="Whether something comes before this page.")
    start_cursor: str | None = strawberry.field(
        description="The cursor of the page's first row: give it back as `before`. Null on an empty page."
    )
    end_cursor: str | None = strawberry.field(
        description="The cursor of the page's last row: give it back as `after`. Null on an empty page."
    )

    @staticmethod
    def of(page: Page[Any], *, cursors: list[str]) -> "PageInfo":
        return PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else None,
        )


@strawberry.type(description="How many installations have a status.")
class StatusCount:
    status: InstallationStatus = strawberry.field(description="The status that was counted.")
    count: int = strawberry.field(description="How many installations have it.")


@strawberry.type(description="A row of a list of installations.")
class InstallationEdge:
    node: Installation = strawberry.field(description="The installation.")
    cursor: str = strawberry.field(
        description="Its place in the list, in this order: give it back as `after` or `before`."
    )


@strawberry.type(description="A page of installations.")
class InstallationConnection:
    edges: list[InstallationEdge] = strawberry.field(description="The rows, each with its cursor.")
    nodes: list[Installation] = strawberry.field(description="The rows alone.")
    page_info: PageInfo = strawberry.field(description="Where the page lies, and where to go on.")
    counted: strawberry.Private[Request[UUID | None, InstallationList]]

    @strawberry.field(description="How many there are on all pages.")
    async def total_count(self, info: Info) -> int:
        return sum((await info.context.loaders.installation_counts.load(self.counted)).values())

    @strawberry.field(description="How many there are on all pages in each status, those with none included.")
    async def status_counts(self, info: Info) -> list[StatusCount]:
        counts = await info.context.loaders.installation_counts.load(self.counted)
        return [StatusCount(status=status, count=counts.get(status, 0)) for status in InstallationStatus]


async def installation_connection(
    info: Info,
    *,
    of: Literal["application", "account"] | None,
    parent: UUID | None,
    filter: InstallationFilter | None,
    order_by: InstallationOrder | None,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
) -> InstallationConnection:
    """Load one page of one list, together with the same page of its siblings."""
    order = order_by.value() if order_by else Order()
    ordered = f"{order.field.value} {order.direction.value}"
    listed = InstallationList(of=of, matching=filter.value() if filter else InstallationsMatching(), order=order)
    asked = window(
        first=first, after=after, last=last, before=before,
        place=lambda cursor, argument: decode_keyset(
            cursor, connection=_INSTALLATIONS, order=ordered, value_type=datetime, argument=argument
        ),
    )  # fmt: skip
    page = await info.context.loaders.installation_pages.load(Request(parent, InstallationsAsked(listed, asked)))
    by_creation = order.field is InstallationOrderField.CREATED_AT
    nodes = [Installation.of(row) for row in page.items]
    cursors = [
        encode_keyset(
            Keyset(value=row.created_at if by_creation else row.updated_at, id=row.id),
            connection=_INSTALLATIONS,
            order=ordered,
        )
        for row in page.items
    ]
    return InstallationConnection(
        edges=[InstallationEdge(node=node, cursor=cursor) for node, cursor in zip(nodes, cursors, strict=True)],
        nodes=nodes,
        page_info=PageInfo.of(page, cursors=cursors),
        counted=Request(parent, listed),
    )


@strawberry.type(description="A row of a list of applications.")
class ApplicationEdge:
    node: Application = strawberry.field(description="The application.")
    cursor: str = strawberry.field(description="Its place in the list: give it back as `after` or `before`.")


@strawberry.type(description="A page of applications, by name.")
class ApplicationConnection:
    edges: list[ApplicationEdge] = strawberry.field(description="The rows, each with its cursor.")
    nodes: list[Application] = strawberry.field(description="The rows alone.")
    page_info: PageInfo = strawberry.field(description="Where the page lies, and where to go on.")
    matching: strawberry.Private[ApplicationsMatching]

    @strawberry.field(description="How many there are on all pages.")
    async def total_count(self, info: Info) -> int:
        context = info.context
        return await reading.count_listed_applications(context.services, context.principal, matching=self.matching)


async def application_connection(
    info: Info,
    *,
    filter: ApplicationFilter | None,
    first: int | None,
    after: str | None,
    last: int | None,
    before: str | None,
) -> ApplicationConnection:
    """Load one page of the marketplace."""
    matching = filter.value() if filter else ApplicationsMatching()
    asked = window(
        first=first, after=after, last=last, before=before,
        place=lambda cursor, argument: decode_keyset(
            cursor, connection=_APPLICATIONS, order=_BY_NAME, value_type=str, argument=argument
        ),
    )  # fmt: skip
    context = info.context
    page = await reading.list_applications(context.services, context.principal, matching=matching, window=asked)
    nodes = [Application.of(row) for row in page.items]
    cursors = [
        encode_keyset(Keyset(value=row.name, id=row.id), connection=_APPLICATIONS, order=_BY_NAME) for row in page.items
    ]
    return ApplicationConnection(
        edges=[ApplicationEdge(node=node, cursor=cursor) for node, cursor in zip(nodes, cursors, strict=True)],
        nodes=nodes,
        page_info=PageInfo.of(page, cursors=cursors),
        matching=matching,
    )
