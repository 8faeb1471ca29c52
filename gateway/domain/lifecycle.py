"""The life of an installation: which action leads from which status to which, and what it changes.

The only place where these rules live. Every function is pure: it takes the installation as it is and returns the
step to be stored, or None where what is asked for is already so.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from gateway.domain.actions import InstallationAction
from gateway.domain.events import (
    AuthorizationRenewed,
    Change,
    ConnectionReported,
    MetadataUpdated,
    StatusChanged,
    SyncProgressed,
)
from gateway.domain.installations import (
    Application,
    AuthorizationMethod,
    Installation,
    InstallationStatus,
    StatusReason,
    StatusReasonCode,
    Sync,
    SyncOutcome,
    SyncState,
    SyncStep,
)

_AUTHORIZED, _ACTIVATED = InstallationStatus.AUTHORIZED, InstallationStatus.ACTIVATED
_INACTIVE, _PENDING = InstallationStatus.INACTIVE, InstallationStatus.PENDING_INTEGRATION
_LIVING = frozenset(InstallationStatus)

ALLOWED_FROM: dict[InstallationAction, frozenset[InstallationStatus | None]] = {
    InstallationAction.AUTHORIZE: _LIVING | {None},
    InstallationAction.CREATE: frozenset({None, _AUTHORIZED}),
    InstallationAction.ACTIVATE: frozenset({_AUTHORIZED}),
    InstallationAction.START_SYNC: frozenset({_ACTIVATED}),
    InstallationAction.REPORT_SYNC_PROGRESS: frozenset({_PENDING}),
    InstallationAction.FINISH_SYNC: frozenset({_PENDING}),
    InstallationAction.REPORT_CONNECTION_FAILURE: frozenset({_ACTIVATED, _PENDING}),
    InstallationAction.REPORT_CONNECTION_SUCCESS: frozenset({_ACTIVATED, _PENDING}),
    InstallationAction.DEACTIVATE: _LIVING - {_INACTIVE},
    InstallationAction.UPDATE_METADATA: _LIVING,
    InstallationAction.DELETE: _LIVING - {_PENDING},
}
"""From which statuses an action leads on; None is an installation that does not exist yet."""


def is_allowed_from(
    action: InstallationAction, *, status: InstallationStatus | None, method: AuthorizationMethod | None = None
) -> bool:
    """Tell whether the action is possible from this status.

    The application's method matters for CREATE alone: only API-key applications create installations.
    """
    if action is InstallationAction.CREATE and method is not AuthorizationMethod.API_KEY:
        return False
    return status in ALLOWED_FROM[action]


_ALREADY = {
    InstallationAction.ACTIVATE: _ACTIVATED,
    InstallationAction.START_SYNC: _PENDING,
    InstallationAction.DEACTIVATE: _INACTIVE,
}


def is_noop(action: InstallationAction, *, status: InstallationStatus | None) -> bool:
    """Tell whether this status is what the action leads to: doing it again succeeds and changes nothing."""
    return status is not None and _ALREADY.get(action) is status


@dataclass(frozen=True, kw_only=True, slots=True)
class Transition:
    """What is to be stored: the installation as it is now (None: deleted), and the change that the log tells.

    Without a change only a lease is renewed: the version stays, and there is no event.
    """

    installation: Installation | None
    change: Change | None


def _changed(installation: Installation, change: Change, *, now: datetime, **fields: Any) -> Transition:
    return Transition(
        installation=replace(
            installation,
            version=installation.version + 1,
            # A clock that went back does not make an installation older than it was.
            updated_at=max(now, installation.updated_at),
            **fields,
        ),
        change=change,
    )


def _moved(
    installation: Installation,
    status: InstallationStatus,
    code: StatusReasonCode,
    *,
    now: datetime,
    message: str | None = None,
    **fields: Any,
) -> Transition:
    change = StatusChanged(before=installation.status, after=status, reason=code, message=message)
    reason = StatusReason(code=code, message=message, since=now)
    return _changed(installation, change, now=now, status=status, status_reason=reason, **fields)


def _started(
    *, installation_id: UUID, application: Application, account_id: UUID, status: InstallationStatus,
    code: StatusReasonCode, metadata: str, expires_at: datetime | None, now: datetime,
) -> Transition:  # fmt: skip
    installation = Installation(
        id=installation_id,
        application_id=application.id,
        account_id=account_id,
        status=status,
        status_reason=StatusReason(code=code, message=None, since=now),
        metadata=metadata,
        version=1,
        sync=None,
        connection_failures=0,
        authorization_expires_at=expires_at,
        created_at=now,
        updated_at=now,
        activated_at=now if status is _ACTIVATED else None,
    )
    return Transition(
        installation=installation, change=StatusChanged(before=None, after=status, reason=code, message=None)
    )


def _authorized_status(application: Application) -> InstallationStatus:
    match application.authorization_method:
        case AuthorizationMethod.OAUTH if not application.requires_configuration:
            return _ACTIVATED
        case _:
            return _AUTHORIZED


def authorize(
    installation: Installation | None,
    *,
    installation_id: UUID,
    application: Application,
    account_id: UUID,
    expires_at: datetime | None,
    now: datetime,
) -> Transition | None:
    """The user finished the authorization: begin, come back from INACTIVE, or renew the expiry."""
    code = StatusReasonCode.AUTHORIZATION_COMPLETED
    status = _authorized_status(application)
    if installation is None:
        return _started(
            installation_id=installation_id, application=application, account_id=account_id, status=status,
            code=code, metadata="{}", expires_at=expires_at, now=now,
        )  # fmt: skip
    if installation.status is _INACTIVE:
        activated_at = now if status is _ACTIVATED else installation.activated_at
        return _moved(
            installation, status, code, now=now,
            authorization_expires_at=expires_at, connection_failures=0, activated_at=activated_at,
        )  # fmt: skip
    if installation.authorization_expires_at == expires_at:
        return None
    return _changed(
        installation, AuthorizationRenewed(expires_at=expires_at), now=now, authorization_expires_at=expires_at
    )


def create(
    installation: Installation | None,
    *,
    installation_id: UUID,
    application: Application,
    account_id: UUID,
    metadata: str | None,
    now: datetime,
) -> Transition:
    """The application of the API-key method completes the installation; without metadata it keeps what it has."""
    code = StatusReasonCode.API_KEY_CONNECTED
    if installation is None:
        return _started(
            installation_id=installation_id, application=application, account_id=account_id, status=_ACTIVATED,
            code=code, metadata="{}" if metadata is None else metadata, expires_at=None, now=now,
        )  # fmt: skip
    kept = installation.metadata if metadata is None else metadata
    return _moved(installation, _ACTIVATED, code, now=now, metadata=kept, activated_at=now)


def activate(installation: Installation, *, now: datetime) -> Transition | None:
    """The application's configuration is complete."""
    if installation.status is _ACTIVATED:
        return None
    return _moved(installation, _ACTIVATED, StatusReasonCode.CONFIGURATION_COMPLETED, now=now, activated_at=now)


