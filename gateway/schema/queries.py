"""The queries."""

import asyncio
from contextlib import suppress
from typing import Any, TypeAlias
from uuid import UUID

import strawberry

from gateway.domain import api_keys as domain_keys
from gateway.domain import installations as domain
from gateway.domain.cursors import Position, decode_position, encode_position
from gateway.domain.errors import BadUserInput
from gateway.domain.principals import Principal, PrincipalKind
from gateway.schema.arguments import By, Id, Ids
from gateway.schema.connections import (
    AccountConnection,
    ApiKeyConnection,
    ApplicationConnection,
    InstallationConnection,
    list_accounts,
    list_api_keys,
    list_applications,
    list_installations,
)
from gateway.schema.context import Info
from gateway.schema.events import InstallationEvent, InstallationEventConnection, list_events, resolve_event
from gateway.schema.inputs import MAX_VALUES
from gateway.schema.node import Node
from gateway.schema.nodes import Account, ApiKey, Application, Installation
from gateway.schema.scalars import parse_uuid
from gateway.usecases import reads
from gateway.usecases.batch_loader import MappedFuture

NodeSource: TypeAlias = (
    domain.Installation | domain.Application | domain.Account | domain_keys.ApiKey | InstallationEvent
)


@strawberry.type(description="The caller.")
class Viewer:
    kind: PrincipalKind = strawberry.field(description="The kind of the caller.")

    @strawberry.field(
        description="The application that the caller is, or is bound to; null if there is none.",
        graphql_type=Application | None,
    )
    def application(self, info: Info) -> MappedFuture[Any, domain.Application | None] | None:
        bound = info.context.caller.application_id
        return None if bound is None else info.context.loaders.batched(reads.find_applications).load(bound)

    @strawberry.field(
        description="The account that the caller is, or is bound to; null if there is none.",
        graphql_type=Account | None,
    )
    def account(self, info: Info) -> MappedFuture[Any, domain.Account | None] | None:
        bound = info.context.caller.account_id
        return None if bound is None else info.context.loaders.batched(reads.find_accounts).load(bound)

    @strawberry.field(
        description="For a caller that is bound to an application and an account: the installation of these.",
        graphql_type=Installation | None,
    )
    def installation(self, info: Info) -> MappedFuture[Any, domain.Installation | None] | None:
        principal = info.context.caller
        if principal.application_id is None or principal.account_id is None:
            return None
        pair = (principal.application_id, principal.account_id)
        return info.context.loaders.batched(reads.find_installations_by_pair).load(pair)

    @strawberry.field(
        description="The API key that authenticated the caller; null if an access token did.",
        graphql_type=ApiKey | None,
    )
    def api_key(self, info: Info) -> MappedFuture[Any, domain_keys.ApiKey | None] | None:
        own = info.context.caller.api_key_id
        return None if own is None else info.context.loaders.batched(reads.find_api_keys).load(own)


def _node_id(value: str, *, argument: str) -> UUID | Position:
    """Parse the id of a row or of an event. Raises BadUserInput."""
    with suppress(BadUserInput):
        return decode_position(value, argument=argument)
    return parse_uuid(value, argument=argument)


async def find_node(
    self: object,  # noqa: ARG001 - Strawberry passes the parent, here the root value
    info: Info,
    id: Id,
) -> NodeSource | None:
    """Resolve the object with an id, whichever type it has."""
    loaders, node_id = info.context.loaders, _node_id(id, argument="id")
    if isinstance(node_id, Position):
        return await loaders.batched(reads.find_events).load(node_id, resolve_event)
    return (
        await loaders.installations.load(node_id)
        or await loaders.batched(reads.find_applications).load(node_id)
        or await loaders.batched(reads.find_accounts).load(node_id)
        or await loaders.batched(reads.find_api_keys).load(node_id)
    )


@strawberry.type(description="The queries. What the caller may not see is null or left out, as if it did not exist.")
class Query:
    @strawberry.field(description="The caller, as the gateway has authenticated it.", graphql_type=Viewer)
    def viewer(self, info: Info) -> Principal:
        return info.context.caller

    node = strawberry.field(
        resolver=find_node,
        description="The application, account, installation, API key or event with this id; null if the caller sees"
        " none.",
        graphql_type=Node | None,
    )

    @strawberry.field(
        description="The applications, accounts, installations, API keys and events with these ids, in this order;"
        " null for each that the caller does not see.",
        graphql_type=list[Node | None],
    )
    async def nodes(self, info: Info, ids: Ids) -> list[NodeSource | None]:
        if len(ids) > MAX_VALUES:
            raise BadUserInput(f"Ask for at most {MAX_VALUES} nodes at a time, not {len(ids)}.", argument="ids")
        for each in ids:
            _node_id(each, argument="ids")
        return list(await asyncio.gather(*(find_node(self, info, each) for each in ids)))

    @strawberry.field(
        description="One application, by its id or its slug; null if the caller sees none.",
        graphql_type=Application | None,
    )
    def application(self, info: Info, by: By) -> MappedFuture[Any, domain.Application | None]:
        loaders = info.context.loaders
        if by.id is not strawberry.UNSET:
            return loaders.batched(reads.find_applications).load(parse_uuid(by.id or "", argument="id"))
        return loaders.batched(reads.find_applications_by_slug).load(by.slug or "")

    applications = strawberry.field(
        resolver=list_applications,
        description="The applications that the caller sees, ordered by name.",
        graphql_type=ApplicationConnection,
    )

    @strawberry.field(
        description="One account, by its id; null if the caller does not see it. An application sees the accounts that"
        " have it installed.",
        graphql_type=Account | None,
    )
    def account(self, info: Info, id: Id) -> MappedFuture[Any, domain.Account | None]:
        return info.context.loaders.batched(reads.find_accounts).load(parse_uuid(id, argument="id"))

    accounts = strawberry.field(
        resolver=list_accounts,
        description="The accounts that the caller sees, ordered by name. An application sees the accounts that have it"
        " installed.",
        graphql_type=AccountConnection,
    )

    api_keys = strawberry.field(
        resolver=list_api_keys,
        description="The API keys, the newest first. Only for the platform.",
        graphql_type=ApiKeyConnection,
    )

    @strawberry.field(
        description="One installation, by its id; null if the caller does not see it.",
        graphql_type=Installation | None,
    )
    def installation(self, info: Info, id: Id) -> MappedFuture[Any, domain.Installation | None]:
        return info.context.loaders.installations.load(parse_uuid(id, argument="id"))

    installations = strawberry.field(
        resolver=list_installations,
        description="The installations that the caller sees; by default the newest first.",
        graphql_type=InstallationConnection,
    )

    installation_events = strawberry.field(
        resolver=list_events,
        description="The events of the installations that the caller sees, by default the oldest first: the log that"
        " subscriptions deliver.",
        graphql_type=InstallationEventConnection,
    )

    @strawberry.field(
        description="The current end of the event log. Query it together with a list, and subscribe with it as"
        " `after`: then no change between the two is missed."
    )
    def event_cursor(self, info: Info) -> str:
        return encode_position(info.context.event_position)
