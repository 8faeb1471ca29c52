"""Events as clients see them: in histories, in pages of the log, and in subscriptions."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, assert_never

import strawberry
from strawberry.types.lazy_type import LazyType

from gateway.domain import events as domain
from gateway.domain.cursors import decode_position
from gateway.domain.event_filters import ALL_EVENTS, EventFilter
from gateway.domain.installations import Installation, InstallationStatus
from gateway.domain.installations import SyncStep as Step
from gateway.domain.pages import OrderDirection, window
from gateway.domain.principals import PrincipalKind
from gateway.schema.arguments import After, Before, Direction, Events, First, Last
from gateway.schema.connections import ListPage, PageInfo
from gateway.schema.context import Info
from gateway.schema.inputs import InstallationEventFilter
from gateway.schema.node import Node
from gateway.schema.status import StatusReason, SyncStep
from gateway.usecases import reads
from gateway.usecases.batch_loader import MappedFuture
from gateway.usecases.visibility import visible_actor


@strawberry.type(description="The caller that caused an event.")
class Actor:
    kind: PrincipalKind = strawberry.field(description="The kind of the caller.")
    id: str | None = strawberry.field(
        name="principalId",
        description="The id of the API key, or the subject of the access token; null for the gateway itself. Only for"
        " the platform, and for callers of the same application or account.",
        graphql_type=strawberry.ID | None,
    )
    label: str | None = strawberry.field(
        description="The label of the API key or access token; null if it has none. Only for the platform, and for"
        " callers of the same application or account."
    )


@strawberry.interface(description="A change of an installation, as the event log keeps it.")
class InstallationEvent(Node):
    row: strawberry.Private[domain.Event]
    id: str = strawberry.field(
        description="The id of the event, the same text as `cursor`.", graphql_type=strawberry.ID
    )
    cursor: str = strawberry.field(description="The position of the event in the log, to pass as `after`.")
    occurred_at: datetime = strawberry.field(description="When the change happened.")
    installation_id: strawberry.ID = strawberry.field(
        description="The id of the installation, which stays after the installation is deleted."
    )
    version: int = strawberry.field(description="The version of the installation after the change.")

    @strawberry.field(description="The caller that caused the change.", graphql_type=Actor)
    def actor(self, info: Info) -> domain.Actor:
        return visible_actor(info.context.caller, self.row.actor)

    @strawberry.field(
        description="The installation as it is now; null after it is deleted.",
        graphql_type=LazyType("Installation", "gateway.schema.nodes") | None,
    )
    def installation(self, info: Info) -> MappedFuture[Any, Installation | None]:
        return info.context.loaders.installations.load(self.row.installation_id)


@strawberry.type(description="An installation was created, changed its status, or was deleted.")
class InstallationStatusChanged(InstallationEvent):
    from_: InstallationStatus | None = strawberry.field(
        name="from", description="The status before; null if the installation was created."
    )
    to: InstallationStatus | None = strawberry.field(
        description="The status after; null if the installation was deleted."
    )
    reason: StatusReason = strawberry.field(description="The reason for the change.")


@strawberry.type(description="An application's metadata changed. Only callers that may read metadata get this event.")
class InstallationMetadataUpdated(InstallationEvent):
    changed_keys: list[str] = strawberry.field(description="The top-level keys that were added, changed or removed.")


@strawberry.type(description="The application reported the progress of a synchronisation.")
class InstallationSyncProgressed(InstallationEvent):
    steps: Sequence[Step] = strawberry.field(description="The progress of each step.", graphql_type=list[SyncStep])


@strawberry.type(description="The application reported whether it can reach its own system.")
class InstallationConnectionReported(InstallationEvent):
    succeeded: bool = strawberry.field(description="Whether the system was reached.")
    failures: int = strawberry.field(description="The number of failures in a row, this one included.")
    message: str | None = strawberry.field(description="The application's message about it, for people.")


@strawberry.type(description="The user authorized again: the status is unchanged, and the expiry is new.")
class InstallationAuthorizationRenewed(InstallationEvent):
    authorization_expires_at: datetime | None = strawberry.field(
        description="When the authorization expires; null if it does not."
    )


EVENT_TYPES = tuple(InstallationEvent.__subclasses__())


def resolve_event(row: domain.Event, _info: object = None, **_arguments: object) -> InstallationEvent:
    """Return an event of the log as the type of its change.

    graphql-core passes the arguments of a subscription's field with each event; they were applied when it began.
    """
    shared: dict[str, Any] = {
        "row": row,
        "id": row.cursor,
        "cursor": row.cursor,
        "occurred_at": row.occurred_at,
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
            return InstallationSyncProgressed(**shared, steps=steps)
        case domain.ConnectionReported() as change:
            return InstallationConnectionReported(
                **shared, succeeded=change.succeeded, failures=change.failures, message=change.message
            )
        case domain.AuthorizationRenewed(expires_at=expires_at):
            return InstallationAuthorizationRenewed(**shared, authorization_expires_at=expires_at)
        case _:
            assert_never(row.change)


@strawberry.type(description="An event in a list, with its cursor.")
class InstallationEventEdge:
    node: InstallationEvent = strawberry.field(description="The event.")
    cursor: str = strawberry.field(description="The position of the event in the log, to pass as `after`.")


@strawberry.type(description="A page of events.")
class InstallationEventConnection:
    edges: list[InstallationEventEdge] = strawberry.field(description="The events of the page with their cursors.")
    nodes: list[InstallationEvent] = strawberry.field(description="The events of the page.")
    page_info: PageInfo = strawberry.field(
        description="The position of the page in the list. A page of size 0 reads nothing: both of its flags are false."
    )


def event_filter(filter: InstallationEventFilter | None) -> EventFilter:
    """Return the filter of the events that are asked for. Raises BadUserInput."""
    return filter.value() if filter else ALL_EVENTS


def list_events(
    self: Installation | None,
    info: Info,
    filter: Events = None,
    direction: Direction = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> MappedFuture[Any, ListPage | None]:
    """Resolve a page of the event log, or of an installation's history.

    The same page of several installations is read by one statement.
    """
    pages = info.context.loaders.batched(
        reads.list_events,
        matching=event_filter(filter),
        direction=direction or OrderDirection.ASC,
        window=window(first=first, after=after, last=last, before=before, place=decode_position),
    )
    make = partial(ListPage, cursors_of=lambda rows: [row.cursor for row in rows], make=resolve_event)
    return pages.load(None if self is None else self.id, make)
