"""One subscriber's view of the log: the backlog, then new events; each event once and in order.

Backlog and buffer join without a gap or a duplicate: buffering starts first, and the log is read after that. The
snapshot of that read is newer than everything that the log reader had read when buffering started, so what the log
reader reads later is in the buffer, and an event that was read twice is recognised by its position. When the buffer was
dropped, the same starts again from the subscriber's position.
"""

import asyncio
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from gateway.domain.cursors import Position
from gateway.domain.errors import CursorExpired
from gateway.domain.events import Event
from gateway.feed.backlog import BacklogReader
from gateway.feed.stats import FeedStats
from gateway.feed.subscribers import SubscriberBuffer, SubscriberIndex


@dataclass(kw_only=True, eq=False)
class EventStream:
    """An asynchronous iterator over events, for one consumer.

    It starts with `start`, `async with`, or the first `anext`, which raise CursorExpired; a slow consumer may get
    CursorExpired later, when events are removed that it has not received. It ends with `aclose`, when its consumer is
    cancelled, or when it is garbage.
    """

    subscribers: SubscriberIndex
    backlog: BacklogReader
    stats: FeedStats
    buffer: SubscriberBuffer
    batch_size: int
    position: Position | None
    """All events up to here were returned, or are in `_page`."""
    _page: deque[Event] = field(default_factory=deque, init=False)
    _started: bool = field(default=False, init=False)
    _live: bool = field(default=False, init=False)
    """Whether the backlog has been read, so that the buffer comes next."""
    _closed: bool = field(default=False, init=False)
    _committed_before: frozenset[Position] = field(default=frozenset(), init=False)
    """For a subscriber without a position: the events after it that were committed when it started."""

    async def start(self) -> None:
        """Subscribe: events committed after this returns are received. Raises CursorExpired and Unavailable."""
        if self._started:
            return
        self._started = True
        self.subscribers.add(self.buffer)
        loop = asyncio.get_running_loop()
        # A finalizer may run while the log reader iterates over the subscribers: the removal waits for its turn.
        weakref.finalize(self, _remove_soon, loop, self.subscribers, self.buffer).atexit = False
        try:
            if self.position is None:
                self.buffer.start_buffering()
                snapshot = await self.backlog.snapshot_when_available()
                self.position, self._committed_before = snapshot.latest, snapshot.waiting
                self._live = True
            else:
                await self._read_backlog(self.position)
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
        while True:
            while self._page:
                event = self._page.popleft()
                if event.position not in self._committed_before:
                    self.stats.events_delivered += 1
                    return event
            while self._live and self.buffer.events:
                event = self.buffer.events.popleft()
                last, position = self.position, event.position
                # What was read from the log is not new. Where the epoch has changed, all read the log again.
                is_new = last is not None and position.epoch == last.epoch and position > last
                self.position = position if is_new else last
                if is_new and position not in self._committed_before:
                    self.stats.events_delivered += 1
                    return event
            if self._closed or self.buffer.closed:
                raise StopAsyncIteration
            try:
                if self._live and self.buffer.buffering:
                    await self.buffer.changed()
                else:
                    await self._catch_up()
            except BaseException:
                self.close()
                raise

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        """Unsubscribe; a consumer that waits gets the end of the iteration."""
        self._started = self._closed = True
        self.subscribers.remove(self.buffer)
        self._page.clear()
        self.buffer.events.clear()
        self.buffer.wake()

    async def _catch_up(self) -> None:
        position = self.position
        if position is None:
            raise RuntimeError("An event stream that has started has a position.")
        if self._live:
            self.stats.catchups += 1
            seen = self.buffer.seen
            if seen is not None and seen.epoch == position.epoch and seen > position:
                with suppress(CursorExpired):  # the event that was seen last was lost; its own position may not be
                    return await self._read_backlog(seen)
        return await self._read_backlog(position)

    async def _read_backlog(self, position: Position) -> None:
        """Read one batch from the log; where there is no more, the buffer comes next."""
        self._live = False
        self.buffer.start_buffering()
        page = await self.backlog.page(matching=self.buffer.matching, after=position, limit=self.batch_size)
        self.stats.backlog_events_read += len(page.events)
        self._page.extend(page.events)
        self._live = len(page.events) < self.batch_size
        self.position = max(position, page.state.latest) if self._live else page.events[-1].position


def _remove_soon(loop: asyncio.AbstractEventLoop, subscribers: SubscriberIndex, buffer: SubscriberBuffer) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(subscribers.remove, buffer)
