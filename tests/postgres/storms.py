"""Many writers and followers at once, and a check that each follower received exactly what the log holds."""

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
from tests.postgres.event_rows import Subject, until, whole_log

_WRITERS = 6
_EVENTS_BEFORE_MOVING = 37


@dataclass(kw_only=True)
class Listener:
    """Follows on one feed after the other, each time from its last event on, and keeps what it received."""

    matching: EventFilter
    feeds: Sequence[Feed]
    received: list[Event] = field(default_factory=list)

    async def listen(self, beginning: Position) -> None:
        turn = 0
        while True:
            after = self.received[-1].position if self.received else beginning
            async with self.feeds[turn % len(self.feeds)].follow(self.matching, after=after) as events:
                async for event in events:
                    self.received.append(event)
                    if len(self.feeds) > 1 and len(self.received) % _EVENTS_BEFORE_MOVING == 0:
                        break
            turn += 1


async def storm(url: str, *, fault: Callable[[], Awaitable[None]]) -> int:
    """Write, follow on two feeds, let the fault happen meanwhile; answer how many events there were."""
    subjects = [Subject() for _ in range(_WRITERS)]
    async with (
        open_database(url, pool_size=6) as database,
        open_database(url, pool_size=3) as other,
        Feed(database, url=url, poll_seconds=0.2, buffer_size=64, batch_size=32) as first,
        Feed(other, url=url, poll_seconds=0.2, buffer_size=64, batch_size=32) as second,
    ):
        listeners = [
            Listener(matching=matching, feeds=feeds)
            for matching in (EventFilter(), *(EventFilter(account_id=subject.account_id) for subject in subjects[:3]))
            for feeds in ([first], [second], [first, second])
        ]
        beginning = await first.position()
        listening = [asyncio.create_task(listener.listen(beginning)) for listener in listeners]
        writing = [asyncio.create_task(_write_on(database, first, subject)) for subject in subjects]
        await fault()
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
        log = await whole_log(database, after=beginning)
        await _received_all(listeners, log=log, listening=listening)
    return len(log)


async def _write_on(database: Database, feed: Feed, subject: Subject) -> None:
    while True:
        with suppress(Unavailable, TimedOut):
            async with transaction(database) as held:
                await append_event(held, subject.next())
            feed.notify()
        await asyncio.sleep(0.002)


async def _received_all(
    listeners: Sequence[Listener], *, log: Sequence[Event], listening: Sequence[asyncio.Task[None]]
) -> None:
    expected = [[event for event in log if listener.matching.matches(event)] for listener in listeners]
    pairs = list(zip(listeners, expected, strict=True))
    with suppress(TimeoutError):  # what is missing shows below
        await until(
            lambda: (
                all(len(listener.received) >= len(events) for listener, events in pairs)
                or any(task.done() for task in listening)
            )
        )
    for task in listening:
        task.cancel()
    outcomes = await asyncio.gather(*listening, return_exceptions=True)
    assert [outcome for outcome in outcomes if not isinstance(outcome, asyncio.CancelledError)] == []
    assert [listener.received for listener in listeners] == expected
