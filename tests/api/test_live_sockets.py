"""Live subscriptions over WebSocket: their frames are written to the socket without a task."""

import asyncio
import json
from collections.abc import Iterator

import pytest
import websockets
from websockets.frames import Frame, Opcode

from gateway.domain.principals import PrincipalKind
from gateway.execution.encoding import Payload
from gateway.transport.websocket.connection import Operation, WebSocketConnection
from gateway.transport.websocket.messages import next_frames, next_head
from tests.api.conftest import Client, Served
from tests.postgres.event_rows import EventSource, until, write

VERSIONS = "subscription { installationEvents { version } }"
IDS = ("1", "7a1b5e0c-3c1f-4f8e-9d0e-6f2f7f0f4b1d", 'ein "Gerät" \u2603')


def operations(served: Served) -> Iterator[Operation]:
    for connection in served.registry.connections:
        assert isinstance(connection, WebSocketConnection)
        yield from connection._operations.values()


async def until_live(served: Served, *, count: int) -> None:
    await until(lambda: [each.task for each in operations(served)] == [None] * count)


async def subscribe(socket: websockets.ClientConnection, identifier: str) -> None:
    await socket.send(json.dumps({"type": "subscribe", "id": identifier, "payload": {"query": VERSIONS}}))


def next_text(identifier: str, version: int) -> str:
    shown = json.dumps(identifier, ensure_ascii=False)
    return f'{{"type":"next","id":{shown},"payload":{{"data":{{"installationEvents":{{"version":{version}}}}}}}}}'


async def received(socket: websockets.ClientConnection, count: int) -> set[str]:
    async with asyncio.timeout(30):
        return {str(await socket.recv()) for _ in range(count)}


@pytest.fixture
async def platform(served: Served) -> Client:
    return await served.key(PrincipalKind.PLATFORM)


async def test_live_subscriptions_of_one_socket_have_no_task_and_their_own_ids(
    served: Served, platform: Client
) -> None:
    source = EventSource()
    async with platform.subscription(VERSIONS) as first:
        for identifier in IDS[1:]:
            await subscribe(first.socket, identifier)
        await until_live(served, count=3)
        await write(served.services.database, source.next())
        assert await received(first.socket, 3) == {next_text(identifier, 1) for identifier in IDS}
        assert [each.task for each in operations(served)] == [None] * 3

        await first.socket.send(json.dumps({"type": "complete", "id": IDS[1]}))
        await until_live(served, count=2)
        await write(served.services.database, source.next())
        assert await received(first.socket, 2) == {next_text(identifier, 2) for identifier in (IDS[0], IDS[2])}

        await subscribe(first.socket, IDS[1])
        await until_live(served, count=3)
        await write(served.services.database, source.next())
        assert await received(first.socket, 3) == {next_text(identifier, 3) for identifier in IDS}


async def test_live_subscription_of_a_closed_socket_is_closed(served: Served, platform: Client) -> None:
    async with platform.subscription(VERSIONS) as stays:
        async with platform.subscription(VERSIONS) as leaves:
            await until_live(served, count=2)
            leaves.socket.transport.abort()
            await until_live(served, count=1)
        await write(served.services.database, EventSource().next())
        assert await received(stays.socket, 1) == {next_text("1", 1)}


@pytest.mark.parametrize("size", [60, 125, 126, 127, 65_535, 65_536, 200_000])
def test_frame_is_that_of_the_websocket_library(size: int) -> None:
    head = next_head("1").encode()
    bodies = [b"x" * (size - len(head) - 1), b"{}"]
    texts = [head + body + b"}" for body in bodies]
    assert len(texts[0]) == size
    frames = next_frames(head, [Payload(body=body, text=body.decode(), cursor=None) for body in bodies])
    assert frames == b"".join(Frame(Opcode.TEXT, text).serialize(mask=False) for text in texts)
