"""What happened to the example installations: short stories, told of each tie of an application and an account."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from gateway.demo.catalogue import ACCOUNTS, APPLICATIONS, ExampleAccount, ExampleApplication, example_id
from gateway.domain.installations import AuthorizationMethod, DeactivationReason, SyncOutcome, SyncStep
from gateway.domain.principals import Principal, PrincipalKind
from gateway.usecases import installations, syncs
from gateway.usecases.expiry import expire_installation
from gateway.usecases.services import Services

PLATFORM = Principal(kind=PrincipalKind.PLATFORM, label="example data")


@dataclass(slots=True)
class Telling:
    """One tie while its story is told; time is moved by the story itself."""

    services: Services
    application: ExampleApplication
    account: ExampleAccount
    time: datetime
    installation_id: UUID

    @property
    def _then(self) -> Services:
        return replace(self.services, now=lambda: self.time, new_id=lambda: self.installation_id)

    @property
    def _itself(self) -> Principal:
        return Principal(
            kind=PrincipalKind.APPLICATION, application_id=self.application.id, label=self.application.name
        )

    def later(self, **span: float) -> None:
        self.time += timedelta(**span)

    async def authorize(self, **expires: float) -> None:
        expires_at = self.time + timedelta(**expires) if expires else None
        await installations.authorize_installation(
            self._then, PLATFORM,
            application_id=self.application.id, account_id=self.account.id, expires_at=expires_at,
        )  # fmt: skip

    async def connect(self) -> None:
        """Do what makes an installation ACTIVATED, by the application's method."""
        metadata = {"externalId": f"{self.application.slug}-{self.account.name[:4].lower()}", "plan": "standard"}
        if self.application.method is AuthorizationMethod.API_KEY:
            await installations.create_installation(
                self._then, self._itself, application_id=None, account_id=self.account.id, metadata=metadata
            )
            return
        if self.application.requires_configuration:
            await installations.activate_installation(
                self._then, self._itself, installation_id=self.installation_id, expected_version=None
            )
        self.later(minutes=1)
        await self.merge(metadata)

    async def merge(self, patch: dict[str, Any]) -> None:
        await installations.merge_into_metadata(
            self._then, self._itself, installation_id=self.installation_id, patch=patch, expected_version=None
        )

    async def start_sync(self, *, lease_seconds: int = 300) -> None:
        steps = tuple(SyncStep(name=name, done=0, total=None) for name in ("tags", "tax-codes", "vendors"))
        await syncs.start_installation_sync(
            self._then, self._itself,
            installation_id=self.installation_id, lease_seconds=lease_seconds, steps=steps, expected_version=None,
        )  # fmt: skip

    async def progress(self) -> None:
        steps = (
            SyncStep(name="tags", done=24, total=24),
            SyncStep(name="tax-codes", done=7, total=11),
            SyncStep(name="vendors", done=0, total=312),
        )
        await syncs.report_installation_sync_progress(
            self._then, self._itself, installation_id=self.installation_id, steps=steps, message=None
        )

    async def finish_sync(self, outcome: SyncOutcome, message: str | None = None) -> None:
        await syncs.finish_installation_sync(
            self._then, self._itself, installation_id=self.installation_id, outcome=outcome, message=message
        )

    async def fail_connection(self, times: int) -> None:
        for _ in range(times):
            self.later(hours=2)
            await installations.report_installation_connection(
                self._then, self._itself,
                installation_id=self.installation_id, succeeded=False, message="The server answered 503.",
            )  # fmt: skip

    async def deactivate(self, reason: DeactivationReason, message: str | None) -> None:
        await installations.deactivate_installation(
            self._then, PLATFORM,
            installation_id=self.installation_id, reason=reason, message=message, expected_version=None,
        )  # fmt: skip

    async def delete(self) -> None:
        await installations.delete_installation(
            self._then, PLATFORM, installation_id=self.installation_id, expected_version=None
        )

    async def let_time_pass(self, **span: float) -> None:
        self.later(**span)
        await expire_installation(self._then, installation_id=self.installation_id)


