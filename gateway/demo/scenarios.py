"""The example installations: each pair of an application and an account goes through one of the scenarios."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import cycle, product
from operator import methodcaller
from typing import Any
from uuid import UUID

from gateway.demo.catalogue import ACCOUNTS, APPLICATIONS, ExampleApplication, example_id
from gateway.domain.installations import Account, AuthorizationMethod, DeactivationReason, SyncOutcome, SyncStep
from gateway.domain.principals import Principal, PrincipalKind
from gateway.usecases import installations, syncs
from gateway.usecases.expiry import expire_installation
from gateway.usecases.services import Services

PLATFORM = Principal(kind=PrincipalKind.PLATFORM, label="example data")


@dataclass(slots=True)
class History:
    """The history of one installation while it is written: the scenario moves `time`, and acts at that time."""

    services: Services
    application: ExampleApplication
    account: Account
    time: datetime
    installation_id: UUID
    principal: Principal = field(init=False)
    """The application's."""

    def __post_init__(self) -> None:
        self.principal = Principal(
            kind=PrincipalKind.APPLICATION, application_id=self.application.id, label=self.application.name
        )

    def advance(self, **span: float) -> None:
        self.time += timedelta(**span)

    def services_at_this_time(self) -> Services:
        return replace(self.services, now=lambda: self.time, new_id=lambda: self.installation_id)

    async def by_platform(self, use_case: Callable[..., Awaitable[object]], **arguments: Any) -> None:
        await use_case(self.services_at_this_time(), PLATFORM, installation_id=self.installation_id, **arguments)

    async def by_application(self, use_case: Callable[..., Awaitable[object]], **arguments: Any) -> None:
        await use_case(self.services_at_this_time(), self.principal, installation_id=self.installation_id, **arguments)

    async def authorize(self, **expires: float) -> None:
        expires_at = self.time + timedelta(**expires) if expires else None
        await installations.authorize_installation(
            self.services_at_this_time(), PLATFORM,
            application_id=self.application.id, account_id=self.account.id, expires_at=expires_at,
        )  # fmt: skip

    async def connect(self) -> None:
        """Make the installation ACTIVATED, by the application's method."""
        metadata = {"externalId": f"{self.application.slug}-{self.account.name[:4].lower()}", "plan": "standard"}
        if self.application.authorization_method is AuthorizationMethod.API_KEY:
            await installations.create_installation(
                self.services_at_this_time(), self.principal,
                application_id=None, account_id=self.account.id, metadata=metadata,
            )  # fmt: skip
            return
        if self.application.requires_configuration:
            await self.by_application(installations.activate_installation, expected_version=None)
        self.advance(minutes=1)
        await self.by_application(installations.merge_into_metadata, patch=metadata, expected_version=None)

    async def start_sync(self, *, lease_seconds: int = 300) -> None:
        steps = tuple(SyncStep(name=name, done=0, total=None) for name in ("tags", "tax-codes", "vendors"))
        await self.by_application(
            syncs.start_installation_sync, lease_seconds=lease_seconds, steps=steps, expected_version=None
        )

    async def report_progress(self) -> None:
        steps = (
            SyncStep(name="tags", done=24, total=24),
            SyncStep(name="tax-codes", done=7, total=11),
            SyncStep(name="vendors", done=0, total=312),
        )
        await self.by_application(syncs.report_installation_sync_progress, steps=steps, message=None)

    async def fail_connection(self, times: int) -> None:
        for _ in range(times):
            self.advance(hours=2)
            await self.by_application(
                installations.report_installation_connection, succeeded=False, message="The server answered 503."
            )

    async def expire(self, **span: float) -> None:
        """Let an authorization or a lease expire after this time."""
        self.advance(**span)
        await expire_installation(self.services_at_this_time(), installation_id=self.installation_id)


Scenario = Callable[[History], Awaitable[None]]


async def _connected(history: History) -> None:
    await history.authorize()
    history.advance(hours=1)
    await history.connect()


async def _synchronised(history: History) -> None:
    await _connected(history)
    history.advance(minutes=5)
    await history.start_sync()
    history.advance(minutes=2)
    await history.report_progress()
    history.advance(minutes=2)
    await history.by_application(syncs.finish_installation_sync, outcome=SyncOutcome.SUCCEEDED, message=None)


