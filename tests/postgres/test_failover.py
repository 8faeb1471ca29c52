"""After a failover each follower gets every event exactly once, or CURSOR_EXPIRED."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.domain.cursors import Position, decode_position, encode_position
from gateway.domain.errors import CursorExpired, Unavailable
from gateway.domain.event_filters import EventFilter
from gateway.domain.events import Event
from gateway.domain.pages import Window
from gateway.feed import Feed
from gateway.storage.database import Database, connection, open_database
from gateway.storage.events import select_event_pages
from gateway.storage.reachability import DatabaseNotUsable, require_reachable
from tests.conftest import connected
from tests.postgres.clusters import ReplicatedPostgres, address_of, replicated_postgres
from tests.postgres.event_rows import EVERYTHING, EventSource, receive, until, whole_log, write
from tests.postgres.feed_load import WrittenEvents, run_load

NEXT_XID = "select pg_current_xact_id()::text::bigint + 1"
BY_HAND = """
insert into installation_events (
    id, xid, occurred_at, actor_kind, installation_id, application_id, account_id, version, kind, change
)
overriding system value
select $1, pg_current_xact_id()::text::bigint, now(), actor_kind, installation_id, application_id, account_id, 0, kind, change
from installation_events
limit 1
returning xid, id
"""  # noqa: E501 - the values of a row


@pytest.fixture
async def postgres(data_directory: Path) -> AsyncIterator[ReplicatedPostgres]:
    async with replicated_postgres(data_directory) as both:
        yield both


async def commit(database: Database, source: EventSource, *, count: int) -> None:
    await write(database, *(source.next(at=datetime.now(UTC)) for _ in range(count)))


async def assert_expired(database: Database, feed: Feed, position: Position, *, source: EventSource) -> None:
    """Subscriptions, pages and histories all refuse the cursor, as a client gives it."""
    given = decode_position(encode_position(position), argument="after")
    window = Window(size=5, backward=False, after=given, before=None)
    with pytest.raises(CursorExpired):
        await feed.follow(EVERYTHING, after=given).start()
    async with connection(database) as held:
        with pytest.raises(CursorExpired):
            await select_event_pages(held, ids=[None], matching=EVERYTHING, window=window)
        ids = [source.installation_id]
        with pytest.raises(CursorExpired):
            await select_event_pages(held, ids=ids, matching=EVERYTHING, window=window)


async def test_cursors_beyond_the_fork_expire_for_ever_and_those_before_it_stay_good(
    postgres: ReplicatedPostgres,
) -> None:
    source, other = EventSource(), EventSource()
    of_other = EventFilter(account_ids=frozenset({other.account_id}))
    with pytest.raises(DatabaseNotUsable, match="can only be read"):
        await require_reachable(address_of(postgres.standby))
    with pytest.raises(Unavailable):
        await open_database(address_of(postgres.standby)).connect()
    async with (
        open_database(postgres.url) as database,
        Feed(database, url=postgres.url, poll_seconds=0.2) as feed,
        feed.follow(EVERYTHING) as present,
        feed.follow(of_other) as quiet,
    ):
        await until(lambda: feed.stats.connected)
        await commit(database, source, count=6)
        await commit(database, other, count=1)
        await receive(present, count=7)
        await receive(quiet, count=1)
        kept = await whole_log(database)
        await postgres.cut_off_standby()
        await commit(database, source, count=6)
        feed.notify()
        await receive(present, count=6)
        lost = (await whole_log(database))[len(kept) :]
        now = await feed.position()
        assert now == lost[-1].position
        late = feed.follow(of_other, after=kept[-1].position)  # reads the log to its end, which is lost
        await late.start()
        await postgres.fail_over()

        # The first to write does not know the gateway's rules, and takes the numbers of a lost event.
        async with connected(address_of(postgres.standby)) as by_hand:
            taken = lost[2].position
            while await by_hand.fetchval(NEXT_XID) < taken.xid:
                pass
            written = await by_hand.fetchrow(BY_HAND, taken.id)
            assert tuple(written or ()) == (taken.xid, taken.id)
        with pytest.raises(CursorExpired):
            await receive(present, count=100)
        for event in lost:
            await assert_expired(database, feed, event.position, source=source)
        source.version = 6
        await commit(database, source, count=90)
        await commit(database, other, count=1)
        log = await whole_log(database)
        assert log[: len(kept)] == kept
        assert len(log) == len(kept) + 1 + 91
        for event in lost:
            await assert_expired(database, feed, event.position, source=source)
        for one in (quiet, late):
            assert await receive(one, count=1) == [(other.installation_id, 2)]
        await late.aclose()
        for number, event in enumerate(kept):
            await assert_resumes(feed, event, expected=log[number + 1 :])


async def assert_resumes(feed: Feed, event: Event, *, expected: list[Event]) -> None:
    async with feed.follow(EVERYTHING, after=decode_position(event.cursor, argument="after")) as events:
        assert [await anext(events) for _ in expected] == expected


async def test_no_event_is_lost_when_a_synchronous_standby_takes_over(postgres: ReplicatedPostgres) -> None:
    await postgres.wait_for_standby()

    async def fails_over(written: WrittenEvents) -> None:
        await written.more(100)
        await postgres.fail_over()
        await written.more(100)

    assert await run_load(postgres.url, fault=fails_over) > 200
