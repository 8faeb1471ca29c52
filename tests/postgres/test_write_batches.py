"""Changes of several callers that are stored together: each has its own result, and the log keeps its order."""

import asyncio
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from itertools import chain
from uuid import uuid4

import asyncpg
import pytest

from gateway.domain.errors import ActionNotAllowed, InstallationNotFound, Unavailable, VersionConflict
from gateway.domain.events import Actor
from gateway.domain.installations import Installation, InstallationStatus
from gateway.domain.metadata import decode_metadata
from gateway.domain.principals import PrincipalKind
from gateway.storage.database import DriverConnection, connection, transaction
from gateway.storage.installations import lock_installation
from gateway.usecases.installations import replace_metadata
from gateway.usecases.services import Services
from gateway.usecases.write_batcher import MAX_CHANGES
from tests.conftest import connected
from tests.postgres.worlds import PLATFORM, World, a_world

ACTIVATED, INACTIVE = InstallationStatus.ACTIVATED, InstallationStatus.INACTIVE
PENDING = InstallationStatus.PENDING_INTEGRATION


async def together(*changes: Awaitable[object]) -> list[object]:
    return await asyncio.gather(*changes, return_exceptions=True)


async def versions(world: World, installation: Installation) -> list[int]:
    return [event.version for event in await world.events(installation)]


async def test_each_change_of_a_batch_has_its_own_result(world: World) -> None:
    active = [await world.installation(ACTIVATED) for _ in range(3)]
    inactive = await world.installation(INACTIVE)
    merged, conflict, refused, unchanged, missing = await together(
        world.merge(active[0], one=1),
        world.merge(active[1], expected_version=7, two=2),
        world.activate(inactive),
        world.activate(active[2]),
        world.activate(replace(active[2], id=uuid4())),
    )
    assert isinstance(merged, Installation)
    assert decode_metadata(merged.metadata) == {"one": 1}
    assert isinstance(conflict, VersionConflict)
    assert isinstance(refused, ActionNotAllowed)
    assert unchanged == active[2]
    assert isinstance(missing, InstallationNotFound)
    assert [await world.now(each) for each in (*active, inactive)] == [merged, *active[1:], inactive]


async def test_each_event_of_a_batch_names_the_caller_of_its_change(world: World) -> None:
    """Those of one caller share its name in the statement."""
    installations = [await world.installation(ACTIVATED) for _ in range(3)]
    application = replace(PLATFORM, kind=PrincipalKind.APPLICATION, application_id=installations[0].application_id)
    callers = [PLATFORM, replace(application, id=None, label='a "b", {c} \\ NULL'), replace(application, label=None)]
    changes = [(installation, caller) for caller in callers for installation in installations]
    await together(
        *(
            replace_metadata(
                world.services, caller, installation_id=installation.id, metadata={"n": at}, expected_version=None
            )
            for at, (installation, caller) in enumerate(changes)
        )
    )
    for installation in installations:
        actors = [event.actor for event in await world.events(installation) if event.version > 1]
        assert actors == [Actor(kind=caller.kind, id=caller.id, label=caller.label) for caller in callers]


async def test_ten_merges_into_one_row_are_ten_events_and_one_update(world: World) -> None:
    installation = await world.installation(ACTIVATED)
    results = await together(*(world.merge(installation, **{f"key{number}": number}) for number in range(10)))
    assert [result.version for result in results if isinstance(result, Installation)] == list(range(2, 12))
    assert await world.now(installation) == results[-1]
    assert await versions(world, installation) == list(range(1, 12))
    async with connection(world.services.database) as held:
        transactions = "select count(distinct xid) from installation_events where version > 1"
        assert await held.fetchval(transactions) == 1


async def test_many_changes_are_two_batches(world: World) -> None:
    """So that the gateway has the callers of one to answer while Postgres stores the other."""
    installations = [await world.installation(ACTIVATED) for _ in range(2)]
    await together(*(world.merge(installations[at % 2], **{f"key{at}": at}) for at in range(40)))
    async with connection(world.services.database) as held:
        sizes = "select count(*) from installation_events where version > 1 group by xid order by xid"
        assert [row["count"] for row in await held.fetch(sizes)] == [20, 20]


async def test_changes_of_more_rows_than_a_batch_has_are_all_made(world: World) -> None:
    installations = [await world.installation(ACTIVATED) for _ in range(3)]
    count = MAX_CHANGES + 50
    await together(*(world.merge(installations[number % 3], **{str(number % 60): number}) for number in range(count)))
    found = [await versions(world, each) for each in installations]
    assert found == [list(range(1, len(each) + 1)) for each in found]
    assert sum(map(len, found)) == count + 3


async def test_row_that_another_transaction_holds_delays_no_other(world: World) -> None:
    held, free = await world.installation(ACTIVATED), await world.installation(ACTIVATED)
    async with transaction(world.services.database) as other:
        await lock_installation(other, installation_id=held.id)
        waiting = asyncio.create_task(world.merge(held, late=True))
        assert (await world.merge(free, soon=True)).version == free.version + 1
        assert not waiting.done()
    assert (await waiting).version == held.version + 1


async def test_two_gateways_that_change_the_same_rows_lose_nothing(world: World) -> None:
    worlds = [world, a_world(world.services.database)]
    installations = [await world.installation(ACTIVATED) for _ in range(3)]

    async def write(writer: World, *, number: int) -> None:
        for step in range(10):
            await writer.merge(installations[(number + step) % 3], **{f"{number % 10}": step + 10 * number})

    await asyncio.gather(*(write(worlds[number % 2], number=number) for number in range(16)))
    for installation in installations:
        now = await world.now(installation)
        assert now is not None
        assert await versions(world, installation) == list(range(1, now.version + 1))
    assert sum(map(len, [await versions(world, each) for each in installations])) == 3 + 160


