"""Expiry on the database, with concurrent gateways."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.domain.errors import ActionNotAllowed
from gateway.domain.events import Actor, StatusChanged
from gateway.domain.installations import Installation, InstallationStatus, StatusReasonCode, SyncState
from gateway.domain.principals import PrincipalKind
from gateway.storage.database import connection, transaction
from gateway.storage.installations import lock_installation
from gateway.storage.queries import queries
from gateway.usecases import syncs
from gateway.usecases.expiry import BATCH_SIZE, expire_due_installations, expire_installation
from tests.postgres.worlds import BEGINNING, World, itself

ACTIVATED, INACTIVE = InstallationStatus.ACTIVATED, InstallationStatus.INACTIVE
PENDING = InstallationStatus.PENDING_INTEGRATION
CLOCK = Actor(kind=PrincipalKind.SYSTEM, id=None, label="clock")
SOON = BEGINNING + timedelta(minutes=10)


async def expiring(world: World, *, count: int = 1) -> list[Installation]:
    application = await world.application()
    return [await world.authorize(application, await world.account(), expires_at=SOON) for _ in range(count)]


async def syncing(world: World, *, count: int = 1, lease_seconds: int = 300) -> list[Installation]:
    begun = [await world.installation(ACTIVATED) for _ in range(count)]
    return [await world.start_sync(installation, lease_seconds=lease_seconds) for installation in begun]


async def test_nothing_expires_before_it_is_due(world: World) -> None:
    (authorized,), (synchronising,) = await expiring(world), await syncing(world, lease_seconds=600)
    world.clock.time = SOON - timedelta(microseconds=1)
    assert await expire_due_installations(world.services) == 0
    assert [await world.now(authorized), await world.now(synchronising)] == [authorized, synchronising]


async def test_an_expired_authorization_deactivates_once(world: World) -> None:
    (installation,) = await expiring(world)
    world.clock.time = SOON
    assert await expire_due_installations(world.services) == 1
    assert await expire_due_installations(world.services) == 0
    _, event = await world.events(installation)
    code = StatusReasonCode.AUTHORIZATION_EXPIRED
    assert (event.actor, event.occurred_at, event.version) == (CLOCK, SOON, 2)
    assert event.change == StatusChanged(before=ACTIVATED, after=INACTIVE, reason=code, message=None)
    now = await world.now(installation)
    assert now is not None
    assert (now.status, now.status_reason.code, now.version, now.updated_at) == (INACTIVE, code, 2, SOON)


async def test_an_expired_lease_ends_the_sync_once(world: World) -> None:
    (installation,) = await syncing(world)
    world.clock.advance(seconds=300)
    assert await expire_due_installations(world.services) == 1
    assert await expire_due_installations(world.services) == 0
    now = await world.now(installation)
    assert now is not None
    assert now.sync is not None
    assert (now.status, now.status_reason.code, now.sync.state, now.connection_failures) == (
        ACTIVATED, StatusReasonCode.SYNC_TIMED_OUT, SyncState.TIMED_OUT, 1,
    )  # fmt: skip


async def test_a_sync_that_always_reports_progress_ends_after_the_longest_total(world: World) -> None:
    world.services = replace(world.services, longest_sync=timedelta(hours=2))
    (installation,) = await syncing(world, lease_seconds=1800)
    leases = []
    while await expire_due_installations(world.services) == 0:
        with pytest.raises(ActionNotAllowed):
            await world.delete(installation)
        shown = await syncs.report_installation_sync_progress(
            world.services, itself(await world.application()), installation_id=installation.id, steps=(), message=None
        )
        assert shown.sync is not None
        leases.append(shown.sync.expires_at)
        world.clock.advance(minutes=25)
    end = BEGINNING + timedelta(hours=2)
    assert leases == [*(BEGINNING + timedelta(minutes=30 + 25 * number) for number in range(4)), end]
    now = await world.now(installation)
    assert now is not None
    assert (now.status, now.status_reason.code) == (ACTIVATED, StatusReasonCode.SYNC_TIMED_OUT)
    await world.delete(installation)


async def test_leases_that_expire_repeatedly_deactivate(world: World) -> None:
    (installation,) = await syncing(world)
    for _ in range(world.services.failure_limit - 1):
        world.clock.advance(seconds=300)
        await expire_due_installations(world.services)
        await world.start_sync(installation)
    world.clock.advance(seconds=300)
    assert await expire_due_installations(world.services) == 1
    now = await world.now(installation)
    assert now is not None
    assert (now.status, now.status_reason.code) == (INACTIVE, StatusReasonCode.CONNECTION_FAILED)


async def test_where_both_expired_there_is_one_event_for_the_authorization(world: World) -> None:
    (installation,) = await expiring(world)
    await world.start_sync(installation, lease_seconds=600)
    world.clock.time = SOON
    assert await expire_due_installations(world.services) == 1
    assert await expire_due_installations(world.services) == 0
    now = await world.now(installation)
    assert now is not None
    assert now.sync is not None
    assert (now.status, now.status_reason.code, now.sync.state, now.version) == (
        INACTIVE, StatusReasonCode.AUTHORIZATION_EXPIRED, SyncState.FAILED, 3,
    )  # fmt: skip


async def test_concurrent_gateways_expire_each_row_once(world: World) -> None:
    due = [*await expiring(world, count=BATCH_SIZE + 30), *await syncing(world, count=BATCH_SIZE)]
    world.clock.time = SOON

    async def look() -> list[int]:
        batches: list[int] = []
        while batches[-1:] != [0]:
            batches.append(await expire_due_installations(world.services))
        return batches

    batches = [batch for each in await asyncio.gather(*(look() for _ in range(5))) for batch in each]
    assert await expire_due_installations(world.services) == 0
    assert (sum(batches), max(batches)) == (len(due), BATCH_SIZE)
    by_the_clock = [event.installation_id for event in await world.events() if event.actor == CLOCK]
    assert sorted(by_the_clock) == sorted(installation.id for installation in due)


async def test_a_locked_row_is_skipped_and_expired_the_next_time(world: World) -> None:
    held, free = await expiring(world, count=2)
    world.clock.time = SOON
    async with transaction(world.services.database) as holding:
        await lock_installation(holding, installation_id=held.id)
        # Another task gets another connection.
        assert await asyncio.create_task(expire_due_installations(world.services)) == 1
    assert (await world.now(held), (await world.events(free))[-1].actor) == (held, CLOCK)
    assert await expire_due_installations(world.services) == 1


async def test_a_renewed_lease_does_not_expire(world: World) -> None:
    (installation,) = await syncing(world)
    async with transaction(world.services.database) as renewing:
        await lock_installation(renewing, installation_id=installation.id)
        await renewing.execute("update installations set sync_expires_at = $1", SOON)
        world.clock.advance(seconds=300)
        assert await asyncio.create_task(expire_due_installations(world.services)) == 0
    assert await expire_due_installations(world.services) == 0


async def test_one_installation_can_be_expired_by_itself(world: World) -> None:
    one, other = await expiring(world, count=2)
    await expire_installation(world.services, installation_id=one.id)
    assert await world.now(one) == one
    world.clock.time = SOON
    await expire_installation(world.services, installation_id=one.id)
    await world.delete(one)
    await expire_installation(world.services, installation_id=one.id)
    assert [event.version for event in await world.events(one)] == [1, 2, 3]
    assert await world.now(other) == other


MANY = """
insert into installations (
    id, application_id, account_id, status, reason_code, reason_since, metadata, version, connection_failures,
    authorization_expires_at, created_at, updated_at
)
select gen_random_uuid(), a.id, c.id, 'ACTIVATED', 'API_KEY_CONNECTED', now(), '{}', 1, 0,
    now() + interval '1 day', now(), now()
from applications a cross join accounts c
"""


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_the_query_for_due_rows_never_scans_the_table(world: World, mode: str) -> None:
    async with connection(world.services.database) as held:
        await held.execute("insert into accounts select gen_random_uuid(), 'many' from generate_series(1, 10000)")
        await world.application()
        await held.execute(MANY)
        await held.execute("analyze installations")
        await held.execute(f"set plan_cache_mode = {mode}")
        query = queries.lock_due_installations
        await held.execute(f"prepare due (timestamptz, bigint) as {query.sql}")
        plan = [row[0] for row in await held.fetch("explain execute due (now(), 100)")]
    assert not [line for line in plan if "Seq Scan" in line]
    assert [line for line in plan if "installations_by_authorization_expiry" in line]
    assert [line for line in plan if "installations_by_sync_expiry" in line]
