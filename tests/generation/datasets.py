"""Create a planned dataset through the use cases, and read its rows from Postgres."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import assert_never
from uuid import UUID

from asyncpg import Record

from gateway.domain.cursors import Position, microseconds
from gateway.domain.errors import ExpectedFailure
from gateway.domain.installations import DeactivationReason, SyncOutcome, SyncStep
from gateway.storage.database import connection
from gateway.storage.events import log_snapshot
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
from tests.generation.plans import BEGINNING, ActionKind, Plan, PlannedAction, identifier

_HORIZON_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The rows of an executed plan."""

    plan: Plan
    start: Position
    """A position in the log before its first event."""
    end: Position
    applications: list[Record]
    accounts: list[Record]
    installations: list[Record]
    events: list[Record]
    """In the order of the log."""

    def position(self, event: Record) -> Position:
        return Position(self.start.epoch, event["xid"], event["id"], microseconds(event["occurred_at"]))


async def create_dataset(plan: Plan, *, services: Services) -> Dataset:
    """Create the dataset of a plan, in place of all rows."""
    async with connection(services.database) as held:
        await held.execute("truncate installations, installation_events, applications, accounts, api_keys")
        start = (await log_snapshot(held)).latest
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
    for action in plan.actions:
        await _done(action, plan=plan, services=services)
    return await _read(plan, start=start, services=services)


def _same(planned: UUID) -> UUID:
    return planned


async def _done(action: PlannedAction, *, plan: Plan, services: Services) -> None:
    services = replace(services, now=lambda: action.time, new_id=lambda: identifier("installation", action.mark))
    installation = await _installation(action, services=services)
    if action.act is ActionKind.RENEW_IF_INSTALLED and installation is None:
        return
    with suppress(ExpectedFailure):
        await _act(action, installation or identifier("absent"), plan=plan, services=services)


async def _installation(action: PlannedAction, *, services: Services) -> UUID | None:
    async with connection(services.database) as held:
        found: UUID | None = await held.fetchval(
            "select id from installations where application_id = $1 and account_id = $2",
            action.application.id, action.account.id,
        )  # fmt: skip
    return found


def _act(action: PlannedAction, installation_id: UUID, *, plan: Plan, services: Services) -> Awaitable[object]:  # noqa: C901, PLR0911, PLR0912 - one line for each act
    actor = plan.platform if action.by_platform else action.application.actor
    application, account = action.application.id, action.account.id
    one = {"installation_id": installation_id}
    steps = (SyncStep(name=f"step {action.mark}", done=action.number, total=None),)
    metadata = {"secret": action.secret, action.secret: 1, "action": action.number}

    def authorized(lasting: timedelta | None) -> Awaitable[object]:
        ends = None if lasting is None else action.time + lasting
        return authorize_installation(
            services, plan.platform, application_id=application, account_id=account, expires_at=ends
        )

    match action.act:
        case ActionKind.AUTHORIZE:
            return authorized(None)
        case ActionKind.AUTHORIZE_BRIEFLY:
            return authorized(timedelta(minutes=5))
        case ActionKind.RENEW_IF_INSTALLED:
            return authorized(timedelta(days=10_000))
        case ActionKind.CREATE:
            return create_installation(
                services, actor, application_id=application, account_id=account, metadata=metadata
            )
        case ActionKind.ACTIVATE:
            return activate_installation(services, actor, **one, expected_version=None)
        case ActionKind.UPDATE_METADATA:
            return merge_into_metadata(services, actor, **one, patch=metadata, expected_version=None)
        case ActionKind.START_SYNC:
            return start_installation_sync(
                services, actor, **one, lease_seconds=300, steps=steps, expected_version=None
            )
        case ActionKind.REPORT_PROGRESS:
            return report_installation_sync_progress(services, actor, **one, steps=steps, message=action.mark)
        case ActionKind.FAIL_SYNC:
            return finish_installation_sync(services, actor, **one, outcome=SyncOutcome.FAILED, message=action.mark)
        case ActionKind.FINISH_SYNC:
            return finish_installation_sync(services, actor, **one, outcome=SyncOutcome.SUCCEEDED, message=action.mark)
        case ActionKind.REPORT_FAILURE:
            return report_installation_connection(services, actor, **one, succeeded=False, message=action.mark)
        case ActionKind.REPORT_SUCCESS:
            return report_installation_connection(services, actor, **one, succeeded=True, message=action.mark)
        case ActionKind.DEACTIVATE:
            reason = DeactivationReason.NOT_ENTITLED
            return deactivate_installation(
                services, actor, **one, reason=reason, message=action.mark, expected_version=None
            )
        case ActionKind.DELETE:
            return delete_installation(services, actor, **one, expected_version=None)
        case ActionKind.EXPIRE_DUE:
            return expire_due_installations(services)
        case _:
            assert_never(action.act)


async def _read(plan: Plan, *, start: Position, services: Services) -> Dataset:
    async with connection(services.database) as held:
        events = await held.fetch("select * from installation_events order by xid, id")
        end = (await log_snapshot(held)).latest
        async with asyncio.timeout(_HORIZON_SECONDS):  # others on the server may still have a transaction open
            while events and end[1:3] != (events[-1]["xid"], events[-1]["id"]):
                end = (await log_snapshot(held)).latest
        return Dataset(
            plan=plan,
            start=start,
            end=end,
            applications=await held.fetch("select * from applications order by id"),
            accounts=await held.fetch("select * from accounts order by id"),
            installations=await held.fetch("select * from installations order by created_at"),
            events=events,
        )
