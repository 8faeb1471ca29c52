"""What has happened, as clients see it: in histories, in queries of the log, and in subscriptions."""

from collections import OrderedDict
from collections.abc import Hashable
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

import strawberry

from gateway.domain import events as domain
from gateway.domain.cursors import decode_position, encode_position
from gateway.domain.event_filters import ALL_KINDS, EventFilter, events_for
from gateway.domain.events import EventKind
from gateway.domain.installations import InstallationStatus
from gateway.domain.pages import Page, window
from gateway.domain.principals import PrincipalKind
from gateway.schema.connections import PageInfo
from gateway.schema.context import Info, Request
from gateway.schema.inputs import InstallationEventFilter, account_id_of, optional_uuid_of
from gateway.schema.nodes import Installation, StatusReason, SyncStep, sync_steps
from gateway.usecases import history
from gateway.usecases.mapped_future import MappedFuture


@strawberry.type(description="Who did it.")
class Actor:
    kind: PrincipalKind = strawberry.field(description="What sort of caller.")
    id: strawberry.ID | None = strawberry.field(description="The API key's or the token subject's id.")
    label: str | None = strawberry.field(description="What that key is called.")


@strawberry.interface(description="One change of one installation.")
class InstallationEvent:
    row: strawberry.Private[domain.Event]
    id: strawberry.ID = strawberry.field(description="Unlike that of any other event.")
    cursor: str = strawberry.field(description="A place in the log: give it back as `after`.")
    occurred_at: datetime = strawberry.field(description="When it happened.")
    actor: Actor = strawberry.field(description="Who did it.")
    installation_id: strawberry.ID = strawberry.field(
        description="Which installation it happened to, even when that is gone."
    )
    version: int = strawberry.field(description="The installation's version that this event made.")

    @strawberry.field(
        description="The installation as it is now; null once it is deleted.", graphql_type=Installation | None
    )
    def installation(self, info: Info) -> MappedFuture[Any, Installation | None]:
        return info.context.loaders.installations.load(self.row.installation_id, Installation.found)

    @property
    def share_key(self) -> Hashable:
        """Equal for equal events: what is made of one may be shared."""
        return self.row.share_key


@strawberry.type(description="An installation was created, changed its status, or was deleted.")
class InstallationStatusChanged(InstallationEvent):
    from_: InstallationStatus | None = strawberry.field(name="from", description="Null: it was created.")
    to: InstallationStatus | None = strawberry.field(description="Null: it was deleted.")
    reason: StatusReason = strawberry.field(description="Why.")


@strawberry.type(description="The application's own data changed. Told to those only who may read it.")
class InstallationMetadataUpdated(InstallationEvent):
    changed_keys: list[str] = strawberry.field(description="The top-level keys that were added, changed or removed.")


@strawberry.type(description="The application told how far its synchronisation is.")
class InstallationSyncProgressed(InstallationEvent):
    steps: list[SyncStep] = strawberry.field(description="How far each part is.")


@strawberry.type(description="The application told whether it reached its own system.")
class InstallationConnectionReported(InstallationEvent):
    succeeded: bool = strawberry.field(description="Whether it was reached.")
    failures: int = strawberry.field(description="How many there were in a row.")
    message: str | None = strawberry.field(description="What the application said of it, for people.")


@strawberry.type(description="The user authorized again; the status stayed, and the expiry is new.")
class InstallationAuthorizationRenewed(InstallationEvent):
    expires_at: datetime | None = strawberry.field(description="Null: it does not end.")


EVENT_TYPES = (
    InstallationStatusChanged,
    InstallationMetadataUpdated,
    InstallationSyncProgressed,
    InstallationConnectionReported,
    InstallationAuthorizationRenewed,
)


_KEPT_VIEWS = 64
_views: OrderedDict[int, tuple[domain.Event, InstallationEvent]] = OrderedDict()


