"""Benchmark of deliveries: `python -m tests.benchmarks.deliveries`.

Prints the CPU of one delivery, with a task and a stream for each subscriber as a slow one has them, and live: 200 equal
subscribers of 300 events that show their installation, in turns, without transports; and the frames of live ones, with
one id for all and with another id for each.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import uvloop

from gateway.app import Components, build_components
from gateway.domain.principals import Principal, PrincipalKind
from gateway.execution.encoding import Payload
from gateway.operations.requests import GraphQLRequest
from gateway.operations.subscriptions import Batch, PayloadStream
from gateway.settings import Settings
from gateway.storage.database import transaction
from gateway.storage.embedded import embedded_postgres
from gateway.storage.events import append_event
from gateway.storage.migrations import migrate
from gateway.transport.connections import ConnectionRegistry
from gateway.transport.websocket.messages import next_frames, next_head
from gateway.usecases.services import utc_now
from tests.postgres.event_rows import EventSource, until

_SUBSCRIBERS = 200
_EVENTS = 300
_ROUNDS = 7
_CALLER = Principal(kind=PrincipalKind.PLATFORM)
_REQUEST = GraphQLRequest(query="subscription { installationEvents { version installation { id status } } }")


@dataclass(kw_only=True, eq=False)
class _Subscriber:
    """A sink that makes its frames, and counts them."""

    stream: PayloadStream
    head: bytes
    live: bool
    received: int = 0
    task: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        while (payload := await self.stream.next_or_join(self if self.live else None)) is not None:
            next_frames(self.head, (payload,))
            self.received += 1
        self.task = None

    def take(self, batch: Batch) -> bool:
        if batch.encoded_for != self.head:
            batch.encoded_for, batch.encoded = self.head, next_frames(self.head, batch.payloads)
        self.received += len(batch.payloads)
        return True

    def fall_behind(self, payload: Payload) -> None:
        raise AssertionError(f"It takes everything, {payload.cursor} too.")

    def end(self, error: Exception | None) -> None:
        raise AssertionError("The stream has no end.") from error


async def _measured(parts: Components, *, live: bool, head: Callable[[int], str]) -> float:
    """Return the microseconds of CPU of a delivery."""
    operation = await parts.pipeline.prepare(_REQUEST, _CALLER)
    subscribers = []
    for number in range(_SUBSCRIBERS):
        stream = await parts.pipeline.subscribe(operation, _REQUEST, _CALLER)
        subscriber = _Subscriber(stream=stream, head=next_head(head(number)).encode(), live=live)
        subscriber.task = asyncio.create_task(subscriber.follow())
        subscribers.append(subscriber)
    await until(lambda: parts.feed.stats.subscribers == _SUBSCRIBERS)
    await until(lambda: not live or all(each.task is None for each in subscribers))
    await asyncio.sleep(1)  # a subscriber without a task has none to say that it waits
    source = EventSource()
    async with transaction(parts.database) as held:
        for _ in range(_EVENTS):
            await append_event(held, source.next())
    began = time.process_time()
    parts.feed.notify()
    await until(lambda: all(each.received == _EVENTS for each in subscribers))
    seconds = time.process_time() - began
    for each in subscribers:
        if each.task is not None:
            each.task.cancel()
        await each.stream.aclose()
    return seconds / (_SUBSCRIBERS * _EVENTS) * 1e6


async def _main() -> None:
    shapes: dict[str, tuple[bool, Callable[[int], str]]] = {
        "a task and a stream each": (False, lambda _number: "1"),
        "live, with one id": (True, lambda _number: "1"),
        "live, with another id each": (True, lambda number: f"00000000-0000-0000-0000-{number:012}"),
    }
    taken: dict[str, list[float]] = {name: [] for name in shapes}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-")))
        url = await stack.enter_async_context(embedded_postgres(folder, exclusive=True))
        await migrate(url)
        parts = build_components(
            Settings(rates={"platform": 0, "application": 0, "account": 0, "anonymous": 0}),
            database_url=url,
            registry=ConnectionRegistry(),
            prefilled=None,
            now=utc_now,
        )
        await stack.enter_async_context(parts.database)
        await stack.enter_async_context(parts.feed)
        await until(lambda: parts.feed.stats.connected)
        for _ in range(_ROUNDS):
            for name, (live, head) in shapes.items():
                taken[name].append(await _measured(parts, live=live, head=head))
    for name, each in taken.items():
        figures = f"{statistics.median(each):6.2f} us ({min(each):.2f}-{max(each):.2f})"
        print(f"CPU of a delivery, {name:<30} {figures}", flush=True)  # noqa: T201 - printing is what a benchmark is for


if __name__ == "__main__":
    uvloop.run(_main())
