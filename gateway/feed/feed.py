"""The feed of one process: its notifier, its log reader and its subscribers."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, Self

from gateway.domain.cursors import Position
from gateway.domain.errors import TimedOut, Unavailable
from gateway.domain.event_filters import EventFilter
from gateway.feed.backlog import BacklogReader
from gateway.feed.connections import connect
from gateway.feed.event_stream import EventStream
from gateway.feed.log_reader import LogReader
from gateway.feed.notifier import Notifier
from gateway.feed.stats import FeedStats
from gateway.feed.subscribers import SubscriberBuffer, SubscriberIndex
from gateway.storage.database import Database, transaction
from gateway.storage.events import ensure_epoch


class Feed:
    """Use with `async with`. It starts without a database too, and connects when there is one.

    `database` is for reading backlogs; `url` is for the two connections of the feed's own. A subscriber's buffer has
    `buffer_size` events, and its read `batch_size`.
    """

    def __init__(
        self,
        database: Database,
        *,
        url: str,
        poll_seconds: float = 1.0,
        timeout_seconds: float = 5.0,
        buffer_size: int = 1024,
        batch_size: int = 256,
    ) -> None:
        self.stats: Final = FeedStats()
        self.listeners: Final[dict[str, Callable[[], None]]] = {}
        """Called when their channel is notified, and whenever a notification of it may have been missed. Set them
        before it starts."""
        self._database: Final = database
        self._buffer_size: Final = buffer_size
        self._batch_size: Final = batch_size
        self._subscribers: Final = SubscriberIndex(stats=self.stats)
        self._backlog: Final = BacklogReader(database, subscribers=self._subscribers)
        connecting = partial(connect, url, timeout_seconds=timeout_seconds)
        self._notifier: Final = Notifier(connect=connecting, stats=self.stats)
        self.notify: Final = self._notifier.notify
        self._log_reader: Final = LogReader(
            connect=connecting,
            subscribers=self._subscribers,
            notifier=self._notifier,
            stats=self.stats,
            listeners=self.listeners,
            on_failover=database.expire_connections,
            poll_seconds=poll_seconds,
            batch_size=4 * batch_size,  # it reads each event once for all subscribers
        )
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    async def __aenter__(self) -> Self:
        """Start. Where the database is available, the log has its epoch before anything is written to it."""
        if self._database.is_connected:
            with suppress(Unavailable, TimedOut):  # the log reader does it when the database is back
                async with transaction(self._database) as held:
                    await ensure_epoch(held)
        self._tasks = (
            asyncio.create_task(self._log_reader.run(), name="feed log reader"),
            asyncio.create_task(self._notifier.run(), name="feed notifier"),
        )
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Close the feed's connections, and end all event streams."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = ()
        self._subscribers.close()

    def follow(self, matching: EventFilter, *, after: Position | None = None) -> EventStream:
        """Return the matching events: those after a position, or those committed from now on; then live."""
        return EventStream(
            subscribers=self._subscribers,
            backlog=self._backlog,
            stats=self.stats,
            buffer=SubscriberBuffer(matching=matching, max_size=self._buffer_size),
            batch_size=self._batch_size,
            position=after,
        )

    async def position(self) -> Position:
        """Return the end of the log: whatever is read after this call shows all events up to there.

        Raises:
            Unavailable: The database cannot be reached.
        """
        snapshot = await self._backlog.snapshot()
        return snapshot.latest
