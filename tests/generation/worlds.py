"""Worlds made of plans, through the use cases; and what is in them then, as Postgres has it."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import assert_never
from uuid import UUID

from asyncpg import Record

from gateway.domain.cursors import Position
from gateway.domain.errors import ExpectedFailure
from gateway.domain.installations import DeactivationReason, SyncOutcome, SyncStep
from gateway.storage.database import connection
from gateway.storage.events import log_position
from gateway.usecases.expiry import expire_due_installations
from gateway.usecases.installations import (
    activate_installation,
    authorize_installation,
    create_installation,
    deactivate_installation,
    delete_installation,
    merge_into_metadata,
    report_installation_connection,
)
from gateway.usecases.marketplace import register_account, register_application
from gateway.usecases.services import Services
from gateway.usecases.syncs import (
    finish_installation_sync,
    report_installation_sync_progress,
    start_installation_sync,
)
from tests.generation.plans import BEGINNING, Act, Deed, Plan, identifier

_HORIZON_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class World:
    """What came of a plan: rows, and the deeds that each event is of."""

    plan: Plan
    start: Position
    """A place in the log before its first event."""
    end: Position
    applications: list[Record]
    accounts: list[Record]
    installations: list[Record]
    events: list[Record]
    """In the order of the log."""

    def position(self, event: Record) -> Position:
        return Position(epoch=self.start.epoch, xid=event["xid"], id=event["id"])


async def made(plan: Plan, *, services: Services) -> World:
    """Make a world of a plan, in place of what was there."""
    async with connection(services.database) as held:
        await held.execute("truncate installations, installation_events, applications, accounts, api_keys")
        start = await log_position(held)
    for application in plan.applications:
        await register_application(
            replace(services, now=lambda: BEGINNING, new_id=partial(_same, application.id)),
            plan.platform,
            slug=application.slug,
            name=f"Name {application.mark}",
            description=f"About {application.mark}",
            categories=(application.mark, "accounting"),
            logo_url=f"https://example.org/{application.mark}",
            authorization_method=application.method,
            requires_configuration=application.requires_configuration,
            listed=application.listed,
        )
    for account in plan.accounts:
        await register_account(services, plan.platform, account_id=account.id, name=f"Company {account.mark}")
    for deed in plan.deeds:
        await _done(deed, plan=plan, services=services)
    return await _read(plan, start=start, services=services)


def _same(planned: UUID) -> UUID:
    return planned


async def _done(deed: Deed, *, plan: Plan, services: Services) -> None:
    services = replace(services, now=lambda: deed.time, new_id=lambda: identifier("installation", deed.mark))
    installation = await _installation(deed, services=services)
    if deed.act is Act.GIVE_A_SIGN and installation is None:
        return
    with suppress(ExpectedFailure):
        await _act(deed, installation or identifier("absent"), plan=plan, services=services)


async def _installation(deed: Deed, *, services: Services) -> UUID | None:
    async with connection(services.database) as held:
        found: UUID | None = await held.fetchval(
            "select id from installations where application_id = $1 and account_id = $2",
            deed.application.id, deed.account.id,
        )  # fmt: skip
    return found


def _act(deed: Deed, installation_id: UUID, *, plan: Plan, services: Services) -> Awaitable[object]:  # noqa: C901, PLR0911, PLR0912 - one line for each act
    who = plan.platform if deed.by_platform else deed.application.actor
    application, account = deed.application.id, deed.account.id
    one = {"installation_id": installation_id}
    steps = (SyncStep(name=f"step {deed.mark}", done=deed.number, total=None),)
    metadata = {"secret": deed.secret, deed.secret: 1, "deed": deed.number}

    def authorized(lasting: timedelta | None) -> Awaitable[object]:
        ends = None if lasting is None else deed.time + lasting
        return authorize_installation(
            services, plan.platform, application_id=application, account_id=account, expires_at=ends
        )

    match deed.act:
        case Act.AUTHORIZE:
            return authorized(None)
        case Act.AUTHORIZE_FOR_A_WHILE:
            return authorized(timedelta(minutes=5))
        case Act.GIVE_A_SIGN:
            return authorized(timedelta(days=10_000))
        case Act.CREATE:
            return create_installation(services, who, application_id=application, account_id=account, metadata=metadata)
        case Act.ACTIVATE:
            return activate_installation(services, who, **one, expected_version=None)
        case Act.UPDATE_METADATA:
            return merge_into_metadata(services, who, **one, patch=metadata, expected_version=None)
        case Act.START_SYNC:
            return start_installation_sync(services, who, **one, lease_seconds=300, steps=steps, expected_version=None)
        case Act.REPORT_PROGRESS:
            return report_installation_sync_progress(services, who, **one, steps=steps, message=deed.mark)
        case Act.FAIL_SYNC:
            return finish_installation_sync(services, who, **one, outcome=SyncOutcome.FAILED, message=deed.mark)
        case Act.FINISH_SYNC:
            return finish_installation_sync(services, who, **one, outcome=SyncOutcome.SUCCEEDED, message=deed.mark)
        case Act.REPORT_FAILURE:
            return report_installation_connection(services, who, **one, succeeded=False, message=deed.mark)
        case Act.REPORT_SUCCESS:
            return report_installation_connection(services, who, **one, succeeded=True, message=deed.mark)
        case Act.DEACTIVATE:
            reason = DeactivationReason.NOT_ENTITLED
            return deactivate_installation(
                services, who, **one, reason=reason, message=deed.mark, expected_version=None
            )
        case Act.DELETE:
            return delete_installation(services, who, **one, expected_version=None)
        case Act.LET_TIME_ACT:
            return expire_due_installations(services)
        case _:
            assert_never(deed.act)


async def _read(plan: Plan, *, start: Position, services: Services) -> World:
    async with connection(services.database) as held:
        events = await held.fetch("select * from installation_events order by xid, id")
        end = await log_position(held)
        async with asyncio.timeout(_HORIZON_SECONDS):  # others on the server may still have a transaction open
            while events and end[1:] != (events[-1]["xid"], events[-1]["id"]):
                end = await log_position(held)
        return World(
            plan=plan,
            start=start,
            end=end,
            applications=await held.fetch("select * from applications order by id"),
            accounts=await held.fetch("select * from accounts order by id"),
            installations=await held.fetch("select * from installations order by created_at"),
            events=events,
        )