def start_sync(
    installation: Installation, *, lease_seconds: int, steps: tuple[SyncStep, ...], now: datetime
) -> Transition | None:
    """Begin to synchronise. Until the lease ends, the application reports progress or finishes."""
    if installation.status is _PENDING:
        return None
    sync = Sync(
        state=SyncState.RUNNING,
        started_at=now,
        finished_at=None,
        expires_at=now + timedelta(seconds=lease_seconds),
        lease_seconds=lease_seconds,
        steps=steps,
        message=None,
    )
    return _moved(installation, _PENDING, StatusReasonCode.SYNC_STARTED, now=now, sync=sync)


def _running_sync(installation: Installation) -> Sync:
    assert installation.sync is not None, "a pending installation has a sync"  # noqa: S101 - the schema says so too
    return installation.sync


def report_sync_progress(
    installation: Installation, *, steps: tuple[SyncStep, ...], message: str | None, now: datetime
) -> Transition:
    """Renew the lease; where the steps or the message are new, the log tells."""
    sync = _running_sync(installation)
    renewed = replace(sync, expires_at=now + timedelta(seconds=sync.lease_seconds), steps=steps, message=message)
    if (steps, message) == (sync.steps, sync.message):
        return Transition(installation=replace(installation, sync=renewed), change=None)
    return _changed(installation, SyncProgressed(steps=steps), now=now, sync=renewed)


def _ended(sync: Sync | None, state: SyncState, *, now: datetime, message: str | None) -> Sync | None:
    if sync is None or sync.state is not SyncState.RUNNING:
        return sync
    return replace(sync, state=state, finished_at=now, expires_at=None, message=message)


