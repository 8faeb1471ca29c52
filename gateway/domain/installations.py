"""Installations, and the applications and accounts that they connect."""

import enum
from dataclasses import field
from datetime import datetime
from uuid import UUID

from gateway.domain.records import record


class InstallationStatus(enum.Enum):
    """The status of an installation."""

    AUTHORIZED = "AUTHORIZED"
    """The user has authorized the application; it is not ready for use yet."""
    ACTIVATED = "ACTIVATED"
    """Active and ready for use."""
    INACTIVE = "INACTIVE"
    """Not usable: deactivated, not authorized any more, or the connection failed too often."""
    PENDING_INTEGRATION = "PENDING_INTEGRATION"
    """A synchronisation runs; disconnecting now would lose data."""

    __hash__ = object.__hash__  # as that of PrincipalKind


class AuthorizationMethod(enum.Enum):
    """How a user authorizes an application."""

    OAUTH = "OAUTH"
    """Authorizing completes the installation, unless the application requires configuration."""
    API_KEY = "API_KEY"
    """After the authorization, the application completes the installation with its API key."""


class StatusReasonCode(enum.Enum):
    """Why an installation has its status."""

    AUTHORIZATION_COMPLETED = "AUTHORIZATION_COMPLETED"
    CONFIGURATION_COMPLETED = "CONFIGURATION_COMPLETED"
    API_KEY_CONNECTED = "API_KEY_CONNECTED"
    SYNC_STARTED = "SYNC_STARTED"
    SYNC_SUCCEEDED = "SYNC_SUCCEEDED"
    SYNC_FAILED = "SYNC_FAILED"
    SYNC_TIMED_OUT = "SYNC_TIMED_OUT"
    CONNECTION_FAILED = "CONNECTION_FAILED"
    AUTHORIZATION_EXPIRED = "AUTHORIZATION_EXPIRED"
    AUTHORIZATION_REVOKED = "AUTHORIZATION_REVOKED"
    NOT_ENTITLED = "NOT_ENTITLED"
    DEACTIVATED = "DEACTIVATED"
    DELETED = "DELETED"


class DeactivationReason(enum.Enum):
    """The reasons that a caller may give for deactivation; each is also a StatusReasonCode."""

    AUTHORIZATION_REVOKED = "AUTHORIZATION_REVOKED"
    NOT_ENTITLED = "NOT_ENTITLED"
    CONNECTION_FAILED = "CONNECTION_FAILED"
    DEACTIVATED = "DEACTIVATED"


class SyncOutcome(enum.Enum):
    """The outcome of a synchronisation, as the application reports it."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class SyncState(enum.Enum):
    """The state of the current or last synchronisation."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    """Its lease expired before the application reported again."""


@record
class Application:
    """A third-party client, listed in the marketplace or not."""

    id: UUID
    slug: str
    name: str
    description: str
    categories: tuple[str, ...]
    logo_url: str | None
    authorization_method: AuthorizationMethod
    requires_configuration: bool
    listed: bool
    created_at: datetime
    updated_at: datetime


@record
class Account:
    """A company on the platform."""

    id: UUID
    name: str


@record
class StatusReason:
    code: StatusReasonCode
    message: str | None
    since: datetime


@record
class SyncStep:
    """A part of a synchronisation, named by the application (tags, tax-codes, vendors, …)."""

    name: str
    done: int
    total: int | None


@record
class Sync:
    """The current or last synchronisation; `expires_at` is the end of its lease while it runs."""

    state: SyncState
    started_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None
    lease_seconds: int
    steps: tuple[SyncStep, ...]
    message: str | None


@record
class Installation:
    """The connection between an application and an account.

    `metadata` is the application's own JSON object as text, so that numbers and the order of keys stay as sent. The
    names are those that its application and its account had when it was read; None where they were not read with it.
    """

    id: UUID
    application_id: UUID
    account_id: UUID
    status: InstallationStatus
    status_reason: StatusReason
    metadata: str
    version: int
    sync: Sync | None
    connection_failures: int
    authorization_expires_at: datetime | None
    created_at: datetime
    updated_at: datetime
    activated_at: datetime | None
    application_name: str | None = field(default=None, compare=False)
    application_slug: str | None = field(default=None, compare=False)
    account_name: str | None = field(default=None, compare=False)
