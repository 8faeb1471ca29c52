"""Subscriptions: each subscriber has its own stream of events, and equal subscribers share the payload of each.

A `SharedSubscription` is one operation with one set of payload variables and one set of the caller's bounds. It exists
while it has subscribers, and keeps the payloads of the latest events: the first subscriber to reach an event has it
executed and encoded, the others get the same bytes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from inspect import isawaitable
from typing import Any, Final, Self

from cachetools import LRUCache
from graphql import ExecutionResult
from graphql.execution import Executor, MiddlewareManager, create_source_event_stream

from gateway.domain.errors import TimedOut
from gateway.execution.encoding import Response, encode_response, error_response, execute
from gateway.execution.runner import CompiledExecutionFailed, ExecutionState, Groups, run

_MAX_PAYLOADS: Final = 64
"""Payloads kept of a shared subscription: its subscribers are seldom more than a few events apart."""


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

    __slots__ = ("_on_close", "_shared", "_source", "_source_stream")

    def __init__(self, shared: "SharedSubscription", source_stream: Any, *, on_close: Callable[[], None]) -> None:
        self._shared: SharedSubscription | None = shared
        self._on_close = on_close
        self._source_stream = source_stream
        self._source: AsyncIterator[Any] = aiter(source_stream)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Payload:
        if self._shared is None:
            raise StopAsyncIteration
        try:
            event = await anext(self._source)
        except Exception:  # also StopAsyncIteration
            await self.aclose()
            raise
        return await self._shared.payload(event)

    async def aclose(self) -> None:
        """Close the source, and leave the shared subscription."""
        shared, self._shared = self._shared, None
        if shared is None:
            return
        shared.release()
        self._on_close()
        if (close := getattr(self._source, "aclose", None)) is not None:
            await close()


@dataclass(kw_only=True, slots=True, eq=False)
class SharedSubscription:
    """One operation with its variables and the caller's bounds, for all its subscribers."""

    executor: Executor[Any]
    groups: Groups | None
    event_seconds: float
    """Which executing one event may take."""
    on_unused: Callable[[], object]
    subscribers: int = 0
    """Each one calls `release` once."""
    _payloads: LRUCache[Hashable, asyncio.Task[Payload]] = field(
        default_factory=partial(LRUCache, _MAX_PAYLOADS), init=False
    )

    async def open(self, executor: Executor[Any], *, on_close: Callable[[], None]) -> PayloadStream:
        """Open the source of one subscriber by its own executor. Raises the error of its resolver."""
        source = create_source_event_stream(executor)
        if isawaitable(source):
            source = await source
        if isinstance(source, ExecutionResult) and source.errors:
            raise source.errors[0]  # there is no more than one
        return PayloadStream(self, source, on_close=on_close)

    async def payload(self, event: Any) -> Payload:
        """Return the event's payload; cached by `share_key` when the event has one."""
        share_key = getattr(event, "share_key", None)
        if share_key is None:
            return await self._payload(event)
        task = self._payloads.get(share_key)
        if task is None:
            task = self._payloads[share_key] = asyncio.create_task(self._payload(event))
        if task.done():
            return task.result()
        return await asyncio.shield(task)  # cancelling one subscriber leaves the shared task running

    def release(self) -> None:
        """Remove one subscriber; with the last one the shared subscription ends."""
        self.subscribers -= 1
        if self.subscribers:
            return
        self.on_unused()
        for task in self._payloads.values():
            task.cancel()

    async def _payload(self, event: Any) -> Payload:
        context = self.executor.context_value.for_event()
        try:
            async with asyncio.timeout(self.event_seconds):
                try:
                    if self.groups is None:
                        response = await self._execute(event, context, replay=None)
                    else:
                        values = self.executor.variable_values
                        state = ExecutionState(context=context, variable_values=values, root_value=event)
                        response = encode_response(await run(self.groups, state))
                except CompiledExecutionFailed as failure:
                    response = await self._execute(event, context, replay=failure.middleware)
        except TimeoutError:
            context.abandon()
            late = TimedOut(f"Reading the data of this event took longer than {self.event_seconds:g} seconds.")
            response = error_response(late)
        return Payload(body=response.body, text=response.body.decode(), cursor=getattr(event, "cursor", None))

    async def _execute(self, event: Any, context: Any, *, replay: MiddlewareManager | None) -> Response:
        """Execute an event by graphql-core, on the outcomes of a compiled run that failed."""
        executor = self.executor.build_per_event_executor(event)
        executor.context_value = context
        executor.middleware_manager = replay
        # The executor's copy shares its cache of subfields, whose keys each execution makes anew: it would grow with
        # each event for as long as there are subscribers.
        executor._relevant_sub_fields = {}  # noqa: SLF001 - there is no public way to give the event its own
        return await execute(executor)