def shared_event_of(row: domain.Event) -> InstallationEvent:
    """Show an event that many are told of: one object for all who are told of it about now, which nobody changes."""
    known = _views.get(id(row))
    if known is not None and known[0] is row:
        return known[1]
    shown = event_of(row)
    _views[id(row)] = (row, shown)
    if len(_views) > _KEPT_VIEWS:
        _views.popitem(last=False)
    return shown


def event_of(row: domain.Event) -> InstallationEvent:
    """Show an event as the type that tells of its change."""
    actor = row.actor
    shared: dict[str, Any] = {
        "row": row,
        "id": strawberry.ID(str(row.position.id)),
        "cursor": encode_position(row.position),
        "occurred_at": row.occurred_at,
        "actor": Actor(kind=actor.kind, id=strawberry.ID(actor.id) if actor.id else None, label=actor.label),
        "installation_id": strawberry.ID(str(row.installation_id)),
        "version": row.version,
    }
    match row.change:
        case domain.StatusChanged() as change:
            reason = StatusReason(code=change.reason, message=change.message, since=row.occurred_at)
            return InstallationStatusChanged(**shared, from_=change.before, to=change.after, reason=reason)
        case domain.MetadataUpdated(changed_keys=keys):
            return InstallationMetadataUpdated(**shared, changed_keys=list(keys))
        case domain.SyncProgressed(steps=steps):
            return InstallationSyncProgressed(**shared, steps=sync_steps(steps))
        case domain.ConnectionReported() as change:
            return InstallationConnectionReported(
                **shared, succeeded=change.succeeded, failures=change.failures, message=change.message
            )
        case domain.AuthorizationRenewed(expires_at=expires_at):
            return InstallationAuthorizationRenewed(**shared, expires_at=expires_at)
        case _:
            assert_never(row.change)


@strawberry.type(description="A row of a list of events.")
class InstallationEventEdge:
    node: InstallationEvent = strawberry.field(description="The event.")
    cursor: str = strawberry.field(description="Its place in the log: give it back as `after`.")


@strawberry.type(description="A page of events, oldest first.")
class InstallationEventConnection:
    edges: list[InstallationEventEdge] = strawberry.field(description="The events, each with its cursor.")
    nodes: list[InstallationEvent] = strawberry.field(description="The events alone.")
    page_info: PageInfo = strawberry.field(description="Where the page lies, and where to go on.")

    @staticmethod
    def of(page: Page[domain.Event]) -> "InstallationEventConnection":
        nodes = [event_of(row) for row in page.items]
        return InstallationEventConnection(
            edges=[InstallationEventEdge(node=node, cursor=node.cursor) for node in nodes],
            nodes=nodes,
            page_info=PageInfo.of(page, cursors=[node.cursor for node in nodes]),
        )


def filter_of(
    info: Info, given: InstallationEventFilter | None, *, kinds: frozenset[EventKind] = ALL_KINDS
) -> EventFilter:
    """Narrow what is asked for to what the caller may see."""
    wanted = given or InstallationEventFilter()
    return events_for(
        info.context.principal,
        installation_id=optional_uuid_of(wanted.installation_id, argument="installationId"),
        application_id=optional_uuid_of(wanted.application_id, argument="applicationId"),
        account_id=account_id_of(wanted.account_id),
        kinds=kinds,
    )


async def history_connection(
    info: Info, *, installation_id: UUID, first: int | None, after: str | None, last: int | None, before: str | None
) -> InstallationEventConnection:
    """Load one page of an installation's history, together with the same page of its siblings."""
    asked = window(first=first, after=after, last=last, before=before, place=_position)
    return InstallationEventConnection.of(await info.context.loaders.histories.load(Request(installation_id, asked)))


async def event_connection(
    info: Info, *, filter: InstallationEventFilter | None, first: int | None, after: str | None
) -> InstallationEventConnection:
    """Read one page of the log."""
    asked = window(first=first, after=after, last=None, before=None, place=_position)
    page = await history.list_events(info.context.services, matching=filter_of(info, filter), window=asked)
    return InstallationEventConnection.of(page)


def _position(cursor: str, argument: str) -> domain.Position:
    return decode_position(cursor, argument=argument)
