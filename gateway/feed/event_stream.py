"""One consumer's own view of the log: the backlog, then what happens; each event once and in order.

The seam: the follower is armed first, and the log is read after that. The read's snapshot is newer than anything that
the tail had read by then, so what the tail reads later is in the buffer, and what was read twice is recognised by its
position. When the buffer was dropped, the same begins again from where the consumer is.
"""

import asyncio
import weakref
from collections import deque
from typing import Final, Self

from gateway.domain.event_filters import EventFilter
from gateway.domain.event_log import Snapshot
from gateway.domain.events import Event, Position
from gateway.feed.backlog import BacklogReader
from gateway.feed.stats import FeedStats
from gateway.feed.subscribers import SubscriberBuffer, SubscriberIndex


class EventStream:
    """An asynchronous iterator over events, for one consumer.

    It begins with `start`, `async with`, or the first event asked for; CursorExpired may come then, and later when a
    slow consumer falls behind what is kept. It ends with `aclose`, when its consumer is cancelled, or when nobody holds
    it any more.
    """

    def __init__(
        self,
        *,
        matching: EventFilter,
        after: Position | None,
        followers: SubscriberIndex,
        readers: BacklogReader,
        observations: FeedStats,
        buffer_size: int,
        batch_size: int,
    ) -> None:
        self._followers: Final = followers
        self._readers: Final = readers
        self._observations: Final = observations
        self._batch_size: Final = batch_size
        self._follower: Final = SubscriberBuffer(matching=matching, size=buffer_size)
        self._read: Final[deque[Event]] = deque()
        self._cursor: Position | None = after
        """Everything up to here was handed out, or is in `_read`."""
        self._started = False
        self._live = False
        self._closed = False
        self._known: Snapshot | None = None
        """What had been committed when the consumer came, where it asked for nothing older."""

    async def start(self) -> None:
        """Begin to follow: what is committed after this returns is received. Raise CursorExpired."""
        if self._started:
            return
        self._started = True
        self._register()
        try:
            if self._cursor is None:
                await self._begin_now()
            else:
                await self._read_on(self._cursor)
        except BaseException:
            self.close()
            raise

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if not self._started:
            await self.start()
        while (event := self._take()) is None:
            if self._closed or self._follower.ended:
                raise StopAsyncIteration
            await self._wait()
        self._observations.events_delivered += 1
        return event

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        """Leave, at once; a consumer that waits gets the end of the iteration."""
        self._started = self._closed = True
        self._followers.remove(self._follower)
        self._read.clear()
        self._follower.buffer.clear()
        self._follower.wake()

    def _register(self) -> None:
        self._followers.add(self._follower)
        loop = asyncio.get_running_loop()
        # A finalizer may run in the middle of the tail's loop over followers: the removal waits for its turn.
        weakref.finalize(self, _remove_soon, loop, self._followers, self._follower).atexit = False

    def _take(self) -> Event | None:
        """Take the next event that is at hand: first what was read, then what the tail has brought."""
        while self._read:
            event = self._read.popleft()
            if not self._is_known(event):
                return event
        while self._live and self._follower.buffer:
            event = self._follower.buffer.popleft()
            if self._is_news(event):
                return event
        return None

    async def _wait(self) -> None:
        """Wait for what the tail brings, or read from the log; whoever gives up waiting leaves."""
        try:
            if self._live and self._follower.armed:
                await self._follower.news()
            else:
                await self._catch_up()
        except BaseException:
            self.close()
            raise

    def _is_news(self, event: Event) -> bool:
        """Recognise what was read twice. Where the epoch has changed, the tail sends everybody back to the log."""
        if event.position.epoch != self._place.epoch or event.position <= self._place:
            return False
        self._cursor = event.position
        return self._known is None or not self._known.sees(event.position)

    def _is_known(self, event: Event) -> bool:
        return self._known is not None and self._known.sees(event.position)

    @property
    def _place(self) -> Position:
        assert self._cursor is not None, "whoever has begun has a place"  # noqa: S101 - so that the type says it too
        return self._cursor

    async def _catch_up(self) -> None:
        if self._live:
            self._observations.falls_back += 1
            seen = self._follower.seen
            if seen is not None and seen.epoch == self._place.epoch:
                self._cursor = max(self._place, seen)
        await self._read_on(self._place)

    async def _read_on(self, cursor: Position) -> None:
        """Read one batch from the log, and go live where there was no more."""
        self._live = False
        self._follower.arm()
        page = await self._readers.page(matching=self._follower.matching, after=cursor, limit=self._batch_size)
        self._observations.events_reread += len(page.events)
        self._read.extend(page.events)
        self._live = len(page.events) < self._batch_size
        self._cursor = max(cursor, page.state.latest) if self._live else page.events[-1].position

    async def _begin_now(self) -> None:
        self._follower.arm()
        self._known = await self._readers.patient_snapshot()
        self._cursor = self._known.latest
        self._live = True


def _remove_soon(loop: asyncio.AbstractEventLoop, followers: SubscriberIndex, follower: SubscriberBuffer) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(followers.remove, follower)
