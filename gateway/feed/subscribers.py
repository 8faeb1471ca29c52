"""Who follows, indexed by what they ask for: an event costs what its matching followers cost."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final
from uuid import UUID

from gateway.domain.event_filters import EventFilter
from gateway.domain.events import Event, Position
from gateway.feed.stats import FeedStats
from gateway.storage.events import WantedKeys

_MOST_KEYS: Final = 200


class SubscriberBuffer:
    """One consumer's buffer of events that the tail has read.

    Unless `armed`, it takes nothing in. Overfull, it drops all, and its consumer has to read the log again.
    """

    __slots__ = ("_size", "_waiter", "armed", "buffer", "ended", "matching", "seen")

    def __init__(self, *, matching: EventFilter, size: int) -> None:
        self.matching: Final = matching
        self.buffer: Final[deque[Event]] = deque()
        self.armed = False
        self.ended = False
        """Whether the feed has stopped: nothing more will come."""
        self.seen: Position | None = None
        """Everything up to here that was armed for has been taken out of the buffer."""
        self._size: Final = size
        self._waiter: asyncio.Future[None] | None = None

    def arm(self) -> None:
        """Take in, from now on, what the tail hands out."""
        self.buffer.clear()
        self.seen = None
        self.armed = True

    def push(self, event: Event, *, before: Position) -> None:
        """Take an event in, or drop all where there is no room. `before` is where the tail stood before it."""
        if not self.armed:
            return
        if not self.buffer:
            self.seen = before
        elif len(self.buffer) >= self._size:
            self._drop()
            return
        self.buffer.append(event)
        self.wake()

    def fall_back(self, *, tail: Position | None) -> None:
        """Have the consumer read the log again, from where it is or, where it has taken everything, from the tail."""
        if self.armed and not self.buffer:
            self.seen = tail
        self._drop()

    def miss(self) -> None:
        """Have the consumer read the log again from where it is: something may have passed that it did not get."""
        self._drop()

    def wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def news(self) -> asyncio.Future[None]:
        """Await this for something in the buffer, or its loss, or a `wake`. For one consumer at a time."""
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def _drop(self) -> None:
        self.buffer.clear()
        self.armed = False
        self.wake()


class _Group:
    """Followers with equal filters: whether an event matches is asked once for all of them."""

    __slots__ = ("followers", "matching")

    def __init__(self, matching: EventFilter) -> None:
        self.matching: Final = matching
        self.followers: Final[dict[SubscriberBuffer, None]] = {}


_Groups = dict[EventFilter, _Group]


class SubscriberIndex:
    """The index. All of it runs in the event loop, between two awaits."""

    def __init__(self, *, observations: FeedStats) -> None:
        self._observations: Final = observations
        self._of_installation: Final[dict[UUID | None, _Groups]] = {}
        self._of_account: Final[dict[UUID | None, _Groups]] = {}
        self._of_application: Final[dict[UUID | None, _Groups]] = {}
        self._arrived: list[SubscriberBuffer] = []

    def __len__(self) -> int:
        return self._observations.followers

    def __iter__(self) -> Iterator[SubscriberBuffer]:
        for index in (self._of_installation, self._of_account, self._of_application):
            for groups in index.values():
                for group in groups.values():
                    yield from group.followers

    def add(self, follower: SubscriberBuffer) -> None:
        index, key = self._place(follower.matching)
        groups = index.setdefault(key, {})
        group = groups.setdefault(follower.matching, _Group(follower.matching))
        if follower not in group.followers:
            group.followers[follower] = None
            self._arrived.append(follower)
            self._observations.followers += 1

    def remove(self, follower: SubscriberBuffer) -> None:
        """Forget a follower, and what only it needed; one that is not there is no error."""
        index, key = self._place(follower.matching)
        groups = index.get(key, {})
        group = groups.get(follower.matching)
        if group is None or follower not in group.followers:
            return
        del group.followers[follower]
        self._observations.followers -= 1
        if not group.followers:
            del groups[follower.matching]
        if not groups:
            del index[key]

    def keys(self) -> WantedKeys | None:
        """Answer whose events are wanted now; None where somebody wants all, or the keys are too many to ask by.

        Whoever comes from then on is an arrival.
        """
        self._arrived.clear()
        indexes = (self._of_installation, self._of_account, self._of_application)
        if None in self._of_application or sum(map(len, indexes)) > _MOST_KEYS:
            return None
        installations, accounts, applications = ([key for key in index if key is not None] for index in indexes)
        return WantedKeys(installation_ids=installations, account_ids=accounts, application_ids=applications)

    def miss_arrivals(self) -> None:
        """Send those back to the log who came after the keys were taken: what they want was perhaps not asked for."""
        for follower in self._arrived:
            follower.miss()
        self._arrived.clear()

    def want(self, installation_id: UUID, application_id: UUID, account_id: UUID) -> bool:
        """Tell whether there may be anybody for an event, before it is made."""
        return (
            None in self._of_application
            or installation_id in self._of_installation
            or account_id in self._of_account
            or application_id in self._of_application
        )

    def deliver(self, events: Iterable[Event], *, before: Position) -> None:
        """Hand events to whom they match. `before` is where the tail stood before the first of them."""
        for event in events:
            for group in self._candidates(event):
                if group.matching.matches(event):
                    for follower in group.followers:
                        follower.push(event, before=before)

    def fall_back(self, *, tail: Position | None) -> None:
        """Send everybody back to the log, because the tail cannot go on from where it stood."""
        self._arrived.clear()
        for follower in self:
            follower.fall_back(tail=tail)

    def end(self) -> None:
        for follower in self:
            follower.ended = True
            follower.wake()

    def _candidates(self, event: Event) -> Iterator[_Group]:
        for index, key in (
            (self._of_installation, event.installation_id),
            (self._of_account, event.account_id),
            (self._of_application, event.application_id),
            (self._of_application, None),
        ):
            groups = index.get(key)
            if groups is not None:
                yield from groups.values()

    def _place(self, matching: EventFilter) -> tuple[dict[UUID | None, _Groups], UUID | None]:
        """Choose the narrowest index that the filter has a key for; an account has fewer events than an application."""
        if matching.installation_id is not None:
            return self._of_installation, matching.installation_id
        if matching.account_id is not None:
            return self._of_account, matching.account_id
        return self._of_application, matching.application_id
