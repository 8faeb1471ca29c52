"""A dataset to change and to subscribe to: applications, accounts, an installation for each pair, and keys."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import product
from uuid import UUID

from gateway.domain.installations import Account, Application, AuthorizationMethod, Installation
from gateway.domain.principals import Principal, PrincipalKind
from gateway.feed import Feed
from gateway.storage.database import open_database
from gateway.storage.migrations import migrate
from gateway.usecases.api_keys import issue_key
from gateway.usecases.installations import authorize_installation
from gateway.usecases.marketplace import register_account, register_application
from gateway.usecases.services import Services

PLATFORM = Principal(kind=PrincipalKind.PLATFORM, label="tests")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The rows, and the services to change them in this process, with a notifier of its own."""

    services: Services
    feed: Feed
    applications: list[Application]
    accounts: list[Account]
    installations: list[Installation]
    secret: str
    """The platform's key."""

    @property
    def written(self) -> list[Installation]:
        """The installations that the writers change."""
        return self.installations[:-1]

    @property
    def unwritten(self) -> Installation:
        """An installation that the writers do not change."""
        return self.installations[-1]

    async def key(
        self, kind: PrincipalKind, *, application_id: UUID | None = None, account_id: UUID | None = None
    ) -> str:
        return await _key(self.services, kind, application_id=application_id, account_id=account_id)


@asynccontextmanager
async def populated(
    database_url: str, *, applications: int, accounts: int, pool_size: int = 16, requires_configuration: bool = False
) -> AsyncIterator[Dataset]:
    """Migrate and fill a database."""
    await migrate(database_url)
    async with (
        open_database(database_url, pool_size=pool_size, idle_in_transaction_seconds=60) as database,
        Feed(database, url=database_url) as feed,
    ):
        services = Services(database=database, notify=feed.notify)
        made = [
            await _application(services, number, requires_configuration=requires_configuration)
            for number in range(applications)
        ]
        owners = [
            await register_account(services, PLATFORM, account_id=None, name=f"Account {number}")
            for number in range(accounts)
        ]
        yield Dataset(
            services=services,
            feed=feed,
            applications=made,
            accounts=owners,
            installations=[await authorized(services, *pair) for pair in product(made, owners)],
            secret=await _key(services, PrincipalKind.PLATFORM),
        )


async def authorized(services: Services, application: Application, account: Account) -> Installation:
    return await authorize_installation(
        services, PLATFORM, application_id=application.id, account_id=account.id, expires_at=None
    )


async def _application(services: Services, number: int, *, requires_configuration: bool) -> Application:
    return await register_application(
        services,
        PLATFORM,
        slug=f"application-{number}",
        name=f"Application {number}",
        description="",
        categories=(),
        logo_url=None,
        authorization_method=AuthorizationMethod.OAUTH,
        requires_configuration=requires_configuration,
        listed=True,
    )


async def _key(
    services: Services, kind: PrincipalKind, *, application_id: UUID | None = None, account_id: UUID | None = None
) -> str:
    issued = await issue_key(
        services,
        PLATFORM,
        kind=kind,
        application_id=application_id,
        account_id=account_id,
        label=f"a {kind.value.lower()}",
        expires_at=None,
    )
    return issued.secret
