import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

import asyncpg
import pytest

from gateway.domain.errors import TimedOut, Unavailable
from gateway.storage.database import Connection, Database, connection, open_database, read, transaction
from tests.conftest import run_on
from tests.postgres.event_rows import EventSource, write


async def terminate(database_url: str, *, pid: int) -> None:
    """End a session from outside, and wait until it is gone."""
    other = await asyncpg.connect(database_url)
    try:
        await other.execute("select pg_terminate_backend($1, 5000)", pid)
    finally:
        await other.close()


async def backend(held: Connection) -> int:
    pid: int = await held.fetchval("select pg_backend_pid()")
    return pid


async def test_a_task_that_asks_again_gets_the_connection_of_its_transaction(database_url: str) -> None:
    one = open_database(database_url, pool_size=1)
    async with one as database, transaction(database) as outer:
        async with connection(database) as inner:
            assert await backend(inner) == await backend(outer)
        async with transaction(database) as inner:
            assert await backend(inner) == await backend(outer)


async def test_every_connection_has_its_limits(database_url: str) -> None:
    limited = open_database(
        database_url, statement_seconds=1.5, lock_seconds=0.25, idle_in_transaction_seconds=3, application_name="tests"
    )
    async with limited as database, connection(database) as held:
        settings = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]
        assert [await held.fetchval("select current_setting($1)", name) for name in settings] == [
            "1500ms",
            "250ms",
            "3s",
        ]
        names = ["application_name", "jit", "timezone"]
        assert [await held.fetchval("select current_setting($1)", name) for name in names] == ["tests", "off", "UTC"]


async def test_a_transaction_is_read_committed_and_commits(database: Database) -> None:
    async with transaction(database) as held:
        assert await held.fetchval("select current_setting('transaction_isolation')") == "read committed"
        await held.execute("insert into accounts values (gen_random_uuid(), 'kept')")
    async with connection(database) as held:
        assert await held.fetchval("select name from accounts") == "kept"


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    async def fail() -> None:
        async with transaction(database) as held:
            await held.execute("insert into accounts values (gen_random_uuid(), 'lost')")
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with connection(database) as held:
        assert await held.fetchval("select count(*) from accounts") == 0


async def test_a_child_task_gets_a_connection_of_its_own(database: Database) -> None:
    async def child() -> int:
        async with connection(database) as held:
            return await backend(held)

    async with connection(database) as held:
        assert await asyncio.create_task(child()) != await backend(held)


async def test_nothing_is_sent_when_a_connection_is_given_back(database_url: str) -> None:
    async with open_database(database_url, pool_size=1) as database:
        async with connection(database) as held:
            await held.execute("set application_name to 'left behind'")
        async with connection(database) as held:
            assert await held.fetchval("show application_name") == "left behind"


async def test_waiting_for_a_connection_is_bounded(database_url: str) -> None:
    async def ask(database: Database) -> None:
        async with connection(database):
            raise AssertionError("there is but one connection")

    async with open_database(database_url, pool_size=1, acquire_seconds=0.25) as database:
        async with connection(database):
            with pytest.raises(Unavailable, match="All connections to the database are in use"):
                await asyncio.create_task(ask(database))
        async with connection(database) as held:
            assert await held.fetchval("select 1") == 1


async def test_a_statement_that_takes_too_long_is_cancelled(database_url: str) -> None:
    async with open_database(database_url, statement_seconds=0.5) as database:
        with pytest.raises(TimedOut):
            async with transaction(database) as held:
                await held.execute("select pg_sleep(30)")


async def test_waiting_for_a_lock_is_bounded(database_url: str) -> None:
    async with open_database(database_url, lock_seconds=0.05) as database, transaction(database) as held:
        await held.execute("lock table accounts")
        with pytest.raises(TimedOut):
            await asyncio.create_task(count_accounts(database))


async def count_accounts(database: Database) -> int:
    async with connection(database) as held:
        count: int = await held.fetchval("select count(*) from accounts")
        return count


@pytest.mark.parametrize("held_by", [connection, transaction])
async def test_lost_connections_are_unavailable_and_replaced(
    database_url: str, held_by: Callable[[Database], AbstractAsyncContextManager[Connection]]
) -> None:
    """Repeatedly, so that none leaks, and in one task, which must not keep a broken one."""

    async def lose(database: Database) -> None:
        async with held_by(database) as held:
            await terminate(database_url, pid=await backend(held))
            await held.fetchval("select 1")

    async with open_database(database_url, pool_size=1, acquire_seconds=2) as database:
        for _ in range(3):
            with pytest.raises(Unavailable):
                await lose(database)
        assert await count_accounts(database) == 0


async def test_a_connection_lost_while_idle_is_replaced(database_url: str) -> None:
    async with open_database(database_url, pool_size=1) as database:
        async with connection(database) as held:
            pid = await backend(held)
        await terminate(database_url, pid=pid)
        assert await count_accounts(database) == 0


async def terminate_all(database_url: str) -> None:
    other = await asyncpg.connect(database_url)
    try:
        await other.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and application_name = 'gateway'"
        )
    finally:
        await other.close()


