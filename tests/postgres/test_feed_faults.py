"""The feed loses no event when Postgres, its connections or a transaction fail."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from gateway.domain.errors import Unavailable
from gateway.domain.event_filters import EventFilter
from gateway.feed import Feed
from gateway.storage.cluster import Cluster
from gateway.storage.database import Database, open_database, transaction
from gateway.storage.events import append_event
from gateway.storage.migrations import migrate
from tests.conftest import connected
from tests.postgres.event_rows import DEADLINE_SECONDS, EventSource, receive, until, write
from tests.postgres.feed_load import WrittenEvents, run_load

# No checkpoint and no standby logs the transaction ids, so that a crash loses them.
FORGETS_IDS = {"wal_level": "minimal", "max_wal_senders": "0", "checkpoint_timeout": "1h"}


class CrashableServer:
    """A server that can be crashed as by `pg_ctl restart -m immediate`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.url = ""

    async def start(self) -> None:
        postmaster = await asyncio.to_thread(self._cluster.start, database="postgres")
        self.url = f"postgresql://postgres@/postgres?host={postmaster.socket_directory}&port=5432"

    async def crash(self) -> None:
        postmaster = self._cluster.postmaster()
        assert postmaster is not None
        postmaster.process.send_signal(signal.SIGQUIT)
        await asyncio.to_thread(postmaster.process.wait, 20)
        await self.start()


@pytest.fixture
def cluster(initialized_directory: Path) -> Iterator[Cluster]:
    made = Cluster(data=initialized_directory / "postgres", settings=FORGETS_IDS)
    yield made
    made.stop()


@pytest.fixture
async def server(cluster: Cluster) -> CrashableServer:
    crashable = CrashableServer(cluster)
    await crashable.start()
    await migrate(crashable.url)
    return crashable


async def test_no_event_is_lost_when_postgres_crashes(server: CrashableServer, *, long: bool) -> None:
    async def crashes(written: WrittenEvents) -> None:
        for _ in range(5 if long else 2):
            await written.more(100)
            await server.crash()
        await written.more(100)

    assert await run_load(server.url, fault=crashes) > 100


async def test_no_event_is_lost_when_the_feeds_connections_are_killed(database_url: str) -> None:
    async def kill_listeners(written: WrittenEvents) -> None:
        admin = await asyncpg.connect(database_url)
        killed = 0
        while killed < 12:
            await written.more(20)
            killed += await admin.fetchval("""
                select count(pg_terminate_backend(pid)) from pg_stat_activity
                where datname = current_database() and application_name in ('gateway log reader', 'gateway notifier')
            """)
        await admin.close()

    assert await run_load(database_url, fault=kill_listeners) > 100


async def test_no_event_is_lost_when_transactions_commit_late(database_url: str) -> None:
    async def commit_late(written: WrittenEvents) -> None:
        async with open_database(database_url, idle_in_transaction_seconds=20) as database:
            await asyncio.gather(*(commit_after(written, 25 * number, database=database) for number in range(1, 12)))

    async def commit_after(written: WrittenEvents, count: int, *, database: Database) -> None:
        async with transaction(database) as held:
            await append_event(held, EventSource().next())
            await written.more(count)

    assert await run_load(database_url, fault=commit_late) > 100


async def test_no_event_is_lost_when_a_crash_reuses_transaction_ids(server: CrashableServer) -> None:
    source = EventSource()
    async with (
        open_database(server.url) as database,
        Feed(database, url=server.url, poll_seconds=0.2) as feed,
        feed.follow(EventFilter()) as events,
    ):
        await until(lambda: feed.stats.connected)
        await write(database, source.next())
        await receive(events, count=1)
        for _ in range(10):  # a busy server may have written the ids to its WAL before it crashes
            before = await spend_transaction_ids(server.url)
            position = await feed.position()
            await server.crash()
            if await next_transaction_id(server.url) < before:
                break
        else:
            pytest.fail("No crash made the server assign transaction ids again.")
        await write(database, source.next())
        assert await receive(events, count=1) == [(source.installation_id, 2)]
        async with feed.follow(EventFilter(), after=position) as resumed:
            assert await receive(resumed, count=1) == [(source.installation_id, 2)]


async def spend_transaction_ids(url: str) -> int:
    server = await asyncpg.connect(url)
    for _ in range(100):
        await server.execute("begin; select pg_current_xact_id(); rollback")
    await server.close()
    return await next_transaction_id(url)


async def next_transaction_id(url: str) -> int:
    server = await asyncpg.connect(url)
    xid: int = await server.fetchval("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    await server.close()
    return xid


class Proxy:
    """Forwards bytes to Postgres' socket, until it stops forwarding those of its open connections."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stopped: set[object] = set()
        self._open: set[asyncio.StreamWriter] = set()

    def stop_forwarding(self) -> None:
        self._stopped |= self._open

    async def serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        server, requests = await asyncio.open_unix_connection(self._path)
        self._open |= {answers, requests}
        with suppress(ConnectionError):
            await asyncio.gather(self._pass(client, requests), self._pass(server, answers))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if writer not in self._stopped:
                writer.write(data)
        writer.close()


@asynccontextmanager
async def proxied(server: CrashableServer) -> AsyncIterator[tuple[Proxy, str]]:
    directory = server.url.partition("host=")[2].partition("&")[0]
    proxy = Proxy(f"{directory}/.s.PGSQL.5432")
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy, f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable"
    finally:
        listener.close()


async def test_connection_that_is_dead_without_being_closed_is_replaced(server: CrashableServer) -> None:
    source = EventSource()
    async with (
        proxied(server) as (proxy, url),
        open_database(server.url) as database,
        Feed(database, url=url, poll_seconds=0.2, timeout_seconds=0.5) as feed,
    ):
        await until(lambda: feed.stats.connected)
        events = feed.follow(EventFilter())
        await events.start()
        proxy.stop_forwarding()
        await write(database, source.next())
        feed.notify()
        assert await receive(events, count=1) == [(source.installation_id, 1)]
        assert feed.stats.reconnects >= 1


async def test_stream_without_a_position_is_refused_where_too_many_events_wait(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.storage.events.MOST_WAITING", 2)
    monkeypatch.setattr("gateway.feed.backlog.MOST_WAITING", 2)
    async with connected(database_url) as slow, Feed(database, url=database_url) as feed:
        async with slow.transaction():
            await append_event(slow, EventSource().next())
            await write(database, EventSource().next())
            async with feed.follow(EventFilter()):
                await write(database, EventSource().next())
                with pytest.raises(Unavailable, match="long transaction"):
                    await feed.follow(EventFilter()).start()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await starts(feed):  # noqa: ASYNC110 - other sessions may still have a transaction open
                await asyncio.sleep(0.01)


async def starts(feed: Feed) -> bool:
    with suppress(Unavailable):
        async with feed.follow(EventFilter()):
            return True
    return False
