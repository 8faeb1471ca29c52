"""Subscriptions: equal subscribers share the payload of each event, and while they are live also the stream of events.

A `SharedSubscription` is one operation with one set of payload variables and one set of the caller's bounds. It exists
while it has subscribers: the first one to reach an event has it executed and encoded, and those that were waiting for
it then get the same bytes. A subscriber that asks later, such as one that reads the log again, has the event executed
again where it shows rows beside itself: they may have changed or gone meanwhile.

A subscriber begins with a stream and a task of its own, which read its backlog. When its stream is level with that of
the live subscribers, both have returned the same events and will return the same ones next: it gives its stream up and
joins them. Live subscribers have received every event so far, have no task, and are sent the next ones in one loop. One
whose client does not read leaves them with a copy of their stream.

To be level is exact, so that nothing is skipped or remembered for a subscriber: one that has read the log further than
the log reader waits until that has delivered as much, for a poll at most.

With a task and a buffer for each, a delivery took 45 to 62 us of CPU, and an idle subscriber 32.8 KB; now 2 us, and
17.2 KB (200 subscribers of 300 changes; 1,000 idle ones).
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Any, Final, Protocol, Self

from cachetools import LRUCache
from graphql.execution.values import VariableValues

from gateway.domain.errors import TimedOut
from gateway.domain.event_filters import EventFilter
from gateway.domain.events import Event
from gateway.execution.context import ExecutionContext
from gateway.execution.encoding import Payload, error_response
from gateway.execution.errors import OperationTooComplex
from gateway.execution.runner import execute
from gateway.execution.state import ExecutionState, Groups, Turns
from gateway.feed.event_stream import EventStream
from gateway.operations.quotas import CallerRate

_MAX_PAYLOADS: Final = 64
"""Renderings kept of a shared subscription: its subscribers are seldom more than a few events apart."""
DELIVERY: Final = 40
"""Units for one event to one subscriber, beside its rendering: read from the log, taken, and sent as a frame."""
_BYTES_PER_UNIT: Final = 1_000
"""Of a payload, for each subscriber that it is sent to."""
_MAX_OWED: Final = 10_000
"""Units of deliveries that a caller may owe: it pays for some hundred at once, since each payment takes 10 us."""
_MAX_EVENTS: Final = 32
"""Events that are rendered at a time: their rows are read by one statement, and their frames sent in one piece."""
_MAX_BATCH_BYTES: Final = 65_536
"""Sent to each at once, unless one payload is larger: after it, a client that does not read is noticed."""
_SINKS_PER_TURN: Final = 64
"""Sent to in one turn of the event loop, for about 8 us each."""
_FRESH_SECONDS: Final = 1.0
"""A payload that is older, because its caller has had to wait for its rate, is rendered again for the others."""


@dataclass(slots=True, eq=False)
class Batch:
    """Payloads that are sent together, in this order; the same object for all subscribers."""

    payloads: Sequence[Payload]
    encoded_for: Any = None
    encoded: bytes = b""
    """What the last sink has sent, and what it depends on beside the payloads: for most sinks it is the same."""


class Sink(Protocol):
    """Where the payloads of a live subscriber go."""

    def take(self, batch: Batch) -> bool:
        """Send all payloads at once; or none, and return False, where the client has to read first."""

    def fall_behind(self, payload: Payload) -> None:
        """Send this payload as soon as the client reads, and then what the subscriber's own stream returns."""

    def end(self, error: Exception | None) -> None:
        """Tell the client that there are no more payloads, because of this error if there is one."""


@dataclass(slots=True, eq=False)
class _Rendering:
    """The execution of one event."""

    task: asyncio.Task[Payload] = field(init=False)
    number: float = math.inf
    """Renderings are numbered as they begin to read; infinite before that, and after one that read nothing."""


