"""Reads of the log by followers, through the pool: few at once, however many clients come back at the same time."""

import asyncio
import logging
from typing import Final

from gateway.domain.errors import TimedOut, Unavailable
from gateway.domain.event_filters import EventFilter
from gateway.domain.event_log import Snapshot
from gateway.domain.events import Position
from gateway.feed.connections import Backoff
from gateway.storage.database import Database, connection, read
from gateway.storage.events import LogPage, log_snapshot, read_events

_logger = logging.getLogger(__name__)


class BacklogReader:
    """Reads that wait for each other, and for the database while it is away. No connection is held between reads."""

    def __init__(self, database: Database, *, at_once: int) -> None:
        self._database: Final = database
        self._turn: Final = asyncio.Semaphore(at_once)
        self._next_snapshot: asyncio.Task[Snapshot] | None = None

    async def page(self, *, matching: EventFilter, after: Position, limit: int) -> LogPage:
        """Read on after a place. Raise CursorExpired."""
        patience = Backoff()
        while True:
            try:
                async with self._turn:
                    return await read(self._database, read_events, matching=matching, after=after, limit=limit)
            except (Unavailable, TimedOut) as error:
                _logger.warning("A follower waits for the log: %s", error.message)
                await patience.pause()

    async def snapshot(self) -> Snapshot:
        """Answer a snapshot that is taken after this call; calls that come together share one. Raise Unavailable."""
        if self._next_snapshot is None:
            self._next_snapshot = asyncio.create_task(self._take_snapshot())
            self._next_snapshot.add_done_callback(_retrieve)
        return await asyncio.shield(self._next_snapshot)

    async def patient_snapshot(self) -> Snapshot:
        patience = Backoff()
        while True:
            try:
                return await self.snapshot()
            except (Unavailable, TimedOut):
                await patience.pause()

    async def _take_snapshot(self) -> Snapshot:
        try:
            async with self._turn, connection(self._database) as held:
                self._next_snapshot = None  # who comes from here on is too late for this one
                return await log_snapshot(held)
        finally:
            if self._next_snapshot is asyncio.current_task():
                self._next_snapshot = None


def _retrieve(task: asyncio.Task[Snapshot]) -> None:
    """Look at the outcome: where everybody who waited has gone, nobody else does."""
    if not task.cancelled():
        task.exception()
