import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from uuid import uuid4

import asyncpg
import pytest

from gateway.domain.errors import CursorExpired
from gateway.domain.event_filters import EventFilter
from gateway.domain.events import EventKind
from gateway.feed import Feed, backoff
from gateway.feed.backoff import Throttle
from gateway.storage.database import Database, connection, open_database, transaction
from gateway.storage.events import append_event
from gateway.storage.migrations import migrate
from tests.conftest import address, run_on
from tests.postgres.event_rows import EVERYTHING, EventSource, receive, until, write


@asynccontextmanager
async def connected(feed: Feed) -> AsyncIterator[None]:
    await until(lambda: feed.stats.connected)
    yield


async def commit(database: Database, feed: Feed, *sources: EventSource) -> None:
    for source in sources:
        await write(database, source.next())
        feed.notify()


async def pretend_pruning(database: Database, *, version: int) -> None:
    async with connection(database) as held:
        await held.execute(
            """
            update event_log
            set (pruned_xid, pruned_id) = (select xid, id from installation_events where version = $1)
            """,
            version,
        )


async def test_stream_returns_the_backlog_then_new_events(database: Database, feed: Feed) -> None:
    source = EventSource()
    start = await feed.position()
    await write(database, source.next(), source.next())
    async with feed.follow(EVERYTHING, after=start) as events:
        assert await receive(events, count=2) == [(source.installation_id, 1), (source.installation_id, 2)]
        await commit(database, feed, source)
        assert await receive(events, count=1) == [(source.installation_id, 3)]


async def test_backlog_is_read_in_growing_parts_and_once_for_all_who_ask_at_a_time(
    database: Database, feed: Feed
) -> None:
    source = EventSource()
    start = await feed.position()
    await write(database, *(source.next() for _ in range(100)))
    streams = [feed.follow(EVERYTHING, after=start) for _ in range(20)]
    await asyncio.gather(*(stream.start() for stream in streams))
    assert {len(stream.page) for stream in streams} == {16}
    assert len({id(stream.page[0]) for stream in streams}) == 1
    for stream in streams:
        received = await receive(stream, count=100)
        assert received == [(source.installation_id, version) for version in range(1, 101)]
        await stream.aclose()


async def test_stream_without_a_position_returns_events_committed_from_now_on(
    database: Database, feed: Feed, database_url: str
) -> None:
    running, before, later = EventSource(), EventSource(), EventSource()
    slow = await asyncpg.connect(database_url)
    try:
        slow_transaction = slow.transaction()
        await slow_transaction.start()
        await append_event(slow, running.next())
        await commit(database, feed, before)
        async with feed.follow(EVERYTHING) as events:
            await slow_transaction.commit()
            await commit(database, feed, later)
            assert await receive(events, count=2) == [(running.installation_id, 1), (later.installation_id, 1)]
    finally:
        await slow.close()


async def test_streams_return_the_events_that_match_their_filters(database: Database, feed: Feed) -> None:
    first = EventSource()
    second = EventSource(application_id=first.application_id)
    third = EventSource(account_id=first.account_id)
    filters = {
        "installation": EventFilter(installation_ids=frozenset({second.installation_id})),
        "application": EventFilter(application_ids=frozenset({first.application_id})),
        "account": EventFilter(account_ids=frozenset({first.account_id})),
        "both": EventFilter(
            account_ids=frozenset({first.account_id}), application_ids=frozenset({first.application_id})
        ),
        "nothing": EventFilter(kinds=frozenset({EventKind.STATUS_CHANGED})),
        "everything": EVERYTHING,
    }
    streams = {name: feed.follow(wanted) for name, wanted in filters.items()}
    for tasks in streams.values():
        await tasks.start()
    await commit(database, feed, first, second, third)
    one, two, three = ((source.installation_id, 1) for source in (first, second, third))
    assert await receive(streams["everything"], count=3) == [one, two, three]
    assert await receive(streams["installation"], count=1) == [two]
    assert await receive(streams["application"], count=2) == [one, two]
    assert await receive(streams["account"], count=2) == [one, three]
    assert await receive(streams["both"], count=1) == [one]
    assert feed.stats.events_delivered == 9
    for tasks in streams.values():
        await tasks.aclose()
    assert feed.stats.subscribers == 0


