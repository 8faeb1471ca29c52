"""The lifecycle of an installation: which action is allowed from which status, and what it changes.

The only place where these rules live. Every function is pure: it takes the installation as it is, and returns the
transition to store. Whether there is anything to do is asked before, through `is_noop`.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from gateway.domain.actions import InstallationAction
from gateway.domain.events import (
    Actor,
    AuthorizationRenewed,
    Change,
    ConnectionReported,
    MetadataUpdated,
    NewEvent,
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
from gateway.domain.metadata import changed_keys
from gateway.domain.principals import Principal
from gateway.domain.records import record

_AUTHORIZED, _ACTIVATED = InstallationStatus.AUTHORIZED, InstallationStatus.ACTIVATED
_INACTIVE, _PENDING = InstallationStatus.INACTIVE, InstallationStatus.PENDING_INTEGRATION
_EVERY = frozenset(InstallationStatus)
_CONNECTED = frozenset({_ACTIVATED, _PENDING})

ALLOWED_FROM: dict[InstallationAction, frozenset[InstallationStatus | None]] = {
    InstallationAction.AUTHORIZE: _EVERY | {None},
    InstallationAction.CREATE: frozenset({_AUTHORIZED}),
    InstallationAction.ACTIVATE: frozenset({_AUTHORIZED}),
    InstallationAction.START_SYNC: frozenset({_ACTIVATED}),
    InstallationAction.REPORT_SYNC_PROGRESS: frozenset({_PENDING}),
    InstallationAction.FINISH_SYNC: frozenset({_PENDING}),
    InstallationAction.REPORT_CONNECTION_FAILURE: _CONNECTED,
    InstallationAction.REPORT_CONNECTION_SUCCESS: _CONNECTED,
    InstallationAction.DEACTIVATE: _EVERY - {_INACTIVE},
    InstallationAction.UPDATE_METADATA: _EVERY,
    InstallationAction.DELETE: _EVERY - {_PENDING},
}
"""From which statuses an action leads to a change; None: there is no installation yet."""


def is_allowed_from(
    action: InstallationAction, *, status: InstallationStatus | None, method: AuthorizationMethod | None = None
) -> bool:
    """Return whether the action leads from this status to a change.

    The application's method matters for CREATE alone: only API-key applications create installations.
    """
    if action is InstallationAction.CREATE and method is not AuthorizationMethod.API_KEY:
        return False
    return status in ALLOWED_FROM[action]


def is_noop(action: InstallationAction, installation: Installation, argument: Any = None) -> bool:
    """Return whether the action has nothing to do, because what it asks for is already so: it changes nothing then.

    The argument is the action's own: the expiry for AUTHORIZE, the metadata as text or None for CREATE, the outcome for
    FINISH_SYNC, the keys that change for UPDATE_METADATA. An action that is not listed always changes something.
    """
    status, noop = installation.status, False
    match action:
        case InstallationAction.UPDATE_METADATA:
            noop = not argument
        case InstallationAction.AUTHORIZE:
            noop = status is not _INACTIVE and installation.authorization_expires_at == argument
        case InstallationAction.CREATE:
            noop = status in _CONNECTED and (argument is None or not changed_keys(installation.metadata, argument))
        case InstallationAction.ACTIVATE:
            noop = status is _ACTIVATED
        case InstallationAction.START_SYNC:
            noop = status is _PENDING
        case InstallationAction.FINISH_SYNC:
            noop = installation.sync is not None and installation.sync.state.value == argument.value
        case InstallationAction.REPORT_CONNECTION_SUCCESS:
            noop = status in _CONNECTED and installation.connection_failures == 0
        case InstallationAction.DEACTIVATE:
            noop = status is _INACTIVE
    return noop


@record
class Transition:
    """What to store: the installation as it becomes (None: deleted), and the change for the event log.

    Without a change only a lease is renewed: the version stays, and there is no event.
    """

    installation: Installation | None
    change: Change | None

    def event(self, before: Installation | None, *, principal: Principal, now: datetime) -> NewEvent | None:
        """Return the event to append; `before` is the installation as it was, None where it is created."""
        installation = self.installation or before
        if self.change is None or installation is None:
            return None
        return NewEvent(
            occurred_at=now,
            actor=Actor(kind=principal.kind, id=principal.id, label=principal.label),
            installation_id=installation.id,
            application_id=installation.application_id,
            account_id=installation.account_id,
            version=installation.version if self.installation else installation.version + 1,
            change=self.change,
        )


def authorize(
    installation: Installation | None,
    *,
    installation_id: UUID,
    application: Application,
    account_id: UUID,
    expires_at: datetime | None,
    now: datetime,
) -> Transition:
    """The user completed the authorization: create the installation, leave INACTIVE, or renew the expiry.

    An OAuth application that requires no configuration is ACTIVATED by that.
    """
    code = StatusReasonCode.AUTHORIZATION_COMPLETED
    ready = application.authorization_method is AuthorizationMethod.OAUTH and not application.requires_configuration
    status = _ACTIVATED if ready else _AUTHORIZED
    if installation is None:
        pair = (application.id, account_id)
        return _created(installation_id, pair, status, code, now=now, expires_at=expires_at)
    if installation.status is not _INACTIVE:
        renewed = AuthorizationRenewed(expires_at=expires_at)
        return _changed(installation, renewed, now=now, authorization_expires_at=expires_at)
    change = StatusChanged(before=installation.status, after=status, reason=code, message=None)
    return _changed(
        installation,
        change,
        now=now,
        authorization_expires_at=expires_at,
        connection_failures=0,
        activated_at=now if status is _ACTIVATED else installation.activated_at,
    )


def create(installation: Installation, *, metadata: str | None, now: datetime) -> Transition:
    """The API-key application completes the installation; without metadata it keeps what it has."""
    code = StatusReasonCode.API_KEY_CONNECTED
    change = StatusChanged(before=installation.status, after=_ACTIVATED, reason=code, message=None)
    kept = installation.metadata if metadata is None else metadata
    return _changed(installation, change, now=now, metadata=kept, activated_at=now)


def activate(installation: Installation, *, now: datetime) -> Transition:
    """The application's configuration is complete."""
    code = StatusReasonCode.CONFIGURATION_COMPLETED
    change = StatusChanged(before=installation.status, after=_ACTIVATED, reason=code, message=None)
    return _changed(installation, change, now=now, activated_at=now)


