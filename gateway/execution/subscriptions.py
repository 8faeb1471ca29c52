"""Subscriptions: each follower has its own stream of events, and equal followers share what is made of each.

A plan stands for one operation with one set of variables under one set of bounds. It lives as long as somebody follows
it, and keeps the renderings of the latest events: whoever comes to an event first has it executed and encoded, and all
others take the bytes.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from inspect import isawaitable
from typing import Any, Self

from graphql import ExecutionResult
from graphql.execution import Executor, create_source_event_stream

from gateway.domain.errors import TimedOut
from gateway.execution.encoding import Response, encode_response, error_response, execute
from gateway.execution.errors import Refusal, field_error, refuse
from gateway.execution.runner import CompiledExecutionFailed, ExecutionState, Groups, run

KEPT_RENDERINGS = 64
"""How many of a plan's latest events are kept rendered: followers of one plan are seldom further apart than a few."""


class Payload:
    """One event as its subscribers are told it; one object for all who share it."""

    __slots__ = ("_text", "body", "cursor")

    def __init__(self, body: bytes, *, cursor: str | None) -> None:
        self.body = body
        self.cursor = cursor
        """The event's place in its log, where it has one."""
        self._text: str | None = None

    @property
    def text(self) -> str:
        """The body as text, decoded once."""
        if self._text is None:
            self._text = self.body.decode()
        return self._text


class PayloadStream:
    """One follower's payloads. Ends with StopAsyncIteration, or with Refusal where the source failed.

    Iterate it in one task only; cancelling that task ends the source too. Close it in any case.
    """

    __slots__ = ("_leave", "_plan", "_source", "_source_stream")

    def __init__(self, plan: "SharedSubscription", source_stream: Any, *, leave: Callable[[], None]) -> None:
        self._plan: SharedSubscription | None = plan
        self._leave = leave
        self._source_stream = source_stream
        self._source: AsyncIterator[Any] = aiter(source_stream)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Payload:
        if self._plan is None:
            raise StopAsyncIteration
        try:
            value = await anext(self._source)
        except StopAsyncIteration:
            await self.aclose()
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes a masked answer
            await self.aclose()
            refuse(error)
        return await self._plan.payload(value)

    async def aclose(self) -> None:
        """End the source, and leave the plan."""
        plan, self._plan = self._plan, None
        if plan is None:
            return
        plan.release()
        self._leave()
        if (close := getattr(self._source, "aclose", None)) is not None:
            await close()


class SharedSubscriptions:
    """The plans that somebody follows now."""

    def __init__(self, *, event_seconds: float) -> None:
        """Prepare to follow; what is made of one event may take so many seconds."""
        self._event_seconds = event_seconds
        self._plans: dict[Hashable, SharedSubscription] = {}

    def __len__(self) -> int:
        return len(self._plans)

    def plan(self, key: Hashable, executor: Executor[Any], *, groups: Groups | None) -> "SharedSubscription":
        """Return the plan of this key with one more follower, whose executor this is; `release` it in the end."""
        plan = self._plans.get(key)
        if plan is None:
            plan = SharedSubscription(
                executor, groups=groups, forget=lambda: self._plans.pop(key), event_seconds=self._event_seconds
            )
            self._plans[key] = plan
        plan.followers += 1
        return plan


class SharedSubscription:
    """One operation with its variables and bounds, for all who follow it."""

    __slots__ = ("_event_seconds", "_executor", "_forget", "_groups", "_renderings", "followers")

    def __init__(
        self,
        executor: Executor[Any],
        *,
        groups: Groups | None,
        forget: Callable[[], object],
        event_seconds: float,
    ) -> None:
        self._event_seconds = event_seconds
        self.followers = 0
        self._executor = executor
        self._groups = groups
        self._forget = forget
        self._renderings: OrderedDict[Hashable, asyncio.Task[Payload]] = OrderedDict()

    async def opened(self, executor: Executor[Any], *, leave: Callable[[], None]) -> PayloadStream:
        """Open the source of one more follower by its own executor; `leave` says that it has left. Raises Refusal."""
        source = create_source_event_stream(executor)
        if isawaitable(source):
            source = await source
        if isinstance(source, ExecutionResult):
            raise Refusal(map(field_error, source.errors or ()))
        return PayloadStream(self, source, leave=leave)

    async def payload(self, value: Any) -> Payload:
        """Return what is made of an event: by sharing it, where the event says what it may be shared by."""
        share_key = getattr(value, "share_key", None)
        if share_key is None:
            return await self._rendered(value)
        rendering = self._renderings.get(share_key)
        if rendering is None:
            rendering = self._renderings[share_key] = asyncio.create_task(self._rendered(value))
            if len(self._renderings) > KEPT_RENDERINGS:
                self._renderings.popitem(last=False)
        if rendering.done():
            return rendering.result()
        return await asyncio.shield(rendering)  # one follower's leaving must not take it from the others

    def release(self) -> None:
        """Take one follower off; with the last one the plan ends."""
        self.followers -= 1
        if self.followers:
            return
        self._forget()
        for rendering in self._renderings.values():
            rendering.cancel()

    async def _rendered(self, value: Any) -> Payload:
        context = self._executor.context_value.renewed()
        try:
            async with asyncio.timeout(self._event_seconds):
                response = await self._answered(value, context)
        except TimeoutError:
            context.abandon()
            late = TimedOut(f"Reading what belongs to this event took longer than {self._event_seconds:g} seconds.")
            response = error_response(late)
        return Payload(response.body, cursor=getattr(value, "cursor", None))

    async def _answered(self, value: Any, context: Any) -> Response:
        replay = None
        if self._groups is not None:
            values = self._executor.variable_values
            try:
                data = await run(
                    self._groups, ExecutionState(context=context, variable_values=values, root_value=value)
                )
            except CompiledExecutionFailed as failure:
                replay = failure.middleware
            else:
                return encode_response(data)
        executor = self._executor.build_per_event_executor(value)
        executor.context_value = context
        executor.middleware_manager = replay
        # The copy shares its memory of selected fields, which is by lists that each execution makes anew: it would grow
        # with each event for as long as somebody follows.
        executor._relevant_sub_fields = {}  # noqa: SLF001 - there is no public way to a memory of the event's own
        return await execute(executor)