async def _synchronising(history: History) -> None:
    await _connected(history)
    history.time = history.services.now() - timedelta(minutes=3)
    await history.start_sync(lease_seconds=syncs.LONGEST_LEASE_SECONDS)
    history.advance(minutes=2)
    await history.report_progress()


async def _sync_failed(history: History) -> None:
    await _synchronised(history)
    history.advance(days=1)
    await history.start_sync()
    history.advance(minutes=1)
    await history.by_application(
        syncs.finish_installation_sync, outcome=SyncOutcome.FAILED, message="A tax code is used twice."
    )


async def _sync_timed_out(history: History) -> None:
    await _connected(history)
    history.advance(hours=3)
    await history.start_sync(lease_seconds=60)
    await history.expire(minutes=2)


async def _connection_failing(history: History) -> None:
    await _synchronised(history)
    await history.fail_connection(2)


async def _connection_failed(history: History) -> None:
    await _synchronised(history)
    await history.fail_connection(history.services.failure_limit)


async def _expired(history: History) -> None:
    await history.authorize(days=7)
    history.advance(hours=1)
    await history.connect()
    await history.expire(days=8)


async def _renewed(history: History) -> None:
    await _expired(history)
    history.advance(days=1)
    await history.authorize(days=365)
    if history.application.authorization_method is AuthorizationMethod.API_KEY:
        await history.connect()
    history.advance(days=1)
    await history.authorize(days=370)


def _deactivated(reason: DeactivationReason, message: str | None) -> Scenario:
    async def scenario(history: History) -> None:
        await _synchronised(history)
        history.advance(days=3)
        await history.by_platform(
            installations.deactivate_installation, reason=reason, message=message, expected_version=None
        )

    return scenario


async def _deleted(history: History) -> None:
    await _synchronised(history)
    history.advance(days=2)
    await history.by_platform(installations.delete_installation, expected_version=None)


async def _installed_again(history: History) -> None:
    await _deleted(history)
    history.advance(days=4)
    history.installation_id = example_id(f"{history.application.slug} again in {history.account.name}")
    await _connected(history)


_authorized: Scenario = methodcaller("authorize", days=180)
_SCENARIOS: tuple[Scenario, ...] = (
    _synchronised,
    _authorized,
    _connected,
    _synchronising,
    _sync_failed,
    _connection_failed,
    _deactivated(DeactivationReason.NOT_ENTITLED, "The plan no longer includes integrations."),
    _expired,
    _sync_timed_out,
    _connection_failing,
    _renewed,
    _deactivated(DeactivationReason.AUTHORIZATION_REVOKED, "Revoked by the user."),
    _installed_again,
    _deactivated(DeactivationReason.DEACTIVATED, None),
    _deleted,
)

FREE_PAIRS = frozenset({("taxwise", "Acme Bakery"), ("auditrail", "Delta Robotics")})
"""Not installed, so that a first user of the gateway can install them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """An application in an account, with the id of its first installation, and its scenario."""

    application: ExampleApplication
    account: Account
    installation_id: UUID
    scenario: Scenario


def _examples() -> tuple[Example, ...]:
    pairs = product(APPLICATIONS, ACCOUNTS)
    installed = [
        (application, account) for application, account in pairs if (application.slug, account.name) not in FREE_PAIRS
    ]
    return tuple(
        Example(
            application=application,
            account=account,
            installation_id=example_id(f"{application.slug} in {account.name}"),
            scenario=_authorized if (application.slug, account.name) == _UNFINISHED_PAIR else scenario,
        )
        for (application, account), scenario in zip(installed, cycle(_SCENARIOS), strict=False)
    )


_UNFINISHED_PAIR = ("bookwell", "Acme Bakery")
EXAMPLES = _examples()
UNFINISHED_EXAMPLE = next(
    example for example in EXAMPLES if (example.application.slug, example.account.name) == _UNFINISHED_PAIR
)
"""Stays AUTHORIZED, so that a first user of the gateway can activate it."""