def start_sync(
    installation: Installation,
    *,
    lease_seconds: int,
    longest_sync: timedelta,
    steps: tuple[SyncStep, ...],
    now: datetime,
) -> Transition:
    """Start a synchronisation. The application has to report progress or finish before the lease expires."""
    sync = Sync(
        state=SyncState.RUNNING,
        started_at=now,
        finished_at=None,
        expires_at=now + min(timedelta(seconds=lease_seconds), longest_sync),
        lease_seconds=lease_seconds,
        steps=steps,
        message=None,
    )
    code = StatusReasonCode.SYNC_STARTED
    change = StatusChanged(before=installation.status, after=_PENDING, reason=code, message=None)
    return _changed(installation, change, now=now, sync=sync)


def report_sync_progress(
    installation: Installation,
    *,
    longest_sync: timedelta,
    steps: tuple[SyncStep, ...],
    message: str | None,
    now: datetime,
) -> Transition:
    """Renew the lease, up to the longest total; there is an event only where the steps or the message changed."""
    sync = _running_sync(installation)
    lease = min(now + timedelta(seconds=sync.lease_seconds), sync.started_at + longest_sync)
    renewed = replace(sync, expires_at=lease, steps=steps, message=message)
    if (steps, message) == (sync.steps, sync.message):
        return Transition(installation=replace(installation, sync=renewed), change=None)
    return _changed(installation, SyncProgressed(steps=steps), now=now, sync=renewed)


def finish_sync(
    installation: Installation, *, outcome: SyncOutcome, message: str | None, failure_limit: int, now: datetime
) -> Transition:
    """End the synchronisation. Success resets the count of connection failures, a failed one adds to it."""
    if outcome is SyncOutcome.FAILED:
        code = StatusReasonCode.SYNC_FAILED
        return _failed_sync(installation, SyncState.FAILED, code, message=message, failure_limit=failure_limit, now=now)
    code, sync = StatusReasonCode.SYNC_SUCCEEDED, _ended_sync(installation, SyncState.SUCCEEDED, message, now=now)
    change = StatusChanged(before=installation.status, after=_ACTIVATED, reason=code, message=message)
    return _changed(installation, change, now=now, connection_failures=0, sync=sync)


def report_connection(
    installation: Installation, *, succeeded: bool, message: str | None, failure_limit: int, now: datetime
) -> Transition:
    """Count failures in a row; at the limit the installation becomes INACTIVE."""
    failures = 0 if succeeded else installation.connection_failures + 1
    if failures >= failure_limit:
        code = StatusReasonCode.CONNECTION_FAILED
        return deactivate(installation, code=code, message=message, now=now, connection_failures=failures)
    change = ConnectionReported(succeeded=succeeded, failures=failures, message=message)
    return _changed(installation, change, now=now, connection_failures=failures)


