"""The subscribers, indexed by the keys of their filters: an event costs what its matching subscribers cost."""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Final
from uuid import UUID

from gateway.domain.cursors import Position
from gateway.domain.event_filters import EventFilter
from gateway.domain.events import Event
from gateway.feed.stats import FeedStats
from gateway.storage.events import HasInterest, WantedKeys

_MAX_KEYS: Final = 200


class SubscriberBuffer:
    """The events that the log reader has delivered to one subscriber and the subscriber has not taken yet.

    It accepts events only while `buffering`. When it is full it drops them all, and the subscriber reads the log again.
    """

    __slots__ = ("_waiter", "buffering", "closed", "counted", "events", "matching", "max_size", "seen")

    def __init__(self, *, matching: EventFilter, max_size: int) -> None:
        self.matching: Final = matching
        self.events: Final[deque[Event]] = deque()
        self.buffering = False
        self.closed = False
        """Whether the feed has stopped: no more events will come."""
        self.seen: Position | None = None
        """The subscriber has taken all events up to here that were delivered since buffering started."""
        self.max_size: Final = max_size
        self.counted = 0
        """As how many subscribers it counts in the gauge: those that share its events; none before it has started."""
        self._waiter: asyncio.Future[None] | None = None

    def copy(self) -> "SubscriberBuffer":
        """Return a buffer of one subscriber in the same state."""
        copy = SubscriberBuffer(matching=self.matching, max_size=self.max_size)
        copy.counted = 1
        copy.events.extend(self.events)
        copy.buffering, copy.closed, copy.seen = self.buffering, self.closed, self.seen
        return copy

    def start_buffering(self) -> None:
        """Accept, from now on, what the log reader delivers."""
        self.events.clear()
        self.seen = None
        self.buffering = True

    def push(self, event: Event, *, before: Position) -> None:
        """Accept an event, or drop all where the buffer is full. `before` is the log reader's position before it."""
        if not self.buffering:
            return
        if not self.events:
            self.seen = before
        elif len(self.events) >= self.max_size:
            self.invalidate()
            return
        self.events.append(event)
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def invalidate(self) -> None:
        """Have the subscriber read the log from its position: it may have missed an event."""
        self.events.clear()
        self.buffering = False
        self.wake()

    def resync(self, *, reader_position: Position | None) -> None:
        """Have the subscriber read the log, from the reader's position where it has taken everything up to there."""
        if self.buffering and not self.events:
            self.seen = reader_position
        self.invalidate()

    def wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def changed(self) -> asyncio.Future[None]:
        """Return a future for the next event, invalidation or `wake`. For one subscriber at a time."""
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter


_Groups = dict[EventFilter, dict[SubscriberBuffer, None]]
"""Subscribers by their filters: an event is matched once for all with equal ones."""
_Index = dict[UUID | None, _Groups]


