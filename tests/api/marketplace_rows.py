"""Many installations, inserted as rows with chosen times."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from gateway.domain.installations import (
    Account,
    Application,
    Installation,
    InstallationStatus,
    StatusReason,
    StatusReasonCode,
    Sync,
    SyncState,
    SyncStep,
)
from gateway.storage.database import transaction
from gateway.storage.installations import insert_installation
from tests.api.conftest import Served

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
FAR_OFF = datetime(2199, 1, 1, tzinfo=UTC)
"""Nobody's clock acts on it while a test runs."""
_REASONS = {
    InstallationStatus.AUTHORIZED: StatusReasonCode.AUTHORIZATION_COMPLETED,
    InstallationStatus.ACTIVATED: StatusReasonCode.CONFIGURATION_COMPLETED,
    InstallationStatus.INACTIVE: StatusReasonCode.NOT_ENTITLED,
    InstallationStatus.PENDING_INTEGRATION: StatusReasonCode.SYNC_STARTED,
}


@dataclass(frozen=True, kw_only=True)
class Marketplace:
    applications: list[Application]
    accounts: list[Account]
    installations: list[Installation]

    @property
    def application(self) -> Application:
        return self.applications[0]

    @property
    def account(self) -> Account:
        return self.accounts[0]


async def populate(served: Served, *, applications: int, accounts: int) -> Marketplace:
    """Install each application for each account. Many are equally old, and all statuses occur."""
    offered = [await served.application(f"application-{number}") for number in range(applications)]
    companies = [await served.account(f"Company {number}") for number in range(accounts)]
    pairs = [(application, account) for account in companies for application in offered]
    installations = [
        example(application, account, number=number) for number, (application, account) in enumerate(pairs)
    ]
    await place(served, *installations)
    return Marketplace(applications=offered, accounts=companies, installations=installations)


def example(application: Application, account: Account, *, number: int) -> Installation:
    """Make the installation of this number: created in one of 7 hours, changed in one of 5 minutes after."""
    created_at = BEGINNING + timedelta(hours=number % 7)
    updated_at = BEGINNING + timedelta(days=1, minutes=number % 5)
    status = list(InstallationStatus)[number % len(InstallationStatus)]
    return Installation(
        id=uuid4(),
        application_id=application.id,
        account_id=account.id,
        status=status,
        status_reason=StatusReason(code=_REASONS[status], message=None, since=updated_at),
        metadata=json.dumps({"tier": number % 3, "of": {"number": number}}),
        version=1,
        sync=_sync(updated_at) if status is InstallationStatus.PENDING_INTEGRATION else None,
        connection_failures=0,
        authorization_expires_at=None if number % 3 else FAR_OFF + timedelta(hours=number % 5),
        created_at=created_at,
        updated_at=updated_at,
        activated_at=None,
    )


def _sync(started_at: datetime) -> Sync:
    return Sync(
        state=SyncState.RUNNING,
        started_at=started_at,
        finished_at=None,
        expires_at=FAR_OFF,
        lease_seconds=300,
        steps=(SyncStep(name="vendors", done=1, total=2),),
        message=None,
    )


async def place(served: Served, *installations: Installation) -> None:
    async with transaction(served.services.database) as connection:
        for installation in installations:
            assert await insert_installation(connection, installation)