async def _only_authorized(told: Telling) -> None:
    await told.authorize(days=180)


async def _connected(told: Telling) -> None:
    await told.authorize()
    told.later(hours=1)
    await told.connect()


async def _synchronised(told: Telling) -> None:
    await _connected(told)
    told.later(minutes=5)
    await told.start_sync()
    told.later(minutes=2)
    await told.progress()
    told.later(minutes=2)
    await told.finish_sync(SyncOutcome.SUCCEEDED)


async def _synchronising(told: Telling) -> None:
    await _connected(told)
    told.time = told.services.now() - timedelta(minutes=3)
    await told.start_sync(lease_seconds=syncs.LONGEST_LEASE_SECONDS)
    told.later(minutes=2)
    await told.progress()


async def _sync_failed(told: Telling) -> None:
    await _synchronised(told)
    told.later(days=1)
    await told.start_sync()
    told.later(minutes=1)
    await told.finish_sync(SyncOutcome.FAILED, "A tax code is used twice.")


async def _sync_timed_out(told: Telling) -> None:
    await _connected(told)
    told.later(hours=3)
    await told.start_sync(lease_seconds=60)
    await told.let_time_pass(minutes=2)


async def _shaky(told: Telling) -> None:
    await _synchronised(told)
    await told.fail_connection(2)


async def _broken(told: Telling) -> None:
    await _synchronised(told)
    await told.fail_connection(told.services.failure_limit)


async def _expired(told: Telling) -> None:
    await told.authorize(days=7)
    told.later(hours=1)
    await told.connect()
    await told.let_time_pass(days=8)


async def _renewed(told: Telling) -> None:
    await _expired(told)
    told.later(days=1)
    await told.authorize(days=365)
    if told.application.method is AuthorizationMethod.API_KEY:
        await told.connect()
    told.later(days=1)
    await told.authorize(days=370)


def _ended(reason: DeactivationReason, message: str | None) -> "Story":
    async def story(told: Telling) -> None:
        await _synchronised(told)
        told.later(days=3)
        await told.deactivate(reason, message)

    return story


async def _gone(told: Telling) -> None:
    await _synchronised(told)
    told.later(days=2)
    await told.delete()


async def _back_again(told: Telling) -> None:
    await _gone(told)
    told.later(days=4)
    told.installation_id = example_id(f"{told.application.slug} again in {told.account.name}")
    await _connected(told)


Story = Callable[[Telling], Awaitable[None]]
Part = tuple[ExampleApplication, ExampleAccount, Story]

STORIES: tuple[Story, ...] = (
    _synchronised,
    _only_authorized,
    _connected,
    _synchronising,
    _sync_failed,
    _broken,
    _ended(DeactivationReason.NOT_ENTITLED, "The plan no longer includes integrations."),
    _expired,
    _sync_timed_out,
    _shaky,
    _renewed,
    _ended(DeactivationReason.AUTHORIZATION_REVOKED, "Revoked by the user."),
    _back_again,
    _ended(DeactivationReason.DEACTIVATED, None),
    _gone,
)

FREE_TIES = frozenset({("taxwise", "Acme Bakery"), ("auditrail", "Delta Robotics")})
"""Left for whoever tries the gateway out."""

WAITING_TIE = ("bookwell", "Acme Bakery")
"""Stays AUTHORIZED, so that it can be taken through its life."""


def cast() -> list[Part]:
    """Give each tie its story. One account's first one waits for its configuration, so that it can be tried out."""
    ties = [
        (application, account)
        for application in APPLICATIONS
        for account in ACCOUNTS
        if (application.slug, account.name) not in FREE_TIES
    ]
    told = [
        (application, account, STORIES[number % len(STORIES)]) for number, (application, account) in enumerate(ties)
    ]
    return [
        (application, account, _only_authorized if (application.slug, account.name) == WAITING_TIE else story)
        for application, account, story in told
    ]
