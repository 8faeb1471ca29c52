"""Benchmark of subscriptions on a whole gateway: `python -m tests.benchmarks.live`.

Prints the latency from a commit to its receipt over WebSocket, with notifications and by the poll alone; the memory of
each idle subscriber, at 1,000 and at 5,000; and the deliveries a second to 1,000 equal subscribers. The gateway is a
process on an embedded Postgres; clients and writers share this process. `ulimit -n` has to allow 6,000 files.
"""

import asyncio
import base64
import json
import os
import statistics
import struct
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import psutil
import uvloop

from gateway.domain.cursors import encode_position
from gateway.domain.event_filters import EventFilter
from gateway.storage.database import transaction
from gateway.storage.events import append_event
from gateway.usecases.installations import merge_into_metadata
from tests.live.dataset import PLATFORM, Dataset, populated
from tests.live.servers import GatewayProcess, running_gateways, running_postgres
from tests.live.subscribers import EVENTS, SubscriptionSpec, WebSocketSubscriber
from tests.postgres.event_rows import EventSource

_AT_ONCE = 50
_MARK = b'"cursor"'
_PING = b'{"type":"ping"}'


def show(what: str, figure: str) -> None:
    print(f"{what:<70} {figure}", flush=True)  # noqa: T201 - printing is what a benchmark is for


class RawSubscriber(asyncio.Protocol):
    """A subscriber that only counts the events that it receives, to cost as little as possible."""

    def __init__(self) -> None:
        self.received = 0
        self.lost = False
        self.opened = asyncio.Event()
        self.transport: asyncio.WriteTransport | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)  # uvloop has a class of its own

    def data_received(self, data: bytes) -> None:
        self.opened.set()
        text = self._rest + data
        if _PING in text:
            self.say({"type": "pong"})
        self.received += text.count(_MARK)
        self._rest = text[-len(_MARK) + 1 :]

    def connection_lost(self, _exception: Exception | None) -> None:
        self.lost = True

    def say(self, message: object) -> None:
        """Send one text frame; a mask of zeros leaves the text as it is."""
        text = json.dumps(message).encode()
        assert self.transport is not None
        self.transport.write(struct.pack(">BBH4x", 0x81, 0x80 | 126, len(text)) + text)


async def open_raw_subscriber(url: str, *, secret: str) -> RawSubscriber:
    address = urlsplit(url)
    _, opened = await asyncio.get_running_loop().create_connection(
        RawSubscriber, str(address.hostname), address.port or 0
    )
    assert opened.transport is not None
    key = base64.b64encode(os.urandom(16)).decode()
    opened.transport.write(
        f"GET /graphql HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
    )
    await opened.opened.wait()
    opened.say({"type": "connection_init", "payload": {"Authorization": f"Bearer {secret}"}})
    opened.say({"type": "subscribe", "id": "1", "payload": {"query": EVENTS}})
    return opened


async def open_raw_subscribers(
    services: GatewayProcess, dataset: Dataset, *, count: int, already: int = 0
) -> list[RawSubscriber]:
    opened: list[RawSubscriber] = []
    while len(opened) < count:
        opened += await asyncio.gather(
            *(open_raw_subscriber(services.url, secret=dataset.secret) for _ in range(_AT_ONCE))
        )
    await _until_subscribers(services, count=already + count)
    return opened


async def idle(services: GatewayProcess, dataset: Dataset) -> list[RawSubscriber]:
    """Measure memory; return the first thousand subscribers, which stay connected."""
    await leave(services, await open_raw_subscribers(services, dataset, count=200))
    empty = (await services.observed()).memory
    first = await open_raw_subscribers(services, dataset, count=1_000)
    per_one = ((await services.observed()).memory - empty) / 1_000
    show("memory for each idle WebSocket subscriber, at 1,000", f"{per_one / 1024:.1f} KiB")
    rest = await open_raw_subscribers(services, dataset, count=4_000, already=1_000)
    per_one = ((await services.observed()).memory - empty) / 5_000
    show("memory for each idle WebSocket subscriber, at 5,000", f"{per_one / 1024:.1f} KiB")
    await leave(services, rest, remaining=1_000)
    return first


async def leave(services: GatewayProcess, opened: Sequence[RawSubscriber], *, remaining: int = 0) -> None:
    for one in opened:
        assert one.transport is not None
        one.transport.abort()
    await _until_subscribers(services, count=remaining)


async def _until_subscribers(services: GatewayProcess, *, count: int) -> None:
    while (await services.observed()).subscribers != count:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.05)


async def deliveries(
    services: GatewayProcess, dataset: Dataset, opened: Sequence[RawSubscriber], *, events: int
) -> None:
    source = EventSource()
    for repetition in range(3):
        before, spent = opened[0].received, services.cpu_seconds()
        async with transaction(dataset.services.database) as held:
            for _ in range(events):
                await append_event(held, source.next())
        began = time.perf_counter()
        dataset.feed.notify()
        while any(one.received < before + events for one in opened):
            assert not any(one.lost for one in opened)
            await asyncio.sleep(0.005)
        seconds, spent = time.perf_counter() - began, services.cpu_seconds() - spent
        show(
            f"deliveries to {len(opened):,} equal subscribers, {events} events, round {repetition + 1}",
            f"{len(opened) * events / seconds:,.0f} a second, {len(opened) * events / spent:,.0f} for a second of CPU",
        )


async def latency(services: GatewayProcess, dataset: Dataset, *, notifies: bool, count: int) -> None:
    writing = dataset.services if notifies else replace(dataset.services, notify=lambda: None)
    subscriber = WebSocketSubscriber(
        SubscriptionSpec(secret=dataset.secret, variables={}, matching=EventFilter()),
        urls=[services.url],
        cursor=encode_position(await dataset.feed.position()),
    )
    tasks = asyncio.create_task(subscriber.receive())
    seconds = []
    for number in range(count + 1):
        await merge_into_metadata(
            writing, PLATFORM, installation_id=dataset.unwritten.id, patch={"number": number}, expected_version=None
        )
        committed = time.perf_counter()
        while len(subscriber.received) <= number:  # noqa: ASYNC110 - it is a plain list
            await asyncio.sleep(0.0005)
        seconds.append(time.perf_counter() - committed)
        await asyncio.sleep(0.02)
    tasks.cancel()
    with suppress(asyncio.CancelledError):
        await tasks
    seconds = seconds[1:]  # the first waits for the subscription
    p50, p99 = statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]
    how = "of another process, with a notification" if notifies else "by the poll alone"
    show(f"commit to receipt over WebSocket, {how}: p50, p99", f"{p50 * 1000:.1f} ms, {p99 * 1000:.1f} ms")


async def main() -> None:
    show("processors", str(psutil.cpu_count()))
    with tempfile.TemporaryDirectory(prefix="gateway-") as directory, running_postgres(Path(directory)) as postgres:
        async with (
            populated(postgres.url, applications=1, accounts=1) as dataset,
            running_gateways(postgres.url, count=1, directory=Path(directory)) as (services,),
        ):
            await latency(services, dataset, notifies=True, count=300)
            await latency(services, dataset, notifies=False, count=10)
            opened = await idle(services, dataset)
            await deliveries(services, dataset, opened, events=200)


if __name__ == "__main__":
    uvloop.run(main())
