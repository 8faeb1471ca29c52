"""Applications, installations and principals for the tests of the domain."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from gateway.domain.input_checks import InputCheck
from gateway.domain.installations import (
    Application,
    AuthorizationMethod,
    Installation,
    InstallationStatus,
    StatusReason,
    StatusReasonCode,
    Sync,
    SyncState,
    SyncStep,
)
from gateway.domain.metadata import encode_metadata
from gateway.domain.principals import Principal, PrincipalKind

BEFORE = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = BEFORE + timedelta(hours=1)
APPLICATION_ID, ACCOUNT_ID, INSTALLATION_ID = UUID(int=1), UUID(int=2), UUID(int=3)
OTHER_ID = UUID(int=4)
STEPS = (SyncStep(name="tags", done=1, total=2),)

CALLERS = {
    PrincipalKind.PLATFORM: Principal(kind=PrincipalKind.PLATFORM),
    PrincipalKind.APPLICATION: Principal(kind=PrincipalKind.APPLICATION, application_id=APPLICATION_ID),
    PrincipalKind.ACCOUNT: Principal(kind=PrincipalKind.ACCOUNT, account_id=ACCOUNT_ID),
    PrincipalKind.SYSTEM: Principal(kind=PrincipalKind.SYSTEM),
}


def an_application(
    method: AuthorizationMethod = AuthorizationMethod.OAUTH,
    *,
    requires_configuration: bool = False,
    listed: bool = True,
) -> Application:
    return Application(
        id=APPLICATION_ID,
        slug="ledger",
        name="Ledger",
        description="",
        categories=(),
        logo_url=None,
        authorization_method=method,
        requires_configuration=requires_configuration,
        listed=listed,
        created_at=BEFORE,
        updated_at=BEFORE,
    )


def a_sync(state: SyncState = SyncState.RUNNING, **fields: Any) -> Sync:
    running = state is SyncState.RUNNING
    given: dict[str, Any] = {
        "state": state,
        "started_at": BEFORE,
        "finished_at": None if running else BEFORE,
        "expires_at": BEFORE + timedelta(days=1) if running else None,
        "lease_seconds": 300,
        "steps": (),
        "message": None,
    }
    return Sync(**given | fields)


def an_installation(status: InstallationStatus = InstallationStatus.ACTIVATED, **fields: Any) -> Installation:
    given: dict[str, Any] = {
        "id": INSTALLATION_ID,
        "application_id": APPLICATION_ID,
        "account_id": ACCOUNT_ID,
        "status": status,
        "status_reason": StatusReason(code=StatusReasonCode.AUTHORIZATION_COMPLETED, message=None, since=BEFORE),
        "metadata": '{"plan":"small"}',
        "version": 7,
        "sync": a_sync() if status is InstallationStatus.PENDING_INTEGRATION else None,
        "connection_failures": 1,
        "authorization_expires_at": None,
        "created_at": BEFORE,
        "updated_at": BEFORE,
        "activated_at": None,
    }
    return Installation(**given | fields)


def encoded(metadata: object) -> str:
    """Return the text of metadata. Raises InvalidInput."""
    check = InputCheck()
    text = encode_metadata(metadata, check, "metadata")
    check.finish()
    return text
