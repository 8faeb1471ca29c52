"""Random filters, pages and directions on random logs, against a plain list in Python."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from gateway.background_tasks import summarise_times
from gateway.domain.cursors import Position
from gateway.domain.event_filters import ALL_KINDS, EventFilter
from gateway.domain.events import (
    AuthorizationRenewed,
    Change,
    ConnectionReported,
    Event,
    EventKind,
    MetadataUpdated,
    NewEvent,
    StatusChanged,
    SyncProgressed,
)
from gateway.domain.installations import InstallationStatus, StatusReasonCode
from gateway.domain.pages import OrderDirection, Window
from gateway.domain.principals import Principal, PrincipalKind
from gateway.feed import Feed
from gateway.storage.database import Database, connection, read, transaction
from gateway.storage.events import EVENTS_OF_A_SPAN, append_event, prune_events, store_event_span
from gateway.usecases.reads import list_events
from gateway.usecases.services import Services
from gateway.usecases.visibility import visible_events
from tests.postgres.event_rows import TIME, EventSource, receive, whole_log, write

EVENTS, SPAN, ROUNDS = 400, 16, 90
STATUSES: list[InstallationStatus | None] = [*InstallationStatus, None]
PLATFORM = Principal(kind=PrincipalKind.PLATFORM)


@dataclass(kw_only=True)
class Log:
    """Events of two applications in three accounts, and what each kind of caller has to see of them."""

    sources: list[EventSource]
    events: list[Event]
    rng: random.Random

    def callers(self) -> list[Principal]:
        application_id, account_id = self.sources[0].application_id, self.sources[0].account_id
        return [
            PLATFORM,
            Principal(kind=PrincipalKind.APPLICATION, application_id=application_id),
            Principal(kind=PrincipalKind.APPLICATION, application_id=application_id, account_id=account_id),
            Principal(kind=PrincipalKind.ACCOUNT, account_id=account_id),
        ]

    def filter(self) -> EventFilter:
        """Draw a filter; most fields are left out."""
        rng, times = self.rng, sorted(self.rng.sample([event.occurred_at for event in self.events], 2))

        def ids(of: Callable[[EventSource], UUID]) -> frozenset[UUID] | None:
            return frozenset(map(of, rng.choices(self.sources, k=rng.choice((0, 1, 1, 2, 3))))) if some() else None

        def some() -> bool:
            return rng.random() < 0.3

        return EventFilter(
            installation_ids=ids(lambda source: source.installation_id),
            application_ids=ids(lambda source: source.application_id),
            account_ids=ids(lambda source: source.account_id),
            kinds=frozenset(rng.sample(list(EventKind), rng.randint(0, 4))) if some() else ALL_KINDS,
            to=frozenset(rng.sample(list(InstallationStatus), rng.randint(0, 2))) if some() else None,
            occurred_since=times[0] if some() else None,
            occurred_before=times[1] if some() else None,
        )

    def window(self) -> Window[Position]:
        rng = self.rng
        after, before = (rng.choice(self.events).position if rng.random() < 0.4 else None for _ in range(2))
        return Window(size=rng.choice((1, 3, 20, 100)), backward=rng.random() < 0.5, after=after, before=before)


def shown(event: NewEvent, asked: EventFilter, caller: Principal) -> bool:
    """Return whether a caller gets an event by a filter; as plain as can be."""
    status = event.change.after if isinstance(event.change, StatusChanged) else None
    return all(
        (
            caller.application_id in {None, event.application_id},
            caller.account_id in {None, event.account_id},
            caller.kind is not PrincipalKind.ACCOUNT or not isinstance(event.change, MetadataUpdated),
            asked.installation_ids is None or event.installation_id in asked.installation_ids,
            asked.application_ids is None or event.application_id in asked.application_ids,
            asked.account_ids is None or event.account_id in asked.account_ids,
            event.change.kind in asked.kinds,
            asked.to is None or status in asked.to,
            asked.occurred_since is None or event.occurred_at >= asked.occurred_since,
            asked.occurred_before is None or event.occurred_at < asked.occurred_before,
        )
    )


def page(events: list[Event], window: Window[Position], direction: OrderDirection) -> tuple[list[int], bool, bool]:
    """Return the numbers of a page's events, and whether there are more after and before it."""
    ascending = direction is OrderDirection.ASC

    def follows(position: Position, edge: Position) -> bool:
        return position > edge if ascending else position < edge

    numbers = [
        event.position.id
        for event in (events if ascending else events[::-1])
        if (window.after is None or follows(event.position, window.after))
        and (window.before is None or follows(window.before, event.position))
    ]
    more = len(numbers) > window.size
    if window.backward:
        return numbers[-window.size :], window.before is not None, more
    return numbers[: window.size], more, window.after is not None


def a_change(rng: random.Random) -> Change:
    status = StatusChanged(
        before=None, after=rng.choice(STATUSES), reason=StatusReasonCode.DEACTIVATED, message='\0 "after":"ACTIVATED"'
    )
    return rng.choice(
        (
            status,
            status,
            MetadataUpdated(changed_keys=("after",)),
            SyncProgressed(steps=()),
            ConnectionReported(succeeded=True, failures=0, message='"after":"INACTIVE"'),
            AuthorizationRenewed(expires_at=None),
        )
    )


def a_time(rng: random.Random, number: int) -> datetime:
    """Return a time that mostly grows with the number: some gateways' clocks are wrong, by up to hours."""
    late = rng.choice((0, 0, 0, 0, 0, 1, 90, 600))
    return TIME + timedelta(seconds=number * 60 - rng.randint(0, 60 * late + 5))


