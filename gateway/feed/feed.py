"""The feed of one process: its bell, its tail and everybody who follows."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, Self

from gateway.domain.errors import TimedOut, Unavailable
from gateway.domain.event_filters import EventFilter
from gateway.domain.events import Position
from gateway.feed.backlog import BacklogReader
from gateway.feed.connections import SmoothedRate
from gateway.feed.event_stream import EventStream
from gateway.feed.log_reader import LogReader
from gateway.feed.notifier import Notifier
from gateway.feed.stats import FeedStats
from gateway.feed.subscribers import SubscriberIndex
from gateway.storage.database import Database, connection
from gateway.storage.events import ensure_epoch


class Feed:
    """Use with `async with`, or `start` and `stop`. It starts without a database too, and goes on when there is one.

    `database` is for reading backlogs, by at most `readers` connections at once; `url` is for two connections of the
    feed's own. A follower's buffer holds `buffer_size` events; its read takes `batch_size`. `heard` says what to do
    when other channels are notified, and whenever notifications of theirs may have been missed.
    """

    def __init__(
        self,
        database: Database,
        *,
        url: str,
        poll_seconds: float = 1.0,
        timeout_seconds: float = 5.0,
        pace_seconds: float = 0.005,
        buffer_size: int = 1024,
        batch_size: int = 256,
        readers: int = 4,
        heard: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        self.observations: Final = FeedStats()
        self._database: Final = database
        self._buffer_size: Final = buffer_size
        self._batch_size: Final = batch_size
        self._followers: Final = SubscriberIndex(observations=self.observations)
        self._readers: Final = BacklogReader(database, at_once=readers)
        log_growth = SmoothedRate()
        self._notifier: Final = Notifier(
            url=url,
            observations=self.observations,
            log_growth=log_growth,
            timeout_seconds=timeout_seconds,
            pace_seconds=pace_seconds,
        )
        self._log_reader: Final = LogReader(
            url=url,
            followers=self._followers,
            observations=self.observations,
            log_growth=log_growth,
            recognise=self._notifier.recognise,
            heard=heard or {},
            poll_seconds=poll_seconds,
            timeout_seconds=timeout_seconds,
            pace_seconds=pace_seconds,
            batch_size=4 * batch_size,  # it reads for all, and every row once
        )
        self._running: tuple[asyncio.Task[None], ...] = ()

    async def start(self) -> None:
        """Begin. Where the database is there, the log has its epoch before anything is written to it."""
        if self._database.is_connected:
            with suppress(Unavailable, TimedOut):  # then the tail does it as soon as the database is back
                async with connection(self._database) as held:
                    await ensure_epoch(held)
        self._running = (
            asyncio.create_task(self._log_reader.run(), name="the feed's tail"),
            asyncio.create_task(self._notifier.run(), name="the feed's bell"),
        )

    async def stop(self) -> None:
        """Close the feed's connections. Who still follows comes to the end of the iteration."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running = ()
        self._followers.end()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()

    def notify(self) -> None:
        """Tell everybody, here and in other processes, that there is news. For after each commit; never waits."""
        self._log_reader.nudge()
        self._notifier.notify()

    def follow(self, matching: EventFilter, *, after: Position | None = None) -> EventStream:
        """Follow what matches: all that the log holds after a place, or what is committed from now on; then live."""
        return EventStream(
            matching=matching,
            after=after,
            followers=self._followers,
            readers=self._readers,
            observations=self.observations,
            buffer_size=self._buffer_size,
            batch_size=self._batch_size,
        )

    async def position(self) -> Position:
        """Answer where the log stands: a state that is read after this answer shows all events up to it.

        Raises:
            Unavailable: The database cannot be reached.
        """
        snapshot = await self._readers.snapshot()
        return snapshot.latest
