"""What has happened to an installation: one event for each version of it, in one append-only log."""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from gateway.domain.installations import InstallationStatus, StatusReasonCode, SyncStep
from gateway.domain.principals import PrincipalKind


class Position(NamedTuple):
    """A place in the log: events are ordered by the writing transaction, then by their number in it."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One change of one installation, at its place in the log."""

    position: Position
    occurred_at: datetime
    actor: Actor
    installation_id: UUID
    application_id: UUID
    account_id: UUID
    version: int
    """The installation's version that this event made."""
    change: Change

    @property
    def share_key(self) -> Hashable:
        """Equal for equal events: what is made of one may be shared."""
        return self.position
