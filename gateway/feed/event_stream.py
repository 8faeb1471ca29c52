"""One subscriber's view of the log: the backlog, then new events; each event once and in order.

Backlog and buffer join without a gap or a duplicate: buffering starts first, and the log is read after that. The
snapshot of that read is not older than the last one of the log reader when buffering started, so what the log reader
delivers later is in the buffer, and an event that was read twice is recognised by its position. When the buffer was
dropped, the same starts again from the subscriber's position.
"""

import asyncio
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, Self

from gateway.domain.cursors import Position
from gateway.domain.errors import CursorExpired
from gateway.domain.events import Event
from gateway.feed.backlog import BacklogReader
from gateway.feed.stats import FeedStats
from gateway.feed.subscribers import SubscriberBuffer, SubscriberIndex

_FIRST_BATCH: Final = 16
"""Events of the first read of a backlog, each read has twice as many as the one before: most backlogs are short, and a
client that takes nothing keeps what was read for it."""


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
    """All events up to here were returned, or are in `page`."""
    last: Position | None = None
    """The event that was returned last, or what it started after: its client could resume there."""
    page: deque[Event] = field(default_factory=deque)
    """What comes before the buffer: events that were read from the log."""
    live: bool = False
    """Whether the backlog has been read, so that the buffer comes next."""
    committed_before: frozenset[Position] = frozenset()
    """For a subscriber without a position: the events after it that were committed when it started."""
    _started: bool = field(default=False, init=False)
    _batch: int = field(default=_FIRST_BATCH, init=False)
    """Events of the next read of the backlog, at most `batch_size`."""
    _closed: bool = field(default=False, init=False)

    async def start(self) -> None:
        """Subscribe: events committed after this returns are received. Raises CursorExpired and Unavailable."""
        if self._started:
            return
        self.subscribe()
        try:
            if self.position is None:
                self.buffer.start_buffering()
                snapshot = await self.backlog.snapshot_when_available()
                self.position, self.committed_before = snapshot.latest, snapshot.waiting
                self.last, self.live = self.position, True
            else:
                self.last = self.position
                await self._read_backlog(self.position)
        except BaseException:
            self.close()
            raise
        self.subscribers.count(self.buffer, 1)

    def subscribe(self, *, like: SubscriberBuffer | None = None) -> None:
        """Have what is delivered from now on put into the buffer, if it accepts it."""
        self._started = True
        self.subscribers.add(self.buffer, like=like)
        loop = asyncio.get_running_loop()
        # A finalizer may run while the log reader iterates over the subscribers: the removal waits for its turn.
        weakref.finalize(self, _remove_soon, loop, self.subscribers, self.buffer).atexit = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not (events := await self.take(1)):
            await self.changed()
        return events[0]

    async def take(self, most: int) -> list[Event]:
        """Return the next events, at most so many; none where the log reader has to deliver the next one.

        Raises StopAsyncIteration after the end, and CursorExpired.
        """
        if not self._started:
            await self.start()
        events: list[Event] = []
        while True:
            while self.page and len(events) < most:
                events.append(self.page.popleft())
                self.last = events[-1].position
            while self.live and self.buffer.events and len(events) < most:
                event = self.buffer.events.popleft()
                last, position = self.position, event.position
                # What was read from the log is not new. Where the epoch has changed, all read the log again.
                is_new = last is not None and position.epoch == last.epoch and position > last
                if is_new:
                    self.position = self.last = position
                    if position not in self.committed_before:
                        events.append(event)
            if events:
                self.stats.events_delivered += len(events)
                return events
            if self._closed or self.buffer.closed:
                raise StopAsyncIteration
            if self.live and self.buffer.buffering:
                return []
            await self._catch_up()

    async def changed(self, *, until_level: bool = False) -> None:
        """Wait until there may be more; with `until_level` also until `is_level` may have changed."""
        if until_level:
            self.subscribers.awaiting[self.buffer] = None
        try:
            await self.buffer.changed()
        except BaseException:
            self.close()
            raise

    @property
    def is_level(self) -> bool:
        """Whether it has returned exactly the events that the log reader has delivered.

        Two level streams with equal filters have returned the same events, and will return the same ones next.
        """
        delivered, position = self.subscribers.delivered, self.position
        return (
            self.live
            and self.buffer.buffering
            and not (self.page or self.buffer.events)
            and delivered is not None
            and position is not None
            and delivered.epoch == position.epoch
            and delivered >= position
            and all(each <= delivered for each in self.committed_before)
        )

    def forked(self, events: Sequence[Event]) -> "EventStream":
        """Return another stream, which returns these events first, and then what this one will return next."""
        fork = replace(self, buffer=self.buffer.copy(), page=deque((*events, *self.page)))
        fork.subscribe(like=self.buffer)
        return fork

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        """Unsubscribe; a consumer that waits gets the end of the iteration."""
        self._started = self._closed = True
        self.subscribers.remove(self.buffer)
        self.page.clear()
        self.buffer.events.clear()
        self.buffer.wake()

    async def _catch_up(self) -> None:
        """Read the log after what was taken, or after an earlier event where a failover has lost the end of that.

        Between `last` and the later places there was nothing for this stream, so that reading from there repeats none.
        """
        position, last = self.position, self.last
        if position is None or last is None:
            raise RuntimeError("An event stream that has started has a position.")
        places = [position, last]
        if self.live:
            self.stats.catchups += 1
            seen = self.buffer.seen
            if seen is not None and seen.epoch == position.epoch and seen > position:
                places.insert(0, seen)
        *later, earliest = dict.fromkeys(places)
        try:
            for place in later:
                with suppress(CursorExpired):
                    return await self._read_backlog(place)
            return await self._read_backlog(earliest)
        except BaseException:
            self.close()
            raise

    async def _read_backlog(self, position: Position) -> None:
        """Read one batch from the log; where there is no more, the buffer comes next."""
        self.live = False
        self.buffer.start_buffering()
        limit = min(self._batch, self.batch_size)
        page = await self.backlog.page(matching=self.buffer.matching, after=position, limit=limit)
        self.stats.backlog_events_read += len(page.events)
        self.page.extend(event for event in page.events if event.position not in self.committed_before)
        self.live = len(page.events) < limit
        self._batch = _FIRST_BATCH if self.live else 2 * limit
        self.position = max(position, page.state.latest) if self.live else page.events[-1].position


def _remove_soon(loop: asyncio.AbstractEventLoop, subscribers: SubscriberIndex, buffer: SubscriberBuffer) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(subscribers.remove, buffer)