@dataclass(kw_only=True, slots=True, eq=False)
class SharedSubscription:
    """One operation with its variables and the caller's bounds, for all its subscribers."""

    groups: Groups
    context: ExecutionContext
    variable_values: VariableValues
    turns: Turns
    event_seconds: float
    """Which executing one event may take."""
    cost: int
    """Of one rendering, in units."""
    rate: CallerRate | None
    """Of the caller, which pays for each rendering and for each delivery; None: it has no limit."""
    on_unused: Callable[[], object]
    subscribers: int = 0
    """Each one calls `release` once."""
    begun: int = 0
    """How many renderings have begun to read."""
    live: dict[EventFilter, "LiveSubscribers"] = field(default_factory=dict, init=False)
    """By the filter of their stream: the operation's other variables may make different ones."""
    _renderings: LRUCache[Hashable, _Rendering] = field(default_factory=partial(LRUCache, _MAX_PAYLOADS), init=False)

    def owe(self, payloads: Sequence[Payload], *, times: int = 1) -> None:
        """Have the caller pay for sending these so often, with its next payment."""
        if self.rate is not None:
            self.rate.owe(_cost(payloads) * times)

    async def pay(self) -> None:
        """Wait until the caller has paid what it owes, where that is much; the events wait in the log meanwhile."""
        if self.rate is not None and self.rate.owed > _MAX_OWED:
            await self.rate.wait(0)

    @staticmethod
    def payable(payloads: Sequence[Payload], *, most: int) -> int:
        """Return to how many subscribers these may be sent before the next payment."""
        return min(max(_MAX_OWED // _cost(payloads), 1), most)

    async def payload(self, event: Any, *, asked_at: int) -> Payload:
        """Return the event's payload; shared by `share_key` when the event has one.

        `asked_at` is `begun` when the subscriber asked for its next event: it gets nothing that was read before.
        """
        share_key = getattr(event, "share_key", None)
        if share_key is None or self.subscribers == 1:
            return await self._render(event, _Rendering())
        [payload] = await self.payloads([event], asked_at=asked_at)
        return payload

    async def payloads(self, events: Sequence[Any], *, asked_at: int) -> list[Payload]:
        """Return the payloads of events, rendered together and shared."""
        tasks = []
        for event in events:
            rendering = self._renderings.get(event.share_key)
            if rendering is None or rendering.number <= asked_at:
                rendering = self._renderings[event.share_key] = _Rendering()
                rendering.task = asyncio.create_task(self._render(event, rendering))
            tasks.append(rendering.task)
        if running := [task for task in tasks if not task.done()]:
            await asyncio.wait(running)  # which leaves them running where it is cancelled
        return [task.result() for task in tasks]

    def release(self) -> None:
        """Remove one subscriber; with the last one the shared subscription ends."""
        self.subscribers -= 1
        if self.subscribers:
            return
        self.on_unused()
        for rendering in self._renderings.values():
            rendering.task.cancel()

    async def _render(self, event: Any, rendering: _Rendering) -> Payload:
        if self.rate is not None:
            await self.rate.wait(self.cost)
        self.begun += 1
        rendering.number = self.begun
        context = self.context.for_event()
        state = ExecutionState(
            context=context, variable_values=self.variable_values, root_value=event, turns=self.turns
        )
        try:
            async with asyncio.timeout(self.event_seconds):
                response = await execute(self.groups, state)
        except TimeoutError:
            context.abandon()
            late = TimedOut(f"Reading the data of this event took longer than {self.event_seconds:g} seconds.")
            response = error_response(late)
        except OperationTooComplex as error:
            response = error_response(error)
        if not context.has_read:
            rendering.number = math.inf
        return Payload(body=response.body, text=response.body.decode(), cursor=getattr(event, "cursor", None))


class PayloadStream:
    """One subscriber's payloads. It ends with StopAsyncIteration, or with the exception of its source.

    Iterate it in one task only; cancelling that task closes the source too. Close it in any case.
    """

    __slots__ = ("_live", "_on_close", "_shared", "_source")

    def __init__(self, shared: SharedSubscription, source: AsyncIterator[Any], *, on_close: Callable[[], None]) -> None:
        self._shared: SharedSubscription | None = shared
        self._on_close = on_close
        self._source: AsyncIterator[Any] | None = source
        """None while the subscriber is live."""
        self._live: LiveSubscribers | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Payload:
        payload = await self.next_or_join(None)
        assert payload is not None  # noqa: S101 - without a sink, it does not join
        return payload

    async def next_or_join(self, sink: Sink | None) -> Payload | None:
        """Return the next payload; or None, once the subscriber has received all: from then on they go to the sink.

        This lasts until `leave`, or until the sink is told that it has ended or falls behind.
        """
        shared, source = self._shared, self._source
        if shared is None or source is None:
            raise StopAsyncIteration
        await shared.pay()
        asked_at = shared.begun
        try:
            if sink is None or not isinstance(source, EventStream):
                event = await anext(source)
            else:
                while not (events := await source.take(1)):
                    if source.is_level and self._join(shared, source, sink):
                        return None
                    await source.changed(until_level=True)
                (event,) = events
        except Exception:  # also StopAsyncIteration
            await self.aclose()
            raise
        payload = await shared.payload(event, asked_at=asked_at)
        shared.owe((payload,))
        return payload

    def _join(self, shared: SharedSubscription, source: EventStream, sink: Sink) -> bool:
        """Become live, unless those who are have not received exactly what this one has; return whether it is."""
        matching = source.buffer.matching
        live = shared.live.get(matching)
        if live is None:
            live = shared.live[matching] = LiveSubscribers(shared, source)
        elif live.is_level:
            source.close()
        else:
            return False
        live.add(self, sink)
        self._live, self._source = live, None
        return True

    def fall_behind(self, source: EventStream) -> None:
        """Go on with a stream of its own."""
        self._live, self._source = None, source

    def leave(self) -> None:
        """Leave the shared subscription."""
        shared, self._shared = self._shared, None
        if shared is None:
            return
        live, self._live = self._live, None
        if live is not None:
            live.remove(self)
        if isinstance(self._source, EventStream):  # a task that has not begun would not close it
            self._source.close()
        shared.release()
        self._on_close()

    async def aclose(self) -> None:
        """Leave the shared subscription, and close the source."""
        self.leave()
        source, self._source = self._source, None
        if (close := getattr(source, "aclose", None)) is not None:
            await close()


class LiveSubscribers:
    """Those of one shared subscription and one filter, and the stream of their events."""

    def __init__(self, shared: SharedSubscription, source: EventStream) -> None:
        """Begin with the stream of the first one, and `add` it."""
        self._shared: Final = shared
        self._source: Final = source
        self._sinks: Final[dict[PayloadStream, Sink]] = {}
        self._delivering = False
        self._most = 1
        """Events of the next batch, by the size of the last payloads."""
        self._task: Final = asyncio.create_task(self._run())

    @property
    def is_level(self) -> bool:
        """Whether they have received exactly what the log reader has delivered."""
        return not self._delivering and self._source.is_level

    def add(self, stream: PayloadStream, sink: Sink) -> None:
        self._sinks[stream] = sink
        self._source.subscribers.count(self._source.buffer, len(self._sinks))

    def remove(self, stream: PayloadStream) -> None:
        """Remove a subscriber; with the last one, the stream is closed."""
        del self._sinks[stream]
        if self._sinks:
            self._source.subscribers.count(self._source.buffer, len(self._sinks))
            return
        self._shared.live.pop(self._source.buffer.matching, None)
        self._source.close()
        self._task.cancel()

    async def _run(self) -> None:
        source, error = self._source, None
        try:
            while True:
                asked_at = self._shared.begun
                while not (events := await source.take(self._most)):
                    await source.buffer.changed()
                self._delivering = True
                payloads = await self._shared.payloads(events, asked_at=asked_at)
                self._most = min(max(_MAX_BATCH_BYTES // max([len(each.body) for each in payloads]), 1), _MAX_EVENTS)
                while payloads:
                    sizes = accumulate([len(each.body) for each in payloads])
                    fitting = sum([size <= _MAX_BATCH_BYTES for size in sizes]) or 1
                    await self._send(events, payloads[:fitting])
                    events, payloads = events[fitting:], payloads[fitting:]
                self._delivering = False
                if source.subscribers.awaiting:
                    source.subscribers.wake_awaiting()
        except StopAsyncIteration:
            pass
        except Exception as failure:  # noqa: BLE001 - the subscribers get it
            error = failure
        for stream, sink in dict(self._sinks).items():
            stream.leave()
            sink.end(error)

    async def _send(self, events: Sequence[Event], payloads: Sequence[Payload]) -> None:
        """Send to all subscribers: some in each turn, and before each payment of their caller.

        `events` are those of the payloads, and those that come after them.
        """
        shared, clock, streams = self._shared, asyncio.get_running_loop().time, list(self._sinks)
        batch, rendered_at = Batch(payloads), clock()
        at_once = _SINKS_PER_TURN if shared.rate is None else shared.payable(payloads, most=_SINKS_PER_TURN)
        for first in range(0, len(streams), at_once):
            if first:
                await asyncio.sleep(0)
                if clock() - rendered_at > _FRESH_SECONDS:
                    batch = Batch(await shared.payloads(events[: len(payloads)], asked_at=shared.begun))
                    rendered_at = clock()
            reached = 0
            for stream in streams[first : first + at_once]:
                sink = self._sinks.get(stream)
                if sink is None:  # it has left meanwhile
                    continue
                if sink.take(batch):
                    reached += 1
                else:
                    self._fall_behind(stream, sink, batch.payloads[0], events[1:])
            self._source.stats.events_delivered += (reached - (first == 0)) * len(payloads)
            if shared.rate is not None:
                shared.owe(batch.payloads, times=reached)
                await shared.pay()

    def _fall_behind(self, stream: PayloadStream, sink: Sink, payload: Payload, following: Sequence[Event]) -> None:
        stream.fall_behind(self._source.forked(following))
        self.remove(stream)
        self._shared.owe((payload,))
        sink.fall_behind(payload)


def _cost(payloads: Sequence[Payload]) -> int:
    """Return the units for sending these to one subscriber."""
    return sum([DELIVERY + len(payload.body) // _BYTES_PER_UNIT for payload in payloads])
