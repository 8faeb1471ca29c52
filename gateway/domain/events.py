"""What has happened to an installation: one event for each version of it, in one append-only log."""

import enum
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, assert_never
from uuid import UUID

from gateway.domain.installations import InstallationStatus, StatusReasonCode, SyncStep
from gateway.domain.principals import PrincipalKind


class Position(NamedTuple):
    """A place in the log: events are ordered by the writing transaction, then by their number.

    It is always the place of a row that was committed, or the start (0, 0); never a bare transaction id, since
    Postgres hands out again, after a crash, the ids of transactions that wrote nothing it had to keep.
    Positions of different epochs have no order.
    """

    epoch: int
    """Which log: 60 bits, drawn anew when a dump of the log is found in another cluster."""
    xid: int
    id: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who did it: copied into the event, so that it outlives the credential."""

    kind: PrincipalKind
    id: str | None
    label: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusChanged:
    """`before` is None where the installation was created, `after` where it was deleted."""

    before: InstallationStatus | None
    after: InstallationStatus | None
    reason: StatusReasonCode
    message: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class MetadataUpdated:
    changed_keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncProgressed:
    steps: tuple[SyncStep, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionReported:
    succeeded: bool
    failures: int
    message: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AuthorizationRenewed:
    expires_at: datetime | None


Change = StatusChanged | MetadataUpdated | SyncProgressed | ConnectionReported | AuthorizationRenewed


class EventKind(enum.Enum):
    """What sort of change an event tells of."""

    STATUS_CHANGED = "STATUS_CHANGED"
    METADATA_UPDATED = "METADATA_UPDATED"
    SYNC_PROGRESSED = "SYNC_PROGRESSED"
    CONNECTION_REPORTED = "CONNECTION_REPORTED"
    AUTHORIZATION_RENEWED = "AUTHORIZATION_RENEWED"


def kind_of(change: Change) -> EventKind:
    match change:
        case StatusChanged():
            return EventKind.STATUS_CHANGED
        case MetadataUpdated():
            return EventKind.METADATA_UPDATED
        case SyncProgressed():
            return EventKind.SYNC_PROGRESSED
        case ConnectionReported():
            return EventKind.CONNECTION_REPORTED
        case AuthorizationRenewed():
            return EventKind.AUTHORIZATION_RENEWED
        case _:
            assert_never(change)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewEvent:
    """One change of one installation, before it has its place in the log."""

    occurred_at: datetime
    actor: Actor
    installation_id: UUID
    application_id: UUID
    account_id: UUID
    version: int
    """The installation's version that this event made."""
    change: Change


@dataclass(frozen=True, kw_only=True, slots=True)
class Event(NewEvent):
    """One change of one installation, at its place in the log."""

    position: Position

    @property
    def share_key(self) -> Hashable:
        """Equal for equal events: what is made of one may be shared."""
        return self.position
