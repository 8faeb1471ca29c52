"""Hostile connections: endless heads and bodies, malformed frames, floods. Other clients are served meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.transport.http.endpoint import HttpLimits
from gateway.transport.http.protocol import HttpProtocol
from gateway.transport.websocket.connection import WebSocketLimits
from tests.conformance.sample_gateway import KEY, Gateway, served
from tests.conformance.sockets import INIT, acknowledged, opened
from tests.conformance.wire import assert_serves, connection, ending
from tests.serving import DEADLINE, eventually


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpProtocol, "head_seconds", 0.2)
    monkeypatch.setattr(HttpProtocol, "linger_seconds", 0.3)


HEADS = [
    b"",
    b"P",
    b"POST /graphql HTTP/1.1\r\nhost: x\r\n",
    b"POST /graphql HTTP/1.1\r\nhost: x\r\nx-endless: aaaa",
]


@pytest.mark.parametrize("head", HEADS)
async def test_head_that_does_not_arrive_times_out(gateway: Gateway, head: bytes) -> None:
    async with connection(gateway) as (reader, writer):
        writer.write(head)
        assert await ending(reader) == b"HTTP/1.1 408 Request Timeout"


async def test_head_that_arrives_byte_by_byte_times_out(gateway: Gateway) -> None:
    async with connection(gateway) as (reader, writer):

        async def drip() -> None:
            writer.write(b"GET /graphql HTTP/1.1\r\nx-slow: ")
            while True:
                writer.write(b"a")
                await asyncio.sleep(0.02)  # slower than the head's time limit of 0.2 s, which the pace must not extend

        dripping = asyncio.create_task(drip())
        # a client that is still sending may lose the response to the reset that follows
        assert await ending(reader) in {b"HTTP/1.1 408 Request Timeout", b""}
        dripping.cancel()


async def test_head_of_a_later_request_times_out(gateway: Gateway) -> None:
    async with connection(gateway) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        writer.write(b"GET /heal")
        assert b"HTTP/1.1 408 Request Timeout" in await reader.read()


async def test_head_that_never_ends_is_refused_for_its_size(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpProtocol, "head_seconds", 30)
    async with connection(gateway) as (reader, writer):
        writer.write(b"GET /graphql HTTP/1.1\r\nhost: x\r\nx-large: ")
        with suppress(ConnectionError):
            for _ in range(200):
                writer.write(b"a" * 10_000)
                await writer.drain()
        assert await ending(reader) in {b"HTTP/1.1 431 Request Header Fields Too Large", b""}
    await assert_serves(gateway)


async def test_request_that_is_not_http_is_refused(gateway: Gateway) -> None:
    for nonsense in (b"\x16\x03\x01\x00\xff", b"GET\r\n\r\n", b"POST /graphql HTTP/1.1\r\ncontent-length: -1\r\n\r\n"):
        async with connection(gateway) as (reader, writer):
            writer.write(nonsense)
            assert await ending(reader) == b"HTTP/1.1 400 Bad Request"
    await assert_serves(gateway)


async def test_slow_and_abandoned_bodies_do_not_delay_other_requests() -> None:
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n"
        "content-length: 1000\r\n\r\n"
    ).encode()
    async with served(http_limits=HttpLimits(body_seconds=0.5)) as gateway:

        async def drip() -> bytes:
            async with connection(gateway) as (reader, writer):
                writer.write(head)

                async def send() -> None:
                    while True:
                        writer.write(b" ")
                        await asyncio.sleep(0.05)  # the pace is under test: no single pause reaches the time limit

                sending = asyncio.create_task(send())
                try:
                    return await ending(reader)
                finally:
                    sending.cancel()

        async def leave() -> None:
            async with connection(gateway) as (_, writer):
                writer.write(head + b'{"query"')
                await writer.drain()

        slow = asyncio.gather(*(drip() for _ in range(50)))
        await asyncio.gather(*(leave() for _ in range(50)))
        await assert_serves(gateway)
        # a client that is still sending may lose the response to the reset that follows
        assert set(await slow) <= {b"HTTP/1.1 408 Request Timeout", b""}
        await eventually(lambda: gateway.registry.requests == 0)


INITIALISATIONS = [
    "",
    "{",
    "[]",
    "null",
    '"connection_init"',
    '{"type": null}',
    '{"type": ["connection_init"]}',
    '{"type": "connection_init", "payload": []}',
    '{"type": "connection_init", "payload": "Bearer"}',
    '{"type": "start"}',
    '{"type": "subscribe", "id": 1, "payload": {}}',
    '{"type": "subscribe", "id": "' + "i" * 300 + '", "payload": {"query": "{ hello }"}}',
    '{"type": "subscribe", "id": "1", "payload": null}',
    '{"type": "complete"}',
    '{"type": "ping", "payload": 1}',
    '{"a":' * 5_000,
    "[" * 10_000,
    '{"type": ' + "9" * 10_000 + "}",
]


@pytest.mark.parametrize("message", INITIALISATIONS, ids=lambda message: message[:50])
async def test_malformed_message_closes_its_websocket_alone(gateway: Gateway, message: str) -> None:
    async with opened(gateway) as socket:
        await socket.connection.send(message)
        code, reason = await socket.close()
        assert code == 4400
        assert reason is not None
        assert reason.startswith("Invalid message received: ")


@pytest.mark.parametrize(
    "payload",
    [
        {"Authorization": 1},
        {"Authorization": ["Bearer"]},
        {"Authorization": ""},
        {"Authorization": "Bearer " + "x" * 20_000},
        {"Authorization": "Basic \u0000"},
        {"Authorization": "Bearer \ud800"},
        {"authorization": {}, "x": None},
        {},
    ],
)
async def test_initialisation_with_a_malformed_credential_is_unauthorized(gateway: Gateway, payload: object) -> None:
    async with opened(gateway) as socket:
        await socket.connection.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert (await socket.close())[0] == 4401


async def test_frame_that_is_too_large_or_not_text_closes_the_websocket(gateway: Gateway) -> None:
    async with acknowledged(gateway) as socket:
        with suppress(ConnectionClosed):
            await socket.connection.send('{"type": "ping", "payload": {"a": "' + "x" * 200_000 + '"}}')
        assert (await socket.close())[0] == 1009
    async with acknowledged(gateway) as socket:
        await socket.connection.send(b"\xff\xfe")
        assert (await socket.close())[0] == 4400
    async with acknowledged(gateway) as socket:
        await socket.connection.send(b"\xff\xfe", text=True)
        assert (await socket.close())[0] == 1007
    await assert_serves(gateway)


async def test_endless_fragments_are_refused_for_their_size(gateway: Gateway) -> None:
    async def fragments() -> AsyncIterator[str]:
        while True:
            yield "x" * 1_000

    async with acknowledged(gateway) as socket:
        with suppress(ConnectionClosed):
            async with asyncio.timeout(DEADLINE):
                await socket.connection.send(fragments())
        assert (await socket.close())[0] == 1009


async def test_thousands_of_operations_on_one_websocket_are_limited() -> None:
    async with (
        served(websocket_limits=WebSocketLimits(operations=20)) as gateway,
        acknowledged(gateway) as socket,
    ):
        for number in range(2_000):
            await socket.subscribe(str(number), "subscription { ticks { place } }")
        refused = await socket.received(1_980)
        assert {message["payload"][0]["extensions"]["code"] for message in refused} == {"RATE_LIMITED"}
        await eventually(lambda: gateway.state.subscribers == 20)
        await assert_serves(gateway)
    await eventually(lambda: gateway.state.subscribers == 0)


async def test_operations_that_are_completed_at_once_leave_nothing_behind(gateway: Gateway) -> None:
    async with acknowledged(gateway) as socket:
        for number in range(500):
            await socket.subscribe(str(number), "subscription { ticks { place } }")
            await socket.send({"type": "complete", "id": str(number)})
        await socket.send({"type": "ping"})
        while (await socket.receive())["type"] != "pong":
            pass
        await eventually(lambda: gateway.state.subscribers == 0 and len(gateway.pipeline.shared_subscriptions) == 0)


async def test_handshake_with_a_giant_header_is_refused(gateway: Gateway) -> None:
    with pytest.raises((InvalidStatus, ConnectionError, EOFError, ConnectionClosed)):
        async with connect(gateway.socket_url, additional_headers={"x-large": "a" * 300_000}, proxy=None):
            pass
    async with opened(gateway) as socket:
        await socket.send(INIT)
        assert await socket.receive() == {"type": "connection_ack"}
