"""Concurrent writers and subscribers of feeds, and the check that each subscriber received exactly the log's events."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.domain.cursors import Position
from gateway.domain.errors import TimedOut, Unavailable
from gateway.domain.event_filters import EventFilter
from gateway.domain.events import Event
from gateway.feed import Feed
from gateway.storage.database import Database, open_database, transaction
from gateway.storage.events import append_event
from tests.postgres.event_rows import EventSource, until, whole_log

_WRITERS = 6
_EVENTS_BEFORE_MOVING = 37


@dataclass(kw_only=True)
class LoadSubscriber:
    """Subscribes to one feed after the other, each time from its last event, and keeps the events."""

    matching: EventFilter
    feeds: Sequence[Feed]
    received: list[Event] = field(default_factory=list)

    async def receive_events(self, start: Position) -> None:
        turn = 0
        while True:
            after = self.received[-1].position if self.received else start
            async with self.feeds[turn % len(self.feeds)].follow(self.matching, after=after) as events:
                async for event in events:
                    self.received.append(event)
                    if len(self.feeds) > 1 and len(self.received) % _EVENTS_BEFORE_MOVING == 0:
                        break
            turn += 1


@dataclass(kw_only=True)
class WrittenEvents:
    """The number of events that the writers have committed."""

    count: int = 0

    async def more(self, count: int) -> None:
        """Wait until so many more events are committed."""
        wanted = self.count + count
        await until(lambda: self.count >= wanted)


async def run_load(url: str, *, fault: Callable[[WrittenEvents], Awaitable[None]]) -> int:
    """Write, and subscribe to two feeds, during a fault; return the number of events."""
    sources = [EventSource() for _ in range(_WRITERS)]
    written = WrittenEvents()
    async with (
        open_database(url, pool_size=6) as database,
        open_database(url, pool_size=3) as other,
        Feed(database, url=url, poll_seconds=0.2, buffer_size=64, batch_size=32) as first,
        Feed(other, url=url, poll_seconds=0.2, buffer_size=64, batch_size=32) as second,
    ):
        subscribers = [
            LoadSubscriber(matching=matching, feeds=feeds)
            for matching in (
                EventFilter(),
                *(EventFilter(account_ids=frozenset({source.account_id})) for source in sources[:3]),
            )
            for feeds in ([first], [second], [first, second])
        ]
        start = await first.position()
        tasks = [asyncio.create_task(listener.receive_events(start)) for listener in subscribers]
        writing = [asyncio.create_task(_write_on(database, first, source, written=written)) for source in sources]
        await fault(written)
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
        log = await whole_log(database, after=start)
        await _received_all(subscribers, log=log, tasks=tasks)
    return len(log)


async def _write_on(database: Database, feed: Feed, source: EventSource, *, written: WrittenEvents) -> None:
    while True:
        with suppress(Unavailable, TimedOut):
            async with transaction(database) as held:
                await append_event(held, source.next())
            written.count += 1
            feed.notify()
        await asyncio.sleep(0.002)


async def _received_all(
    subscribers: Sequence[LoadSubscriber], *, log: Sequence[Event], tasks: Sequence[asyncio.Task[None]]
) -> None:
    expected = [[event for event in log if listener.matching.matches(event)] for listener in subscribers]
    pairs = list(zip(subscribers, expected, strict=True))
    with suppress(TimeoutError):  # the comparison below shows what is missing
        await until(
            lambda: (
                all(len(listener.received) >= len(events) for listener, events in pairs)
                or any(task.done() for task in tasks)
            )
        )
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [outcome for outcome in outcomes if not isinstance(outcome, asyncio.CancelledError)] == []
    assert [listener.received for listener in subscribers] == expected