def _failed_sync(
    installation: Installation,
    state: SyncState,
    code: StatusReasonCode,
    *,
    message: str | None,
    failure_limit: int,
    now: datetime,
) -> Transition:
    failures = installation.connection_failures + 1
    gone = failures >= failure_limit
    return _moved(
        installation,
        _INACTIVE if gone else _ACTIVATED,
        StatusReasonCode.CONNECTION_FAILED if gone else code,
        now=now,
        message=message,
        connection_failures=failures,
        sync=_ended(installation.sync, state, now=now, message=message),
    )


def sync_is_finished(installation: Installation, *, outcome: SyncOutcome) -> bool:
    """Tell whether the last synchronisation has already ended so."""
    return (
        installation.status is not _PENDING
        and installation.sync is not None
        and installation.sync.state is SyncState(outcome.value)
    )


def finish_sync(
    installation: Installation, *, outcome: SyncOutcome, message: str | None, failure_limit: int, now: datetime
) -> Transition | None:
    """End the synchronisation. A success shows that the connection works; a failure counts as one of it."""
    if sync_is_finished(installation, outcome=outcome):
        return None
    if outcome is SyncOutcome.FAILED:
        return _failed_sync(
            installation, SyncState.FAILED, StatusReasonCode.SYNC_FAILED,
            message=message, failure_limit=failure_limit, now=now,
        )  # fmt: skip
    return _moved(
        installation, _ACTIVATED, StatusReasonCode.SYNC_SUCCEEDED, now=now, message=message, connection_failures=0,
        sync=_ended(installation.sync, SyncState.SUCCEEDED, now=now, message=message),
    )  # fmt: skip


def report_connection(
    installation: Installation, *, succeeded: bool, message: str | None, failure_limit: int, now: datetime
) -> Transition | None:
    """Count failures in a row; at the limit the installation becomes INACTIVE."""
    failures = 0 if succeeded else installation.connection_failures + 1
    if failures >= failure_limit:
        return _deactivated(
            installation, StatusReasonCode.CONNECTION_FAILED, message=message, now=now, connection_failures=failures
        )
    if failures == installation.connection_failures:
        return None
    change = ConnectionReported(succeeded=succeeded, failures=failures, message=message)
    return _changed(installation, change, now=now, connection_failures=failures)


def _deactivated(
    installation: Installation, code: StatusReasonCode, *, message: str | None, now: datetime, **fields: Any
) -> Transition:
    ended = _ended(installation.sync, SyncState.FAILED, now=now, message="The installation became inactive.")
    return _moved(installation, _INACTIVE, code, now=now, message=message, sync=ended, **fields)


def deactivate(
    installation: Installation, *, code: StatusReasonCode, message: str | None, now: datetime
) -> Transition | None:
    """Switch the installation off until it is authorized again; a running synchronisation ends as failed."""
    if installation.status is _INACTIVE:
        return None
    return _deactivated(installation, code, message=message, now=now)


def update_metadata(
    installation: Installation, *, metadata: str, changed_keys: tuple[str, ...], now: datetime
) -> Transition | None:
    """Put other metadata in place of what there was."""
    if not changed_keys:
        return None
    return _changed(installation, MetadataUpdated(changed_keys=changed_keys), now=now, metadata=metadata)


def delete(installation: Installation) -> Transition:
    """End the installation; its events stay."""
    code = StatusReasonCode.DELETED
    return Transition(
        installation=None, change=StatusChanged(before=installation.status, after=None, reason=code, message=None)
    )


def expire(installation: Installation, *, failure_limit: int, now: datetime) -> Transition | None:
    """What the clock does: end an authorization, or a synchronisation's lease, whose time is over."""
    expires_at = installation.authorization_expires_at
    if installation.status is not _INACTIVE and expires_at is not None and expires_at <= now:
        return _deactivated(installation, StatusReasonCode.AUTHORIZATION_EXPIRED, message=None, now=now)
    if installation.status is not _PENDING:
        return None
    lease = _running_sync(installation).expires_at
    if lease is None or lease > now:
        return None
    return _failed_sync(
        installation, SyncState.TIMED_OUT, StatusReasonCode.SYNC_TIMED_OUT,
        message="The lease ran out before the application reported again.", failure_limit=failure_limit, now=now,
    )  # fmt: skip
