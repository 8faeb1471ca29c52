"""Subscribers' reads of the log, through the pool: few at once, however many clients reconnect at the same time."""

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import Final

from gateway.domain.cursors import Position
from gateway.domain.errors import TimedOut, Unavailable
from gateway.domain.event_filters import EventFilter
from gateway.domain.event_log import Snapshot
from gateway.feed.backoff import Backoff
from gateway.feed.subscribers import SubscriberIndex
from gateway.storage.database import Connection, Database, read
from gateway.storage.events import MOST_WAITING, LogPage, log_snapshot, read_events

_logger = logging.getLogger(__name__)

_MAX_READS: Final = 4
"""At a time, each on a connection of the pool."""
_PageKey = tuple[EventFilter, Position, int]


class BacklogReader:
    """Reads that queue, and that wait while the database is unavailable. No connection is held between reads.

    They also wait while the pool and the log reader read different servers, as in a failover: what one of them has read
    may be unknown to the other.
    """

    def __init__(self, database: Database, *, subscribers: SubscriberIndex) -> None:
        self._database: Final = database
        self._subscribers: Final = subscribers
        self._semaphore: Final = asyncio.Semaphore(_MAX_READS)
        self._reading: Final[dict[_PageKey, asyncio.Task[LogPage]]] = {}
        self._next_snapshot: asyncio.Task[Snapshot] | None = None

    async def page(self, *, matching: EventFilter, after: Position, limit: int) -> LogPage:
        """Return the events after a position, from one read for all subscribers that ask for them at a time.

        A page that is not full is not older than the log reader's last snapshot before this call. Raises CursorExpired.
        """
        key, latest = (matching, after, limit), self._subscribers.latest
        reading = self._reading.get(key)
        if reading is not None:
            page = await asyncio.shield(reading)
            end = page.state.latest
            if len(page.events) == limit or latest is None or (end.epoch == latest.epoch and end >= latest):
                return page
        older, reading = reading, self._reading.get(key)
        if reading is None or reading is older:
            reading = self._reading[key] = asyncio.create_task(self._read_page(key))
            reading.add_done_callback(partial(self._end_reading, key))
        return await asyncio.shield(reading)

    def _end_reading(self, key: _PageKey, task: asyncio.Task[LogPage]) -> None:
        if self._reading.get(key) is task:
            del self._reading[key]
        # Retrieves the exception where no task waits for it any more; asyncio would log it.
        task.cancelled() or task.exception()

    async def _read_page(self, key: _PageKey) -> LogPage:
        matching, after, limit = key
        backoff = Backoff()
        while True:
            try:
                async with self._semaphore:
                    page = await read(self._database, read_events, matching=matching, after=after, limit=limit)
                if self._subscribers.server in {None, page.state.server}:
                    return page
            except (Unavailable, TimedOut) as error:
                _logger.warning("A subscriber waits for the event log: %s", error.message)
            await backoff.pause()

    async def snapshot(self) -> Snapshot:
        """Return a snapshot taken after this call; concurrent calls share one. Raises Unavailable."""
        if self._next_snapshot is None:
            self._next_snapshot = asyncio.create_task(self._take_snapshot())
            # Retrieves the exception where no task waits for it any more; asyncio would log it.
            self._next_snapshot.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._next_snapshot)

    async def snapshot_when_available(self) -> Snapshot:
        """Return a snapshot with all committed events that wait, as soon as the database is available.

        Raises:
            Unavailable: More events wait than a snapshot holds.
        """
        backoff = Backoff()
        while True:
            with suppress(Unavailable, TimedOut):
                snapshot = await self.snapshot()
                if self._subscribers.server in {None, snapshot.server}:
                    break
            await backoff.pause()
        if len(snapshot.waiting) == MOST_WAITING:
            raise Unavailable("Too many events wait for the end of a long transaction. Try again later.")
        return snapshot

    async def _take_snapshot(self) -> Snapshot:
        async def select(connection: Connection) -> Snapshot:
            self._next_snapshot = None  # the statement begins now: a later call needs a later snapshot
            return await log_snapshot(connection)

        try:
            async with self._semaphore:
                return await read(self._database, select)
        finally:
            if self._next_snapshot is asyncio.current_task():
                self._next_snapshot = None