@pytest.mark.parametrize(
    "change",
    ["sync_expires_at = sync_expires_at + interval '100 seconds'", "version = version + 1, connection_failures = 3"],
    ids=["a renewed lease, which has no version", "a new version"],
)
async def test_row_that_changes_between_its_read_and_its_write_is_read_again(
    world: World, database_url: str, change: str
) -> None:
    installation = await world.installation(PENDING)
    statement = f"update installations set {change} where id = $1 returning version, sync_expires_at"
    changed: list[asyncpg.Record] = []

    async def change_row() -> None:
        async with connected(database_url) as other:
            changed.extend(await other.fetch(statement, installation.id))

    def now() -> datetime:
        """The batcher asks for the time after it has read, and before it writes."""
        if not changed:
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, change_row()).result()
        return world.clock()

    other = World(services=Services(database=world.services.database, now=now, notify=lambda: None), clock=world.clock)
    merged = await other.merge(installation, key=1)
    assert merged.sync is not None
    assert (merged.version - 1, merged.sync.expires_at) == tuple(changed[0])
    assert merged == await world.now(installation)


async def test_change_that_cannot_be_stored_fails_alone(world: World) -> None:
    """The version cannot become greater than the column holds, which the statement for all of them finds out."""
    poisoned, healthy = await world.installation(ACTIVATED), await world.installation(ACTIVATED)
    async with connection(world.services.database) as held:
        await held.execute("update installations set version = 2147483647 where id = $1", poisoned.id)
    failed, merged = await together(world.merge(poisoned, key=1), world.merge(healthy, key=1))
    assert isinstance(failed, asyncpg.DataError)
    assert isinstance(merged, Installation)
    assert await versions(world, healthy) == [1, 2]
    assert await versions(world, poisoned) == [1]


async def test_caller_that_leaves_takes_nothing_with_it(world: World) -> None:
    installation = await world.installation(ACTIVATED)
    merges = [asyncio.create_task(world.merge(installation, **{str(number): True})) for number in range(5)]
    await asyncio.sleep(0)
    merges[2].cancel()
    results = await together(*merges)
    assert isinstance(results[2], asyncio.CancelledError)
    now = await world.now(installation)
    assert now is not None
    assert {*"0134"} <= {*decode_metadata(now.metadata)}
    assert await versions(world, installation) == list(range(1, now.version + 1))


async def test_stored_change_is_answered_where_the_next_batch_loses_its_connection(
    world: World, database_url: str
) -> None:
    """The callers of a batch are answered while the next is stored; this one can not even be read."""
    first, second = [await world.installation(ACTIVATED) for _ in range(2)]
    async with connected(database_url) as gate, connected(database_url) as blocker:
        await gate.execute("""
            create function wait() returns trigger language plpgsql as
            $$ begin perform pg_advisory_xact_lock(1); return new; end $$
        """)
        await gate.execute("create trigger waits before update on installations for each row execute function wait()")
        await gate.execute("select pg_advisory_lock(1)")
        stored = asyncio.create_task(world.merge(first, key=1))
        pid = await waiting_for(gate, "advisory")
        next_one = asyncio.create_task(world.merge(second, key=1))
        async with blocker.transaction():
            locked = asyncio.create_task(blocker.execute("lock table installations in access exclusive mode"))
            await waiting_for(gate, "relation")
            await gate.execute("select pg_advisory_unlock(1)")
            await locked
            assert await waiting_for(gate, "relation") == pid
            await gate.execute("select pg_terminate_backend($1)", pid)
            assert (await stored).version == first.version + 1
            assert not next_one.done()
        assert (await next_one).version == second.version + 1


async def waiting_for(held: DriverConnection, kind: str) -> int:
    """Return the process that waits for a lock of this kind, as soon as there is one."""
    waits = (
        "select pid from pg_stat_activity"
        " where wait_event_type = 'Lock' and wait_event = $1 and datname = current_database()"
    )
    while (pid := await held.fetchval(waits, kind)) is None:
        await held.execute("select pg_sleep(0.01)")
    return int(pid)


async def test_lost_connection_is_told_to_all_and_the_next_batch_succeeds(world: World) -> None:
    """What was sent may have been committed, so that nothing is tried again."""
    installations = [await world.installation(ACTIVATED) for _ in range(2)]
    database = world.services.database
    async with connection(database) as held:
        await held.execute("""
            create function wait() returns trigger language plpgsql as
            $$ begin perform pg_sleep(60); return new; end $$
        """)
        await held.execute("create trigger waits before update on installations for each row execute function wait()")
    changes = asyncio.gather(*(world.merge(each, key=1) for each in installations), return_exceptions=True)
    async with connection(database) as held:
        ended = (
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where wait_event = 'PgSleep' and datname = current_database()"
        )
        while not await held.fetch(ended):
            await held.execute("select pg_sleep(0.01)")
        assert [isinstance(result, Unavailable) for result in await changes] == [True, True]
        await held.execute("drop trigger waits on installations")
    assert list(chain(*[await versions(world, each) for each in installations])) == [1, 1]
    assert (await world.merge(installations[0], key=1)).version == installations[0].version + 1
