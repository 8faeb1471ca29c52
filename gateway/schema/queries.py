"""What can be asked."""

import asyncio
from typing import Any

import strawberry

from gateway.domain.cursors import encode_position
from gateway.domain.errors import BadUserInput, Unauthenticated
from gateway.domain.principals import PrincipalKind
from gateway.schema.arguments import (
    After,
    Applications,
    Before,
    By,
    Events,
    First,
    Id,
    Ids,
    Installations,
    Last,
    OrderBy,
)
from gateway.schema.connections import (
    ApplicationConnection,
    InstallationConnection,
    application_connection,
    installation_connection,
)
from gateway.schema.context import Info
from gateway.schema.events import InstallationEventConnection, event_connection
from gateway.schema.inputs import (
    uuid_of,
)
from gateway.schema.nodes import Account, Application, Installation, Node
from gateway.usecases import reading
from gateway.usecases.mapped_future import MappedFuture

MOST_NODES = 100


@strawberry.type(description="Who asks.")
class Viewer:
    kind: PrincipalKind = strawberry.field(description="What sort of caller.")

    @strawberry.field(description="The application that the caller is, or is bound to.")
    async def application(self, info: Info) -> Application | None:
        application_id = info.context.principal.application_id
        row = application_id and await info.context.loaders.applications.load(application_id)
        return Application.of(row) if row else None

    @strawberry.field(description="The account that the caller is, or is bound to.")
    async def account(self, info: Info) -> Account | None:
        account_id = info.context.principal.account_id
        row = account_id and await info.context.loaders.accounts.load(account_id)
        return Account.of(row) if row else None

    @strawberry.field(description="Where the caller is bound to an application and an account: their installation.")
    async def installation(self, info: Info) -> Installation | None:
        principal = info.context.principal
        if principal.application_id is None or principal.account_id is None:
            return None
        row = await info.context.loaders.ties.load((principal.application_id, principal.account_id))
        return Installation.of(row) if row else None


async def _node(info: Info, id: str, *, argument: str) -> Node | None:
    loaders, node_id = info.context.loaders, uuid_of(id, argument=argument)
    if installation := await loaders.installations.load(node_id, Installation.found):
        return installation
    if application := await loaders.applications.load(node_id):
        return Application.of(application)
    account = await loaders.accounts.load(node_id)
    return Account.of(account) if account else None


@strawberry.type(description="What can be asked. Whatever the caller may not see is not there.")
class Query:
    @strawberry.field(description="Who asks, as the gateway knows it.")
    def viewer(self, info: Info) -> Viewer:
        return Viewer(kind=info.context.principal.kind)

    @strawberry.field(description="Whatever has this id and is seen by the caller.")
    async def node(self, info: Info, id: Id) -> Node | None:
        return await _node(info, id, argument="id")

    @strawberry.field(description="Whatever has these ids, in their order; null for what the caller does not see.")
    async def nodes(self, info: Info, ids: Ids) -> list[Node | None]:
        if len(ids) > MOST_NODES:
            raise BadUserInput(f"Ask for at most {MOST_NODES} nodes at a time, not {len(ids)}.", argument="ids")
        return list(await asyncio.gather(*(_node(info, one, argument="ids") for one in ids)))

    @strawberry.field(description="One application, by its id or its slug.")
    async def application(self, info: Info, by: By) -> Application | None:
        if by.id is not strawberry.UNSET:
            row = await info.context.loaders.applications.load(uuid_of(by.id or "", argument="id"))
        else:
            row = await reading.find_application_by_slug(
                info.context.services, info.context.principal, slug=by.slug or ""
            )
        return Application.of(row) if row else None

    @strawberry.field(description="The marketplace, by name: what is listed, and what else the caller sees.")
    async def applications(
        self,
        info: Info,
        filter: Applications = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> ApplicationConnection:
        return await application_connection(info, filter=filter, first=first, after=after, last=last, before=before)

    @strawberry.field(description="An application sees the accounts that have it installed.")
    async def account(self, info: Info, id: Id) -> Account | None:
        row = await info.context.loaders.accounts.load(uuid_of(id, argument="id"))
        return Account.of(row) if row else None

    @strawberry.field(description="One installation, by its id.", graphql_type=Installation | None)
    def installation(self, info: Info, id: Id) -> MappedFuture[Any, Installation | None]:
        return info.context.loaders.installations.load(uuid_of(id, argument="id"), Installation.found)

    @strawberry.field(description="The installations that the caller sees; the newest first, unless ordered otherwise.")
    async def installations(
        self,
        info: Info,
        filter: Installations = None,
        order_by: OrderBy = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> InstallationConnection:
        return await installation_connection(
            info, of=None, parent=None, filter=filter, order_by=order_by,
            first=first, after=after, last=last, before=before,
        )  # fmt: skip

    @strawberry.field(description="What happened, oldest first: the log that subscriptions follow.")
    async def installation_events(
        self,
        info: Info,
        filter: Events = None,
        first: First = None,
        after: After = None,
    ) -> InstallationEventConnection:
        return await event_connection(info, filter=filter, first=first, after=after)

    @strawberry.field(
        description="Where the log stands: ask for it WITH a list, subscribe with `after` it, and no change falls"
        " between."
    )
    def event_cursor(self, info: Info) -> str:
        position = info.context.event_position
        if position is None:
            raise Unauthenticated("Show an API key: Authorization: Bearer <key>.")
        return encode_position(position)
