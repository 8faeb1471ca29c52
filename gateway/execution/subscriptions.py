"""Subscriptions: each subscriber has its own stream of events, and equal subscribers share the payload of each.

A `SharedSubscription` is one operation with one set of payload variables and one set of the caller's bounds. It exists
while it has subscribers: the first one to reach an event has it executed and encoded, and those that were waiting for
it then get the same bytes. A subscriber that asks later, such as one that reads the log again, has the event executed
again where it shows rows beside itself: they may have changed or gone meanwhile.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Self

from cachetools import LRUCache
from graphql.execution.values import VariableValues

from gateway.domain.errors import TimedOut
from gateway.execution.context import ExecutionContext
from gateway.execution.encoding import error_response
from gateway.execution.errors import OperationTooComplex
from gateway.execution.runner import ExecutionState, Groups, Turns, execute

_MAX_PAYLOADS: Final = 64
"""Renderings kept of a shared subscription: its subscribers are seldom more than a few events apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """An event as its subscribers get it; one object for all who share it."""

    body: bytes
    text: str
    """The body, decoded once for all WebSockets."""
    cursor: str | None
    """The event's cursor, where it has one."""


class PayloadStream:
    """One subscriber's payloads. It ends with StopAsyncIteration, or with the exception of its source.

    Iterate it in one task only; cancelling that task closes the source too. Close it in any case.
    """

    __slots__ = ("_on_close", "_shared", "_source")

    def __init__(
        self, shared: "SharedSubscription", source: AsyncIterator[Any], *, on_close: Callable[[], None]
    ) -> None:
        self._shared: SharedSubscription | None = shared
        self._on_close = on_close
        self._source = source

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Payload:
        if self._shared is None:
            raise StopAsyncIteration
        asked_at = self._shared.begun
        try:
            event = await anext(self._source)
        except Exception:  # also StopAsyncIteration
            await self.aclose()
            raise
        return await self._shared.payload(event, asked_at=asked_at)

    async def aclose(self) -> None:
        """Close the source, and leave the shared subscription."""
        shared, self._shared = self._shared, None
        if shared is None:
            return
        shared.release()
        self._on_close()
        if (close := getattr(self._source, "aclose", None)) is not None:
            await close()


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
    charge: Callable[[], Awaitable[None]] | None
    """Waits until the caller's quota allows the next rendering; None: it has no limit."""
    on_unused: Callable[[], object]
    subscribers: int = 0
    """Each one calls `release` once."""
    begun: int = 0
    """How many renderings have begun to read."""
    _renderings: LRUCache[Hashable, _Rendering] = field(default_factory=partial(LRUCache, _MAX_PAYLOADS), init=False)

    async def payload(self, event: Any, *, asked_at: int) -> Payload:
        """Return the event's payload; shared by `share_key` when the event has one.

        `asked_at` is `begun` when the subscriber asked for its next event: it gets nothing that was read before.
        """
        share_key = getattr(event, "share_key", None)
        if share_key is None:
            return await self._render(event, _Rendering())
        rendering = self._renderings.get(share_key)
        if rendering is None or rendering.number <= asked_at:
            rendering = self._renderings[share_key] = _Rendering()
            rendering.task = asyncio.create_task(self._render(event, rendering))
        if rendering.task.done():
            return rendering.task.result()
        return await asyncio.shield(rendering.task)  # cancelling one subscriber leaves the shared task running

    def release(self) -> None:
        """Remove one subscriber; with the last one the shared subscription ends."""
        self.subscribers -= 1
        if self.subscribers:
            return
        self.on_unused()
        for rendering in self._renderings.values():
            rendering.task.cancel()

    async def _render(self, event: Any, rendering: _Rendering) -> Payload:
        if self.charge is not None:
            await self.charge()
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