async def test_reads_are_answered_although_the_server_closes_every_connection(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The event loop has not read of the end of any connection when the reads begin."""
    async with open_database(database_url, pool_size=10) as database:
        for _ in range(3):
            await asyncio.gather(*(read(database, backend) for _ in range(20)))  # all ten are connected
            with ThreadPoolExecutor() as threads:
                threads.submit(lambda: asyncio.run(terminate_all(database_url))).result()
            await asyncio.gather(*(read(database, backend) for _ in range(20)))
    assert caplog.messages == []


async def test_reads_are_answered_while_the_server_closes_every_connection(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of a connection comes at any step of a statement, also between preparing and running it."""
    async with open_database(database_url, pool_size=4) as database:
        for _ in range(8):
            await asyncio.gather(terminate_all(database_url), *(read(database, backend) for _ in range(4)))
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_read_that_loses_its_connection_on_the_way_is_repeated(database_url: str) -> None:
    attempts: list[int] = []

    async def lose_the_first(held: Connection) -> int:
        attempts.append(await backend(held))
        if len(attempts) == 1:
            await terminate(database_url, pid=attempts[0])
        return await backend(held)

    async with open_database(database_url) as database:
        assert await read(database, lose_the_first) == attempts[1]
        assert len(attempts) == 2


async def test_a_lost_connection_has_all_others_opened_anew(database_url: str) -> None:
    """Where one was closed, others probably were: a repeated read must not be handed one of those."""
    lost: list[int] = []

    async def lose_the_first(held: Connection) -> None:
        if not lost:
            lost.append(await backend(held))
            await terminate(database_url, pid=lost[0])
        await backend(held)

    async with open_database(database_url) as database:
        before = await asyncio.gather(*(read(database, backend) for _ in range(3)))
        await read(database, lose_the_first)
        after = await asyncio.gather(*(read(database, backend) for _ in range(3)))
    assert lost[0] in before
    assert len(set(before)) == len(set(after)) == 3
    assert not set(before) & set(after)


async def test_a_read_is_repeated_once(database_url: str) -> None:
    attempts: list[int] = []

    async def lose(held: Connection) -> None:
        attempts.append(await backend(held))
        await terminate(database_url, pid=attempts[-1])
        await backend(held)

    async with open_database(database_url) as database:
        with pytest.raises(Unavailable):
            await read(database, lose)
        assert len(attempts) == 2


async def test_a_read_that_takes_too_long_is_not_repeated(database_url: str) -> None:
    attempts: list[None] = []

    async def sleep(held: Connection) -> None:
        attempts.append(None)
        await held.execute("select pg_sleep(30)")

    async with open_database(database_url, statement_seconds=0.5) as database:
        with pytest.raises(TimedOut):
            await read(database, sleep)
        assert len(attempts) == 1


async def test_a_cancelled_task_gives_its_connection_back(database_url: str) -> None:
    async with open_database(database_url, pool_size=1) as database:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), transaction(database) as held:
                await held.execute("select pg_sleep(30)")
        assert await count_accounts(database) == 0


async def test_a_task_cancelled_between_preparing_and_running_leaves_no_statement_open(database_url: str) -> None:
    """asyncpg prepares without a sync: the lock was held, and statement_timeout ran, until the next statement."""
    async with open_database(database_url, pool_size=1) as database, open_database(database_url) as others:
        for _ in range(5):
            async with connection(others) as other:
                lock = other.transaction()
                await lock.start()
                await other.execute("lock table accounts")
                counting = asyncio.create_task(count_accounts(database))
                await locks_on_accounts(others, count=2)
                await lock.rollback()
                counting.cancel()
                await asyncio.wait([counting])
            await locks_on_accounts(others, count=0)
        assert await count_accounts(database) == 0


async def locks_on_accounts(database: Database, *, count: int) -> None:
    """Wait until so many locks on the accounts are held or waited for."""

    async def locks() -> int:
        async with connection(database) as held:
            found: int = await held.fetchval("select count(*) from pg_locks where relation = 'accounts'::regclass")
            return found

    async with asyncio.timeout(5):
        while await asyncio.create_task(locks()) != count:
            pass


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        await open_database("postgresql://nobody@127.0.0.1:1/gateway?sslmode=disable").connect()


async def test_a_database_that_is_not_there_is_unavailable(server_url: str) -> None:
    missing = urlsplit(server_url)._replace(path="/missing").geturl()
    with pytest.raises(Unavailable):
        await open_database(missing).connect()


async def test_a_database_that_is_gone_meanwhile_is_unavailable(database_url: str, server_url: str) -> None:
    name = urlsplit(database_url).path.removeprefix("/")
    async with open_database(database_url, pool_size=1) as database:
        async with connection(database) as held:
            pid = await backend(held)
        await terminate(database_url, pid=pid)
        await run_on(server_url, f'alter database "{name}" rename to "{name}-away"')
        with pytest.raises(Unavailable, match="cannot be reached"):
            await count_accounts(database)
        await run_on(server_url, f'alter database "{name}-away" rename to "{name}"')
        assert await count_accounts(database) == 0


@pytest.mark.parametrize("address", ["mysql://somebody@localhost/gateway", "postgresql://localhost/x?sslmode=perhaps"])
async def test_an_invalid_url_is_a_value_error(address: str) -> None:
    with pytest.raises(ValueError, match=r"scheme|sslmode"):
        await open_database(address).connect()


async def test_connection_that_cannot_write_any_more_is_replaced(database: Database) -> None:
    async with connection(database) as held:
        await held.execute("set default_transaction_read_only = on")
    with pytest.raises(Unavailable):
        await write(database, EventSource().next())
    await write(database, EventSource().next())
