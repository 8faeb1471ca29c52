"""Events: one for each version of an installation, in one append-only log."""

import enum
from datetime import datetime
from operator import attrgetter
from typing import ClassVar
from uuid import UUID

from gateway.domain.cursors import Position
from gateway.domain.installations import InstallationStatus, StatusReasonCode, SyncStep
from gateway.domain.principals import PrincipalKind
from gateway.domain.records import record


class EventKind(enum.Enum):
    """The kind of change that an event records."""

    STATUS_CHANGED = "STATUS_CHANGED"
    METADATA_UPDATED = "METADATA_UPDATED"
    SYNC_PROGRESSED = "SYNC_PROGRESSED"
    CONNECTION_REPORTED = "CONNECTION_REPORTED"
    AUTHORIZATION_RENEWED = "AUTHORIZATION_RENEWED"


@record
class Actor:
    """The caller that made the change, copied into the event, so that it outlives the credential."""

    kind: PrincipalKind
    id: str | None
    label: str | None


@record
class StatusChanged:
    """`before` is None where the installation was created, `after` where it was deleted."""

    kind: ClassVar = EventKind.STATUS_CHANGED
    before: InstallationStatus | None
    after: InstallationStatus | None
    reason: StatusReasonCode
    message: str | None


@record
class MetadataUpdated:
    kind: ClassVar = EventKind.METADATA_UPDATED
    changed_keys: tuple[str, ...]


@record
class SyncProgressed:
    kind: ClassVar = EventKind.SYNC_PROGRESSED
    steps: tuple[SyncStep, ...]


@record
class ConnectionReported:
    kind: ClassVar = EventKind.CONNECTION_REPORTED
    succeeded: bool
    failures: int
    message: str | None


@record
class AuthorizationRenewed:
    kind: ClassVar = EventKind.AUTHORIZATION_RENEWED
    expires_at: datetime | None


Change = StatusChanged | MetadataUpdated | SyncProgressed | ConnectionReported | AuthorizationRenewed


@record
class NewEvent:
    """A change of an installation that has no position in the log yet."""

    occurred_at: datetime
    actor: Actor
    installation_id: UUID
    application_id: UUID
    account_id: UUID
    version: int
    """The installation's version after the change."""
    change: Change


@record
class Event(NewEvent):
    """A change of an installation, at its position in the log."""

    position: Position
    cursor: str
    """The position as clients see it."""

    share_key: ClassVar[property] = property(attrgetter("position"))
    """Equal for equal events: subscribers with equal share keys get one payload."""
