"""Clients that disappear without closing their connection leave nothing behind."""

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from gateway.usecases.installations import merge_into_metadata
from tests.live.dataset import PLATFORM, Dataset, populated
from tests.live.servers import GatewayProcess, Observed, Postgres, running_gateways
from tests.live.subscribers import EVENTS
from tests.serving import http_client

BATCH = 100
MEGABYTES = 5
DEADLINE_SECONDS = 60
VANISHED_SECONDS = 180
"""The gateway pings every 20 s, and a client has until the next ping to answer."""

Abort = Callable[[], None]


async def socket_client(services: GatewayProcess, dataset: Dataset) -> Abort:
    """Subscribe over WebSocket; return a function that resets the connection."""
    opened = await connect(
        services.url.replace("http", "ws", 1),
        subprotocols=[Subprotocol("graphql-transport-ws")],
        ping_interval=None,
        proxy=None,
    )
    authorization = {"Authorization": f"Bearer {dataset.secret}"}
    await opened.send(json.dumps({"type": "connection_init", "payload": authorization}))
    await opened.recv()
    await opened.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": EVENTS}}))
    return lambda: reset(opened.transport)


async def stream_client(services: GatewayProcess, dataset: Dataset) -> Abort:
    """Subscribe by server-sent events; return a function that resets the connection."""
    address = urlsplit(services.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    body = json.dumps({"query": EVENTS}).encode()
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {dataset.secret}\r\n"
        f"Accept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    return lambda: reset(writer.transport)


def reset(transport: asyncio.BaseTransport) -> None:
    """Reset the connection, as the kernel of a restarted machine does."""
    if transport.is_closing():  # the gateway has closed it
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


async def connect_and_abort(services: GatewayProcess, dataset: Dataset, *, count: int) -> Observed:
    """Have clients connect, receive an event and abort; return the counts when no subscriber is left."""
    kinds = (socket_client, stream_client)
    aborts = [await kinds[number % 2](services, dataset) for number in range(count)]
    await until_observed(services, lambda observed: observed.subscribers == count)
    await change(dataset)
    for abort in aborts:
        abort()
    await change(dataset)
    return await until_observed(services, lambda observed: observed.subscribers == observed.connections == 0)


async def subscribers_metric(services: GatewayProcess) -> str:
    """Return the line of the gauge in /metrics."""
    async with http_client() as http:
        shown = (await http.get(services.url.replace("/graphql", "/metrics"), timeout=30)).text
    return next(line for line in shown.splitlines() if line.startswith("gateway_subscribers "))


async def change(dataset: Dataset) -> None:
    patch = {"at": str(dataset.services.now())}
    await merge_into_metadata(
        dataset.services, PLATFORM, installation_id=dataset.unwritten.id, patch=patch, expected_version=None
    )


@pytest.mark.parametrize("batches", [3, pytest.param(10, marks=pytest.mark.long)])
async def test_aborted_clients_leave_nothing_behind(batches: int, postgres: Postgres, tmp_path: Path) -> None:
    async with (
        populated(postgres.url, applications=1, accounts=1) as dataset,
        running_gateways(postgres.url, count=1, directory=tmp_path, GATEWAY_METRICS="on") as (services,),
    ):
        unused = await subscribers_metric(services)
        before = await connect_and_abort(services, dataset, count=2 * BATCH)
        for _ in range(batches):
            await connect_and_abort(services, dataset, count=BATCH)
        assert await subscribers_metric(services) == unused == "gateway_subscribers 0.0"
        after = await until_observed(services, lambda observed: observed.tasks <= before.tasks)
    grown = after.memory - before.memory
    print(f"{grown / 2**20:+.1f} MiB after {BATCH * batches:,} clients")  # noqa: T201 - the long form's figure
    assert grown < MEGABYTES * 2**20


@pytest.mark.long
async def test_clients_that_stop_answering_are_closed(postgres: Postgres, tmp_path: Path) -> None:
    async with (
        populated(postgres.url, applications=1, accounts=1) as dataset,
        running_gateways(postgres.url, count=1, directory=tmp_path) as (services,),
    ):
        silent = await asyncio.gather(*(socket_client(services, dataset) for _ in range(BATCH)))
        assert (await services.observed()).connections > 0
        await until_observed(
            services, lambda observed: observed.subscribers == observed.connections == 0, within=VANISHED_SECONDS
        )
        for abort in silent:
            abort()