class SubscriberIndex:
    """The index of subscribers. It runs in the event loop, between two awaits."""

    def __init__(self, *, stats: FeedStats) -> None:
        self._stats: Final = stats
        self._groups: Final[_Groups] = {}
        self._by_installation: Final[_Index] = {}
        self._by_account: Final[_Index] = {}
        self._by_application: Final[_Index] = {}
        self.server: datetime | None = None
        """The server that events are delivered from, see LogState; None before any was read."""
        self.latest: Position | None = None
        """The end of the log in the log reader's last snapshot; None before the first."""
        self.delivered: Position | None = None
        """The log reader has delivered everything up to here."""
        self.new: list[SubscriberBuffer] = []
        """Those added since `interest` was called."""
        self.awaiting: dict[SubscriberBuffer, None] = {}
        """Those to wake with `wake_awaiting`."""

    def __iter__(self) -> Iterator[SubscriberBuffer]:
        for buffers in self._groups.values():
            yield from buffers

    def add(self, buffer: SubscriberBuffer, *, like: SubscriberBuffer | None = None) -> None:
        """Add a subscriber; one that is like another is as new as that."""
        matching = buffer.matching
        buffers = self._groups.get(matching)
        if buffers is None:
            buffers = self._groups[matching] = {}
            index, keys = self._index_of(matching)
            for key in keys:
                index.setdefault(key, {})[matching] = buffers
        if buffer not in buffers:
            buffers[buffer] = None
            if like is None or like in self.new:
                self.new.append(buffer)
            self._stats.subscribers += buffer.counted

    def remove(self, buffer: SubscriberBuffer) -> None:
        """Remove a subscriber; one that is not in the index is ignored."""
        matching = buffer.matching
        buffers = self._groups.get(matching, {})
        if buffer not in buffers:
            return
        del buffers[buffer]
        self._stats.subscribers -= buffer.counted
        if buffers:
            return
        del self._groups[matching]
        index, keys = self._index_of(matching)
        for key in keys:
            del index[key][matching]
            if not index[key]:
                del index[key]

    def count(self, buffer: SubscriberBuffer, subscribers: int) -> None:
        """Count a buffer as so many subscribers."""
        if buffer in self._groups.get(buffer.matching, {}):
            self._stats.subscribers += subscribers - buffer.counted
        buffer.counted = subscribers

    def interest(self) -> WantedKeys | HasInterest | None:
        """Return what to read of the log: events of these keys, events that the function accepts, or all (None).

        The function is for more keys than a query takes. Subscribers added from now on are new, see `invalidate_new`.
        """
        self.new.clear()
        if None in self._by_application:
            return None
        indexes = (self._by_installation, self._by_account, self._by_application)
        if sum(map(len, indexes)) > _MAX_KEYS:
            return self._has_interest
        installations, accounts, applications = ([key for key in index if key is not None] for index in indexes)
        return WantedKeys(installation_ids=installations, account_ids=accounts, application_ids=applications)

    def invalidate_new(self) -> None:
        """Re-read the log for new subscribers: the running query may lack their keys."""
        for buffer in self.new:
            buffer.invalidate()
        self.new.clear()

    def _has_interest(self, installation_id: UUID, application_id: UUID, account_id: UUID) -> bool:
        return (
            installation_id in self._by_installation
            or account_id in self._by_account
            or application_id in self._by_application
        )

    def deliver(self, events: Iterable[Event], *, before: Position) -> None:
        """Deliver events to the matching subscribers. `before` is the log reader's position before the first."""
        for event in events:
            for groups in (
                self._by_installation.get(event.installation_id),
                self._by_account.get(event.account_id),
                self._by_application.get(event.application_id),
                self._by_application.get(None),
            ):
                for matching, buffers in groups.items() if groups else ():
                    if matching.matches(event):
                        for buffer in buffers:
                            buffer.push(event, before=before)

    def wake_awaiting(self) -> None:
        """Wake those that wait until `delivered` has changed, or until others have received what was delivered."""
        awaiting, self.awaiting = self.awaiting, {}
        for buffer in awaiting:
            buffer.wake()

    def resync(self, *, reader_position: Position | None) -> None:
        """Have all subscribers read the log, because the log reader skips events."""
        self.new.clear()
        for buffer in self:
            buffer.resync(reader_position=reader_position)

    def close(self) -> None:
        for buffer in self:
            buffer.closed = True
            buffer.wake()

    def _index_of(self, matching: EventFilter) -> tuple[_Index, Collection[UUID | None]]:
        """Choose the narrowest index that the filter has keys for; an account has fewer events than an application.

        An event has one key of each index, so that it is matched once. None is the key of all events.
        """
        if matching.matches_nothing:
            return {}, ()
        if matching.installation_ids is not None:
            return self._by_installation, matching.installation_ids
        if matching.account_ids is not None:
            return self._by_account, matching.account_ids
        return self._by_application, matching.application_ids or (None,)
