"""Use cases on a fresh database, with a clock that the test moves, and installations."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from gateway.domain.cursors import Position
from gateway.domain.event_filters import EventFilter
from gateway.domain.events import Event
from gateway.domain.installations import (
    Account,
    Application,
    AuthorizationMethod,
    DeactivationReason,
    Installation,
    InstallationStatus,
)
from gateway.domain.pages import OrderDirection, Window
from gateway.domain.principals import Principal, PrincipalKind
from gateway.storage.database import Database, connection, read
from gateway.storage.installations import select_installations
from gateway.usecases import installations, marketplace, syncs
from gateway.usecases.reads import list_events
from gateway.usecases.services import Services
from tests.matrix import APPLICATIONS

PLATFORM = Principal(kind=PrincipalKind.PLATFORM, id="key", label="the platform")
BEGINNING = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Clock:
    time: datetime = BEGINNING

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **span: float) -> datetime:
        self.time += timedelta(**span)
        return self.time


@dataclass(kw_only=True)
class World:
    services: Services
    clock: Clock
    applications: dict[str, Application] = field(default_factory=dict)
    """By the kinds that the matrix names."""

    async def application(self, kind: str = "oauth") -> Application:
        """Return the application of a kind; register it on first use."""
        if kind not in self.applications:
            method, requires_configuration = APPLICATIONS[kind]
            self.applications[kind] = await self.register(method, requires_configuration=requires_configuration)
        return self.applications[kind]

    async def register(
        self, method: AuthorizationMethod, *, requires_configuration: bool = False, listed: bool = True
    ) -> Application:
        return await marketplace.register_application(
            self.services, PLATFORM, slug=f"app-{uuid4().hex[:12]}", name="App", description="", categories=(),
            logo_url=None, authorization_method=method, requires_configuration=requires_configuration, listed=listed,
        )  # fmt: skip

    async def account(self) -> Account:
        return await marketplace.register_account(self.services, PLATFORM, account_id=None, name="Acme")

    async def authorize(
        self, application: Application, account: Account, *, expires_at: datetime | None = None
    ) -> Installation:
        return await installations.authorize_installation(
            self.services, PLATFORM, application_id=application.id, account_id=account.id, expires_at=expires_at
        )

    async def installation(self, status: InstallationStatus, *, kind: str = "oauth") -> Installation:
        """Bring a new installation of a new account to a status, by the use cases."""
        installation = await self.authorize(await self.application(kind), await self.account())
        if status is InstallationStatus.AUTHORIZED:
            # An application without configuration leaves AUTHORIZED at once: here it asked for one at that time.
            assert installation.status is status or kind == "oauth"
            return installation
        if installation.status is InstallationStatus.AUTHORIZED:
            installation = await self.activate(installation)
        if status is InstallationStatus.PENDING_INTEGRATION:
            return await self.start_sync(installation)
        return await self.deactivate(installation) if status is InstallationStatus.INACTIVE else installation

    async def activate(self, installation: Installation, *, expected_version: int | None = None) -> Installation:
        return await installations.activate_installation(
            self.services, PLATFORM, installation_id=installation.id, expected_version=expected_version
        )

    async def deactivate(self, installation: Installation) -> Installation:
        return await installations.deactivate_installation(
            self.services, PLATFORM, installation_id=installation.id, reason=DeactivationReason.NOT_ENTITLED,
            message=None, expected_version=None,
        )  # fmt: skip

    async def start_sync(self, installation: Installation, *, lease_seconds: int = 300) -> Installation:
        return await syncs.start_installation_sync(
            self.services, PLATFORM, installation_id=installation.id, lease_seconds=lease_seconds, steps=(),
            expected_version=None,
        )  # fmt: skip

    async def delete(self, installation: Installation, *, expected_version: int | None = None) -> datetime:
        _, deleted_at = await installations.delete_installation(
            self.services, PLATFORM, installation_id=installation.id, expected_version=expected_version
        )
        return deleted_at

    async def merge(
        self, installation: Installation, *, expected_version: int | None = None, **patch: object
    ) -> Installation:
        return await installations.merge_into_metadata(
            self.services, PLATFORM, installation_id=installation.id, patch=patch, expected_version=expected_version
        )

    async def now(self, installation: Installation | UUID) -> Installation | None:
        """Read the installation as it is in the database."""
        identifier = installation.id if isinstance(installation, Installation) else installation
        async with connection(self.services.database) as held:
            return (await select_installations(held, ids=[identifier])).get(identifier)

    async def events(self, installation: Installation | None = None, *, account: Account | None = None) -> list[Event]:
        """Read the whole log, or that of one installation, or of one account."""
        matching = EventFilter(
            installation_ids=None if installation is None else frozenset({installation.id}),
            account_ids=None if account is None else frozenset({account.id}),
        )
        await self._horizon_has_passed()
        window: Window[Position] = Window(size=10_000, backward=False, after=None, before=None)
        pages = await read(
            self.services.database,
            list_events,
            PLATFORM,
            ids=[None],
            matching=matching,
            direction=OrderDirection.ASC,
            window=window,
        )
        return pages[None].items

    async def _horizon_has_passed(self) -> None:
        """Wait for the transactions of others, such as autovacuum: the log can be read up to the oldest one."""
        async with connection(self.services.database) as held, asyncio.timeout(30):
            ours = await held.fetchval("select pg_current_xact_id()::text::bigint")
            oldest = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
            while await held.fetchval(oldest) <= ours:
                continue


def a_world(database: Database) -> World:
    clock = Clock()
    return World(services=Services(database=database, now=clock, notify=lambda: None), clock=clock)


def itself(application: Application) -> Principal:
    return Principal(kind=PrincipalKind.APPLICATION, application_id=application.id, id="own", label="the application")


def user_of(account_id: UUID) -> Principal:
    return Principal(kind=PrincipalKind.ACCOUNT, account_id=account_id, id="user", label="a user")
