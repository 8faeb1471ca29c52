"""Clients that go without a word leave nothing behind."""

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from gateway.usecases.installations import merge_into_metadata
from tests.live.conftest import LONG
from tests.live.followers import EVENTS
from tests.live.servers import GatewayProcess, Observed, Postgres, running_gateways
from tests.live.worlds import PLATFORM, World, populated

BATCH = 100
BATCHES = 10 if LONG else 3
MEGABYTES = 5
DEADLINE_SECONDS = 60
VANISHED_SECONDS = 180
"""The gateway asks every 20 s, and gives a client until the next time."""

Abort = Callable[[], None]


async def socket_client(services: GatewayProcess, world: World) -> Abort:
    """Subscribe over WebSocket; answer how to go without a word."""
    opened = await connect(
        services.url.replace("http", "ws", 1),
        subprotocols=[Subprotocol("graphql-transport-ws")],
        ping_interval=None,
        proxy=None,
    )
    authorization = {"Authorization": f"Bearer {world.secret}"}
    await opened.send(json.dumps({"type": "connection_init", "payload": authorization}))
    await opened.recv()
    await opened.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": EVENTS}}))
    return lambda: reset(opened.transport)


async def stream_client(services: GatewayProcess, world: World) -> Abort:
    """Subscribe by server-sent events; answer how to go without a word."""
    address = urlsplit(services.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    body = json.dumps({"query": EVENTS}).encode()
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {world.secret}\r\n"
        f"Accept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    return lambda: reset(writer.transport)


def reset(transport: asyncio.BaseTransport) -> None:
    """Drop the connection as a machine does that was switched off and on again."""
    if transport.is_closing():  # the gateway was quicker
        return
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert isinstance(transport, asyncio.WriteTransport)
    transport.abort()


async def until_observed(
    services: GatewayProcess, condition: Callable[[Observed], bool], *, within: float = DEADLINE_SECONDS
) -> Observed:
    async with asyncio.timeout(within):
        while not condition(observed := await services.observed()):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    return observed


async def come_and_die(services: GatewayProcess, world: World, *, count: int) -> Observed:
    """Have clients come, be told something, and go; answer what is left when the gauge is back."""
    kinds = (socket_client, stream_client)
    aborts = [await kinds[number % 2](services, world) for number in range(count)]
    await until_observed(services, lambda observed: observed.followers == count)
    await change(world)
    for abort in aborts:
        abort()
    await change(world)
    return await until_observed(services, lambda observed: observed.followers == observed.connections == 0)


async def followers_shown(services: GatewayProcess) -> str:
    """Answer the gauge's line as Prometheus gets it."""
    async with httpx.AsyncClient() as http:
        shown = (await http.get(services.url.replace("/graphql", "/metrics"), timeout=30)).text
    return next(line for line in shown.splitlines() if line.startswith("gateway_subscribers "))


async def change(world: World) -> None:
    patch = {"at": str(world.services.now())}
    await merge_into_metadata(
        world.services, PLATFORM, installation_id=world.quiet.id, patch=patch, expected_version=None
    )


async def test_clients_that_die_without_a_goodbye_leave_nothing_behind(postgres: Postgres, tmp_path: Path) -> None:
    async with (
        populated(postgres.url, applications=1, accounts=1) as world,
        running_gateways(postgres.url, count=1, directory=tmp_path, GATEWAY_METRICS="on") as (services,),
    ):
        nobody = await followers_shown(services)
        before = await come_and_die(services, world, count=2 * BATCH)
        for _ in range(BATCHES):
            await come_and_die(services, world, count=BATCH)
        assert await followers_shown(services) == nobody == "gateway_subscribers 0.0"
        after = await until_observed(services, lambda observed: observed.tasks <= before.tasks)
    grown = after.memory - before.memory
    print(f"{grown / 2**20:+.1f} MiB after {BATCH * BATCHES:,} clients")  # noqa: T201 - the long form's figure
    assert grown < MEGABYTES * 2**20


@pytest.mark.skipif(not LONG, reason="the gateway gives them most of a minute: TESTS_LONG=1")
async def test_clients_that_vanish_are_noticed(postgres: Postgres, tmp_path: Path) -> None:
    async with (
        populated(postgres.url, applications=1, accounts=1) as world,
        running_gateways(postgres.url, count=1, directory=tmp_path) as (services,),
    ):
        silent = await asyncio.gather(*(socket_client(services, world) for _ in range(BATCH)))
        assert (await services.observed()).connections > 0
        await until_observed(
            services, lambda observed: observed.followers == observed.connections == 0, within=VANISHED_SECONDS
        )
        for abort in silent:
            abort()