async def test_backlog_and_live_events_join_without_gap_or_duplicate_under_load(database: Database, feed: Feed) -> None:
    sources = [EventSource() for _ in range(8)]

    async def run_load(source: EventSource) -> None:
        for _ in range(60):
            await commit(database, feed, source)

    async def follow(*, wanted: EventFilter, count: int) -> list[tuple[object, int]]:
        async with feed.follow(wanted, after=start) as events:
            return [*await receive(events, count=count)]

    start = await feed.position()
    writers = [asyncio.create_task(run_load(source)) for source in sources]
    subscribers = []
    while not all(writer.done() for writer in writers):
        subscribers.append(asyncio.create_task(follow(wanted=EVERYTHING, count=480)))
        one = EventFilter(installation_ids=frozenset({sources[len(subscribers) % 8].installation_id}))
        subscribers.append(asyncio.create_task(follow(wanted=one, count=60)))
        await asyncio.wait(writers, timeout=0.02)
    received = await asyncio.gather(*subscribers)
    assert len(received) > 10
    for events in received:
        assert len(set(events)) == len(events)
        for source in sources:
            own = [version for installation_id, version in events if installation_id == source.installation_id]
            assert own in ([], list(range(1, 61)))
    assert len({tuple(events) for events in received[::2]}) == 1
    await asyncio.gather(*writers)


async def test_no_event_is_lost_when_the_listening_backend_is_killed_repeatedly(
    database: Database, feed: Feed, database_url: str
) -> None:
    source = EventSource()
    admin = await asyncpg.connect(database_url)
    async with feed.follow(EVERYTHING) as events:
        for killed in range(5):
            await until(lambda: feed.stats.connected)
            await admin.execute("""
                select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and application_name in ('gateway log reader', 'gateway notifier')
            """)
            await commit(database, feed, source)
            assert await receive(events, count=1) == [(source.installation_id, killed + 1)]
    await admin.close()
    assert feed.stats.reconnects >= 1


async def test_poll_delivers_without_a_notification(database: Database, feed: Feed) -> None:
    source = EventSource()
    async with feed.follow(EVERYTHING) as events:
        await write(database, source.next())
        assert await receive(events, count=1) == [(source.installation_id, 1)]


async def test_notification_reaches_other_processes_before_their_poll(database: Database, database_url: str) -> None:
    source = EventSource()
    async with (
        Feed(database, url=database_url, poll_seconds=1000) as here,
        Feed(database, url=database_url, poll_seconds=1000) as there,
        there.follow(EVERYTHING) as events,
    ):
        await until(lambda: here.stats.connected and there.stats.connected)
        await commit(database, here, source)
        assert await receive(events, count=1) == [(source.installation_id, 1)]
        await until(lambda: here.stats.notify_latency_seconds > 0 and here.stats.notifications)
        assert here.stats.notifications == 1


async def test_concurrent_requests_to_notify_are_one_notification(database: Database, feed: Feed) -> None:
    for _ in range(1000):
        feed.notify()
    await until(lambda: feed.stats.notifications)
    await commit(database, feed, EventSource())
    await until(lambda: feed.stats.notifications == 2)
    assert feed.stats.notify_requests == 1001


async def test_notifications_are_throttled_under_load_and_lose_no_event_after_it(
    database: Database, database_url: str
) -> None:
    source = EventSource()
    async with (
        Feed(database, url=database_url, poll_seconds=1000) as here,
        Feed(database, url=database_url, poll_seconds=1000) as there,
        there.follow(EVERYTHING) as events,
    ):
        await until(lambda: here.stats.connected and there.stats.connected)
        for _ in range(60):  # the throttle follows the rate of requests, here up to 2,000 a second
            for _ in range(20):
                here.notify()
            await asyncio.sleep(0.01)
        assert here.stats.notifications < 30
        await commit(database, here, source)
        assert await receive(events, count=1) == [(source.installation_id, 1)]


def test_throttle_grows_with_the_rate_between_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "time", SimpleNamespace(monotonic=lambda: 100.0))
    throttle = Throttle()
    throttle.started_at = 100.0
    intervals = [throttle.remaining(events_per_second=rate) for rate in (0, 800, 1_000_000)]
    assert intervals == pytest.approx([0.005, 0.1, 0.25])
    throttle.started_at = 99.99
    assert throttle.remaining(events_per_second=0) <= 0


async def test_event_behind_a_transaction_without_writes_is_delivered_soon_after_it_ends(
    database: Database, database_url: str
) -> None:
    source = EventSource()
    idle = await asyncpg.connect(database_url)
    async with (
        Feed(database, url=database_url, poll_seconds=1000) as feed,
        feed.follow(EVERYTHING) as events,
    ):
        await until(lambda: feed.stats.connected)
        begun = idle.transaction()
        await begun.start()
        await idle.execute("select pg_current_xact_id()")
        await commit(database, feed, source)
        await until(lambda: feed.stats.horizon_lag_seconds > 0)
        await begun.rollback()
        assert await receive(events, count=1) == [(source.installation_id, 1)]
    await idle.close()


