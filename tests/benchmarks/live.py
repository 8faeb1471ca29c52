"""What following costs a whole gateway, and how quick it is: `python -m tests.benchmarks.live`.

Prints the latency from a commit to its receipt over WebSocket, with the bell and by the poll alone; memory for each
idle subscriber at 1,000 and at 5,000; and deliveries a second to 1,000 equal ones. The gateway is a process of its own,
on an embedded Postgres of its own; clients and writers share this one. `ulimit -n` has to allow 6,000 files.
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
from tests.live.followers import EVENTS, SocketFollower, Wish
from tests.live.servers import GatewayProcess, running_gateways, running_postgres
from tests.live.worlds import PLATFORM, World, populated
from tests.postgres.event_rows import Subject

_AT_ONCE = 50
_MARK = b'"cursor"'
_PING = b'{"type":"ping"}'


def show(what: str, figure: str) -> None:
    print(f"{what:<70} {figure}", flush=True)  # noqa: T201 - printing is what a benchmark is for


class Tap(asyncio.Protocol):
    """A subscriber as cheap as it can be: it counts what it is told of."""

    def __init__(self) -> None:
        self.told = 0
        self.lost = False
        self.opened = asyncio.Event()
        self.transport: asyncio.WriteTransport | None = None
        self._log_reader = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self.opened.set()
        text = self._log_reader + data
        if _PING in text:
            self.say({"type": "pong"})
        self.told += text.count(_MARK)
        self._log_reader = text[-len(_MARK) + 1 :]

    def connection_lost(self, _exception: Exception | None) -> None:
        self.lost = True

    def say(self, message: object) -> None:
        """Send one text frame. The mask of a client is nothing: zeros leave the text as it is."""
        text = json.dumps(message).encode()
        assert self.transport is not None
        self.transport.write(struct.pack(">BBH4x", 0x81, 0x80 | 126, len(text)) + text)


async def tap(url: str, *, secret: str) -> Tap:
    address = urlsplit(url)
    _, opened = await asyncio.get_running_loop().create_connection(Tap, str(address.hostname), address.port or 0)
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


async def taps(services: GatewayProcess, world: World, *, count: int, already: int = 0) -> list[Tap]:
    opened: list[Tap] = []
    while len(opened) < count:
        opened += await asyncio.gather(*(tap(services.url, secret=world.secret) for _ in range(_AT_ONCE)))
    await _until_followers(services, count=already + count)
    return opened


async def idle(services: GatewayProcess, world: World) -> list[Tap]:
    """Measure memory; answer the first thousand subscribers, which stay."""
    await leave(services, await taps(services, world, count=200))
    empty = (await services.observed()).memory
    first = await taps(services, world, count=1_000)
    per_one = ((await services.observed()).memory - empty) / 1_000
    show("memory for each idle WebSocket subscriber, at 1,000", f"{per_one / 1024:.1f} KiB")
    rest = await taps(services, world, count=4_000, already=1_000)
    per_one = ((await services.observed()).memory - empty) / 5_000
    show("memory for each idle WebSocket subscriber, at 5,000", f"{per_one / 1024:.1f} KiB")
    await leave(services, rest, remaining=1_000)
    return first


async def leave(services: GatewayProcess, opened: Sequence[Tap], *, remaining: int = 0) -> None:
    for one in opened:
        assert one.transport is not None
        one.transport.abort()
    await _until_followers(services, count=remaining)


async def _until_followers(services: GatewayProcess, *, count: int) -> None:
    while (await services.observed()).followers != count:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.05)


async def deliveries(services: GatewayProcess, world: World, opened: Sequence[Tap], *, events: int) -> None:
    subject = Subject()
    for repetition in range(3):
        before, spent = opened[0].told, services.cpu_seconds()
        async with transaction(world.services.database) as held:
            for _ in range(events):
                await append_event(held, subject.next())
        began = time.perf_counter()
        world.feed.notify()
        while any(one.told < before + events for one in opened):
            assert not any(one.lost for one in opened)
            await asyncio.sleep(0.005)
        seconds, spent = time.perf_counter() - began, services.cpu_seconds() - spent
        show(
            f"deliveries to {len(opened):,} equal subscribers, {events} events, round {repetition + 1}",
            f"{len(opened) * events / seconds:,.0f} a second, {len(opened) * events / spent:,.0f} for a second of CPU",
        )


async def latency(services: GatewayProcess, world: World, *, rings: bool, count: int) -> None:
    writing = world.services if rings else replace(world.services, notify=lambda: None)
    follower = SocketFollower(
        Wish(secret=world.secret, variables={}, matching=EventFilter()),
        urls=[services.url],
        cursor=encode_position(await world.feed.position()),
    )
    following = asyncio.create_task(follower.follow())
    seconds = []
    for number in range(count + 1):
        await merge_into_metadata(
            writing, PLATFORM, installation_id=world.quiet.id, patch={"number": number}, expected_version=None
        )
        committed = time.perf_counter()
        while len(follower.received) <= number:  # noqa: ASYNC110 - it is a plain list
            await asyncio.sleep(0.0005)
        seconds.append(time.perf_counter() - committed)
        await asyncio.sleep(0.02)
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    seconds = seconds[1:]  # the first waits for the subscription
    p50, p99 = statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]
    how = "of another process, with the bell" if rings else "by the poll alone"
    show(f"commit to receipt over WebSocket, {how}: p50, p99", f"{p50 * 1000:.1f} ms, {p99 * 1000:.1f} ms")


async def main() -> None:
    show("processors", str(psutil.cpu_count()))
    with tempfile.TemporaryDirectory(prefix="gateway-") as directory, running_postgres(Path(directory)) as postgres:
        async with (
            populated(postgres.url, applications=1, accounts=1) as world,
            running_gateways(postgres.url, count=1, directory=Path(directory)) as (services,),
        ):
            await latency(services, world, rings=True, count=300)
            await latency(services, world, rings=False, count=10)
            opened = await idle(services, world)
            await deliveries(services, world, opened, events=200)


if __name__ == "__main__":
    uvloop.run(main())