def deactivate(
    installation: Installation, *, code: StatusReasonCode, message: str | None, now: datetime, **fields: Any
) -> Transition:
    """Make the installation INACTIVE until it is authorized again; a running synchronisation ends as failed."""
    sync = _ended_sync(installation, SyncState.FAILED, "The installation became inactive.", now=now)
    change = StatusChanged(before=installation.status, after=_INACTIVE, reason=code, message=message)
    return _changed(installation, change, now=now, sync=sync, **fields)


def update_metadata(
    installation: Installation, *, metadata: str, changed_keys: tuple[str, ...], now: datetime
) -> Transition:
    """Replace the metadata, of which these top-level keys change."""
    return _changed(installation, MetadataUpdated(changed_keys=changed_keys), now=now, metadata=metadata)


def delete(installation: Installation) -> Transition:
    """Delete the installation; its events stay."""
    code = StatusReasonCode.DELETED
    return Transition(
        installation=None, change=StatusChanged(before=installation.status, after=None, reason=code, message=None)
    )


def expire(
    installation: Installation, *, failure_limit: int, longest_sync: timedelta, now: datetime
) -> Transition | None:
    """End an authorization, or the lease of a synchronisation, that has expired; None where neither has."""
    expires_at = installation.authorization_expires_at
    if installation.status is not _INACTIVE and expires_at is not None and expires_at <= now:
        return deactivate(installation, code=StatusReasonCode.AUTHORIZATION_EXPIRED, message=None, now=now)
    if installation.status is not _PENDING:
        return None
    sync = _running_sync(installation)
    lease = sync.expires_at
    if lease is None or lease > now:
        return None
    code, message = StatusReasonCode.SYNC_TIMED_OUT, "The lease ran out before the application reported again."
    if lease >= sync.started_at + longest_sync:
        message = "The synchronisation took longer than one may take in all."
    return _failed_sync(installation, SyncState.TIMED_OUT, code, message=message, failure_limit=failure_limit, now=now)


def _created(
    installation_id: UUID,
    pair: tuple[UUID, UUID],
    status: InstallationStatus,
    code: StatusReasonCode,
    *,
    now: datetime,
    expires_at: datetime | None,
) -> Transition:
    installation = Installation(
        id=installation_id,
        application_id=pair[0],
        account_id=pair[1],
        status=status,
        status_reason=StatusReason(code=code, message=None, since=now),
        metadata="{}",
        version=1,
        sync=None,
        connection_failures=0,
        authorization_expires_at=expires_at,
        created_at=now,
        updated_at=now,
        activated_at=now if status is _ACTIVATED else None,
    )
    change = StatusChanged(before=None, after=status, reason=code, message=None)
    return Transition(installation=installation, change=change)


def _changed(installation: Installation, change: Change, *, now: datetime, **fields: Any) -> Transition:
    """Return the next version of the installation, with the status and its reason where the change is one of status."""
    if isinstance(change, StatusChanged) and change.after is not None:
        fields["status"] = change.after
        fields["status_reason"] = StatusReason(code=change.reason, message=change.message, since=now)
    # The time does not go back where the clock does.
    updated_at = max(now, installation.updated_at)
    after = replace(installation, version=installation.version + 1, updated_at=updated_at, **fields)
    return Transition(installation=after, change=change)


def _failed_sync(
    installation: Installation,
    state: SyncState,
    code: StatusReasonCode,
    *,
    message: str | None,
    failure_limit: int,
    now: datetime,
) -> Transition:
    failures, sync = installation.connection_failures + 1, _ended_sync(installation, state, message, now=now)
    status = _ACTIVATED
    if failures >= failure_limit:
        status, code = _INACTIVE, StatusReasonCode.CONNECTION_FAILED
    change = StatusChanged(before=installation.status, after=status, reason=code, message=message)
    return _changed(installation, change, now=now, connection_failures=failures, sync=sync)


def _running_sync(installation: Installation) -> Sync:
    assert installation.sync is not None, "a pending installation has a sync"  # noqa: S101 - the schema says so too
    return installation.sync


def _ended_sync(installation: Installation, state: SyncState, message: str | None, *, now: datetime) -> Sync | None:
    """Return the sync, ended where it is still running."""
    sync = installation.sync
    if sync is None or sync.state is not SyncState.RUNNING:
        return sync
    return replace(sync, state=state, finished_at=now, expires_at=None, message=message)