async def test_slow_subscriber_reads_the_log_again_and_loses_nothing(database: Database, database_url: str) -> None:
    source = EventSource()
    async with (
        Feed(database, url=database_url, poll_seconds=0.2, buffer_size=16, batch_size=8) as feed,
        feed.follow(EVERYTHING) as slow,
        feed.follow(EVERYTHING) as quick,
    ):
        for _ in range(20):
            async with transaction(database) as held:
                for _ in range(5):
                    await append_event(held, source.next())
            feed.notify()
            await receive(quick, count=5)
        assert len(slow.buffer.events) <= 16
        assert await receive(slow, count=100) == [(source.installation_id, number) for number in range(1, 101)]
        assert feed.stats.catchups >= 1
        await commit(database, feed, source)
        assert await receive(slow, count=1) == [(source.installation_id, 101)]


async def test_expired_position_is_refused_at_the_start(feed: Feed) -> None:
    position = await feed.position()
    tasks = feed.follow(EVERYTHING, after=position._replace(epoch=position.epoch ^ 1))
    with pytest.raises(CursorExpired):
        await tasks.start()
    assert feed.stats.subscribers == 0


async def test_slow_subscriber_gets_cursor_expired_when_its_events_are_removed(
    database: Database, database_url: str
) -> None:
    source = EventSource()
    async with (
        Feed(database, url=database_url, poll_seconds=0.2, buffer_size=2, batch_size=2) as feed,
        feed.follow(EVERYTHING) as slow,
        feed.follow(EVERYTHING) as quick,
    ):
        await commit(database, feed, *[source] * 6)
        await receive(quick, count=6)
        await pretend_pruning(database, version=4)
        with pytest.raises(CursorExpired):
            await receive(slow, count=6)
        assert feed.stats.subscribers == 1


async def test_idle_subscriber_keeps_up_when_events_are_removed(database: Database, database_url: str) -> None:
    idle, written = EventSource(), EventSource()
    async with (
        Feed(database, url=database_url, poll_seconds=0.2, buffer_size=2, batch_size=4) as feed,
        connected(feed),
        feed.follow(EventFilter(installation_ids=frozenset({idle.installation_id}))) as rare,
        feed.follow(EVERYTHING) as quick,
    ):
        await commit(database, feed, *[written] * 5)
        await receive(quick, count=5)
        await pretend_pruning(database, version=4)
        async with transaction(database) as held:
            for _ in range(4):
                await append_event(held, idle.next())
        feed.notify()
        await receive(quick, count=4)
        assert await receive(rare, count=4) == [(idle.installation_id, number) for number in range(1, 5)]


async def test_subscribers_get_cursor_expired_when_the_log_is_replaced(database: Database, feed: Feed) -> None:
    source = EventSource()
    async with feed.follow(EVERYTHING) as events:
        await commit(database, feed, source)
        await receive(events, count=1)
        async with connection(database) as held:
            await held.execute("update event_log set epoch = epoch # 1")
        await commit(database, feed, source)
        with pytest.raises(CursorExpired):
            await receive(events, count=1)


async def test_feed_starts_before_its_database(server_url: str) -> None:
    name = f"late_{uuid4().hex}"
    url = address(server_url, database=name)
    source = EventSource()
    async with Feed(open_database(url), url=url, poll_seconds=0.2) as feed:
        await until(lambda: feed.stats.reconnects)
        await run_on(server_url, f"create database {name}")
        await migrate(url)
        async with open_database(url) as database:
            await until(lambda: feed.stats.connected)
            await commit(database, feed, source)
    await run_on(server_url, f"drop database {name} with (force)")


async def test_stream_ends_with_its_feed(database: Database, database_url: str) -> None:
    async with Feed(database, url=database_url) as feed:
        tasks = feed.follow(EVERYTHING)
        await tasks.start()
        waiting = asyncio.ensure_future(anext(tasks, None))
    assert await waiting is None


async def test_restored_log_has_its_epoch_before_the_feed_has_started(database: Database, database_url: str) -> None:
    await write(database, EventSource().next())
    async with connection(database) as held:
        await held.execute("update installation_events set xid = xid + 1000000000")
        await held.execute("update event_log set system_identifier = 1")
    source = EventSource()
    async with Feed(database, url=database_url, poll_seconds=0.2) as feed:
        position = await feed.position()
        await commit(database, feed, source)
        async with feed.follow(EVERYTHING, after=position) as events:
            assert await receive(events, count=1) == [(source.installation_id, 1)]