@pytest.fixture
async def log(database: Database) -> Log:
    rng = random.Random(5)
    applications, accounts = ([EventSource().application_id for _ in range(count)] for count in (2, 3))
    sources = [
        EventSource(application_id=application_id, account_id=account_id)
        for application_id in applications
        for account_id in accounts
    ]
    for first in range(0, EVENTS, 5):
        async with transaction(database) as held:
            for number in range(first, first + 5):
                source = rng.choice(sources)
                await append_event(held, source.next(a_change(rng), at=a_time(rng, number)))
    return Log(sources=sources, events=await whole_log(database), rng=rng)


async def summarise(database: Database, *, most: int) -> int:
    """Store up to so many spans; return how many there were."""
    async with transaction(database) as held:
        for stored in range(most):
            if not await store_event_span(held, events=SPAN):
                return stored
    return most


@pytest.mark.parametrize("spans", [0, 9, 1_000])
async def test_pages_have_the_events_of_their_filter(database: Database, log: Log, spans: int) -> None:
    """Whether all, a part or none of the log has its times summarised."""
    assert await summarise(database, most=spans) == min(spans, EVENTS // SPAN)
    for _ in range(ROUNDS):
        asked, window, caller = log.filter(), log.window(), log.rng.choice(log.callers())
        direction = log.rng.choice(list(OrderDirection))
        pages = await read(
            database, list_events, caller, ids=[None], matching=asked, direction=direction, window=window
        )
        found = pages[None]
        expected = page([event for event in log.events if shown(event, asked, caller)], window, direction)
        assert ([event.position.id for event in found.items], found.has_next, found.has_previous) == expected, asked


async def test_histories_have_the_events_of_their_filter(database: Database, log: Log) -> None:
    await summarise(database, most=9)
    ids = [source.installation_id for source in log.sources]
    for _ in range(ROUNDS // 3):
        asked, window, direction = log.filter(), log.window(), log.rng.choice(list(OrderDirection))
        found = await read(database, list_events, PLATFORM, ids=ids, matching=asked, direction=direction, window=window)
        for installation_id in ids:
            events = [event for event in log.events if event.installation_id == installation_id]
            expected = page([event for event in events if shown(event, asked, PLATFORM)], window, direction)
            numbers = [event.position.id for event in found[installation_id].items]
            assert numbers == expected[0], (asked, window)


async def test_subscriptions_deliver_the_events_of_their_filter(
    database: Database, database_url: str, log: Log
) -> None:
    """The backlog from a random position, then live events, in the log's order."""
    await summarise(database, most=9)
    async with Feed(database, url=database_url) as feed:
        streams = []
        for _ in range(60):
            asked, caller = log.filter(), log.rng.choice(log.callers())
            after = log.rng.choice((None, log.rng.choice(log.events).position))
            events = feed.follow(visible_events(caller, asked), after=after)
            await events.start()
            streams.append((asked, caller, after or log.events[-1].position, events))
        for number in range(EVENTS, EVENTS + 60):
            await write(database, log.rng.choice(log.sources).next(a_change(log.rng), at=a_time(log.rng, number)))
            feed.notify()
        everything = await whole_log(database)
        for asked, caller, after, events in streams:
            expected = [event for event in everything if event.position > after and shown(event, asked, caller)]
            received = await receive(events, count=len(expected))
            assert received == [(event.installation_id, event.version) for event in expected], asked
            await events.aclose()
        assert feed.stats.subscribers == 0


async def test_newest_first_shows_nothing_above_the_horizon(database: Database, database_url: str, log: Log) -> None:
    """An event that is committed behind a running transaction is shown when that has ended, and after its events."""
    early, late = EventSource(), EventSource()
    window: Window[Position] = Window(size=2, backward=False, after=None, before=None)

    async def newest() -> list[UUID]:
        direction = OrderDirection.DESC
        pages = await read(
            database, list_events, PLATFORM, ids=[None], matching=EventFilter(), direction=direction, window=window
        )
        return [event.installation_id for event in pages[None].items]

    before, slow = [event.installation_id for event in log.events[:-3:-1]], await asyncpg.connect(database_url)
    try:
        async with slow.transaction():
            await append_event(slow, early.next())
            await write(database, late.next())
            assert await newest() == before
    finally:
        await slow.close()
    await whole_log(database)
    assert await newest() == [late.installation_id, early.installation_id]


async def test_gateway_summarises_the_times_of_all_full_spans(database: Database) -> None:
    async with connection(database) as held:
        await held.execute(
            """insert into installation_events (
                xid, occurred_at, actor_kind, installation_id, application_id, account_id, version, kind, change
            )
            select
                1, now(), 'SYSTEM', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, 'SYNC_PROGRESSED', '{}'
            from generate_series(1, $1)""",
            2 * EVENTS_OF_A_SPAN + 1,
        )
        await summarise_times(Services(database=database, notify=lambda: None))
        assert await held.fetchval("select count(*) from event_spans") == 2


async def test_spans_of_pruned_events_are_removed(database: Database, log: Log) -> None:
    stored = await summarise(database, most=1_000)
    async with transaction(database) as held:
        pruned = await prune_events(held, older_than=TIME + timedelta(days=10), limit=3 * SPAN + 1)
    await write(database, *(log.sources[0].next() for _ in range(SPAN)))
    await whole_log(database)
    assert await summarise(database, most=1_000) == (EVENTS - stored * SPAN + SPAN) // SPAN
    async with connection(database) as held:
        left = await held.fetchval("select count(*) from event_spans")
    assert pruned == 3 * SPAN + 1
    assert left == stored - 3 + (EVENTS - stored * SPAN + SPAN) // SPAN
