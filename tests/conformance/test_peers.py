"""What a peer may make the gateway hold: trailers, bodies, requests sent ahead, answers that it does not read."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest
from websockets.exceptions import ConnectionClosed

from gateway.transport.http.protocol import HttpProtocol
from gateway.transport.peers import PeerLimits
from tests.conformance.sample_gateway import LARGE_BYTES, Gateway, served
from tests.conformance.sockets import acknowledged, opened
from tests.conformance.wire import answer, assert_serves, connection, ending, head, request, sent_until_closed
from tests.serving import DEADLINE, eventually

MUCH = 40_000_000
"""More than the buffers of both sockets take."""
MASKED_EMPTY_MESSAGE = b"\x81\x80\0\0\0\0"
LARGE = b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpProtocol, "linger_seconds", 0.3)


UNANSWERED, REFUSED, UNKNOWN = (
    head(transfer_encoding="chunked"),
    head(key="igw_unknown", transfer_encoding="chunked"),
    head(path="/nothing", transfer_encoding="chunked"),
)


@pytest.mark.parametrize("opening", [UNANSWERED, REFUSED, UNKNOWN], ids=["body", "401", "404"])
@pytest.mark.parametrize("piece", [b"x: y\r\n" * 2_000, b"a" * 10_000], ids=["many", "one that never ends"])
async def test_trailers_are_limited(gateway: Gateway, opening: bytes, piece: bytes) -> None:
    tracemalloc.start()
    try:
        async with connection(gateway) as (_, writer):
            writer.write(opening + b"2\r\n{}\r\n0\r\nx-first: ")
            assert await sent_until_closed(writer, piece, most=MUCH) < MUCH
        assert tracemalloc.get_traced_memory()[1] < MUCH / 2
    finally:
        tracemalloc.stop()
    await assert_serves(gateway)


async def test_trailers_are_not_taken_for_headers(gateway: Gateway) -> None:
    async with connection(gateway) as (reader, writer):
        body = b'{"query": "{ hello }"}'
        chunk = b"%x\r\n%s\r\n0\r\nx-trailer: 1\r\n\r\n" % (len(body), body)
        for _ in range(2):
            writer.write(head(transfer_encoding="chunked") + chunk)
            assert await answer(reader) == (200, b'{"data":{"hello":"Hello, world!"}}')


@pytest.mark.parametrize(
    "opening",
    [
        head(key="igw_unknown", content_length=500_000),
        head(path="/nothing", content_length=500_000),
        head(content_length=5_000_000),
        head(content_length=500_000).replace(b"/json", b"/xml"),
        head(key="igw_unknown", transfer_encoding="chunked"),
    ],
    ids=["401", "404", "413", "415", "chunked"],
)
async def test_connection_that_was_answered_before_its_body_arrived_is_closed(gateway: Gateway, opening: bytes) -> None:
    async with connection(gateway) as (reader, writer):
        writer.write(opening)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 4")

        async def trickle() -> None:
            while True:
                writer.write(b"1\r\n \r\n")
                await asyncio.sleep(0.02)  # the pace is under test: it must not extend the time for the rest

        trickling = asyncio.create_task(trickle())
        async with asyncio.timeout(DEADLINE):
            with suppress(ConnectionError):
                await reader.read()
        trickling.cancel()


async def test_endless_body_after_its_answer_is_not_read(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpProtocol, "linger_seconds", DEADLINE)
    async with connection(gateway) as (_, writer):
        writer.write(head(key="igw_unknown", content_length=MUCH))
        assert await sent_until_closed(writer, b" " * 100_000, most=MUCH) < MUCH


async def test_client_that_writes_its_body_first_reads_the_refusal_and_goes_on(gateway: Gateway) -> None:
    async with connection(gateway) as (reader, writer):
        for refused in (head(key="igw_unknown", content_length=900_000), head(path="/nothing", content_length=900_000)):
            writer.write(refused)
            for _ in range(9):
                writer.write(b" " * 100_000)
                await writer.drain()
            assert (await answer(reader))[0] in {401, 404}
        writer.write(request("{ hello }"))
        assert await answer(reader) == (200, b'{"data":{"hello":"Hello, world!"}}')


async def test_idle_connection_is_closed_though_empty_lines_arrive() -> None:
    async with served(keep_alive=0.3) as gateway, connection(gateway) as (reader, writer):
        writer.write(request("{ hello }"))
        assert (await answer(reader))[0] == 200

        async def send() -> None:
            while True:
                writer.write(b"\r\n")
                await asyncio.sleep(0.02)  # shorter than the limit of 0.3 s, which these must not extend

        sending = asyncio.create_task(send())
        async with asyncio.timeout(DEADLINE):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        sending.cancel()


async def test_requests_sent_ahead_are_limited(gateway: Gateway) -> None:
    async with connection(gateway) as (reader, writer):
        writer.write(request("{ hello }") * 10)
        for _ in range(10):
            assert (await answer(reader))[0] == 200
        writer.write(b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n" * 1_000)
        async with asyncio.timeout(DEADLINE):
            answers = b""
            with suppress(ConnectionError):
                answers = await reader.read()
        assert answers.count(b"HTTP/1.1") < 100
    await assert_serves(gateway)


async def test_header_fields_are_limited(gateway: Gateway) -> None:
    async with connection(gateway) as (reader, writer):
        writer.write(b"GET /graphql HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 1_000 + b"\r\n")
        assert await ending(reader) == b"HTTP/1.1 431 Request Header Fields Too Large"


async def test_upgrade_with_a_body_is_refused(gateway: Gateway) -> None:
    async with connection(gateway) as (reader, writer):
        writer.write(
            b"GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"content-length: 100000\r\n\r\n"
        )
        assert await ending(reader) == b""
    await eventually(lambda: not gateway.registry.peers.connections)


async def _read_slowly(reader: asyncio.StreamReader) -> int:
    size = 0
    with suppress(ConnectionError):
        while piece := await reader.read(1_000):
            size += len(piece)
            await asyncio.sleep(0.01)  # the pace of a slow reader is under test
    return size


async def test_answer_that_is_not_read_is_dropped(gateway: Gateway) -> None:
    gateway.registry.peers.limits = PeerLimits(stalled_seconds=0.2, bytes_per_second=100_000_000)
    async with connection(gateway, limit=1_000) as (reader, writer):
        writer.write(LARGE)
        await eventually(lambda: gateway.registry.peers.closed["stalled"])
        await eventually(lambda: not gateway.registry.peers.connections)
        async with asyncio.timeout(DEADLINE):
            with suppress(ConnectionError):
                assert len(await reader.read()) < LARGE_BYTES
    await assert_serves(gateway)


async def test_answer_that_is_read_at_a_trickle_is_dropped(gateway: Gateway) -> None:
    gateway.registry.peers.limits = PeerLimits(stalled_seconds=0.2, bytes_per_second=100_000_000)
    async with connection(gateway, limit=1_000) as (reader, writer):
        writer.write(LARGE)
        reading = asyncio.create_task(_read_slowly(reader))
        await eventually(lambda: gateway.registry.peers.closed["stalled"])
        reading.cancel()


async def test_answer_that_is_read_at_the_least_rate_arrives(gateway: Gateway) -> None:
    gateway.registry.peers.limits = PeerLimits(stalled_seconds=0, bytes_per_second=1_000_000)
    async with connection(gateway) as (reader, writer):
        writer.write(LARGE)
        assert (await answer(reader))[0] == 200


async def test_no_further_request_is_read_while_an_answer_is_not(gateway: Gateway) -> None:
    async with connection(gateway, limit=1_000) as (_, writer):
        writer.write(LARGE + request("mutation { change }"))
        await eventually(lambda: gateway.registry.peers._held)
        writer.write(request("mutation { change }"))
        await assert_serves(gateway)
        assert gateway.state.mutations == 0


async def test_connections_without_a_credential_are_limited_for_each_address(gateway: Gateway) -> None:
    gateway.registry.peers.limits = PeerLimits(unauthenticated=3)
    async with connection(gateway) as (reader, writer):
        writer.write(request("{ hello }"))
        await answer(reader)
        async with AsyncExitStack() as stack:
            idle = [await stack.enter_async_context(connection(gateway)) for _ in range(4)]
            assert await ending(idle[0][0]) == b"HTTP/1.1 503 Service Unavailable"
            other = await stack.enter_async_context(connection(gateway, local_addr=("127.0.0.9", 0)))
            for open_reader, open_writer in (*idle[1:], (reader, writer), other):
                open_writer.write(request("{ hello }"))
                assert (await answer(open_reader))[0] == 200
        assert gateway.registry.peers.closed == {"too_many_of_address": 1}


async def test_connections_are_limited_in_all(gateway: Gateway) -> None:
    gateway.registry.peers.limits = PeerLimits(connections=3)
    async with AsyncExitStack() as stack:
        held = [await stack.enter_async_context(connection(gateway)) for _ in range(3)]
        for reader, writer in held[1:]:
            writer.write(request("{ hello }"))
            await answer(reader)
        reader, writer = await stack.enter_async_context(connection(gateway))
        writer.write(request("{ hello }"))
        assert (await answer(reader))[0] == 200, "the connection without a credential gives way"
        assert await ending(held[0][0]) == b"HTTP/1.1 503 Service Unavailable"
        refused, _ = await stack.enter_async_context(connection(gateway))
        assert await ending(refused) == b"HTTP/1.1 503 Service Unavailable"
    await eventually(lambda: not gateway.registry.peers.connections)
    await assert_serves(gateway)


async def test_websocket_without_a_credential_gives_way(gateway: Gateway) -> None:
    gateway.registry.peers.limits = PeerLimits(connections=2)
    async with acknowledged(gateway) as first, opened(gateway) as waiting, acknowledged(gateway) as second:
        assert await waiting.close() == (1006, "")
        for socket in (first, second):
            await socket.send({"type": "ping"})
            assert await socket.receive() == {"type": "pong"}
    await eventually(lambda: not gateway.registry.peers.connections)


NESTED = '{"type":"ping","payload":{"a":' + "[" * 490 + "]" * 490 + "}}"


@pytest.mark.parametrize(
    ("message", "codes"),
    [
        ('{"type":"ping","payload":{"a":"' + "x" * 2_000 + '"}}', {4400}),
        ('{"type":"pong","payload":{"a":"' + "x" * 2_000 + '"}}', {4400}),
        ('{"type":"complete","id":"1","payload":"' + "x" * 2_000 + '"}', {4400}),
        ('{"type":"ping","payload":{"a":' + "[" * 900 + "]" * 900 + "}}", {4400}),
        ('{"type":"ping","payload":{"a":"' + "x" * 90_000 + '"}}', {1009}),
        ('{"type":"subscribe","id":"1","payload":{"query":"' + "x" * 90_000 + '"}}', {1009}),
        ('{"type":"connection_init","payload":{"a":' + "[" * 900 + "]" * 900 + "}}", {4401}),
        ('{"type":"complete","id":"1"}', {4401}),
    ],
    ids=lambda message: str(message)[:30],
)
async def test_message_before_the_acknowledgement_is_small(
    gateway: Gateway, message: str, codes: set[int], caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(gateway) as socket:
        await socket.connection.send(message)
        assert (await socket.close())[0] in codes
    assert caplog.records == []


async def test_ping_that_is_nested_is_answered_or_refused(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    async with acknowledged(gateway) as socket:
        await socket.connection.send(NESTED)
        with suppress(ConnectionClosed):
            assert (await socket.receive())["type"] == "pong"
    assert socket.connection.close_code in {1000, 4400}
    assert caplog.records == []


@pytest.mark.parametrize("kind", ["ping", "pong"])
async def test_pings_are_limited(gateway: Gateway, kind: str) -> None:
    async with acknowledged(gateway) as socket:
        with suppress(ConnectionClosed):
            for _ in range(200):
                await socket.send({"type": kind})
        assert await socket.close() == (4400, "More than 20 pings and pongs in a second")


async def test_pings_of_the_protocol_are_limited(gateway: Gateway) -> None:
    async with acknowledged(gateway) as socket:
        with suppress(ConnectionClosed):
            for _ in range(1_000):
                await socket.connection.ping()
        assert (await socket.close())[0] == 1006
    assert gateway.registry.peers.closed == {"too_large": 1}
    await assert_serves(gateway)


async def test_messages_after_the_close_are_not_read(gateway: Gateway) -> None:
    async with opened(gateway) as socket:
        raw = socket.connection.transport
        raw.write(MASKED_EMPTY_MESSAGE * 100_000)  # the first one closes the connection
        await socket.connection.wait_closed()
        assert socket.connection.close_code == 4400
    await eventually(lambda: gateway.registry.connections == frozenset())
    await assert_serves(gateway)


async def test_larger_messages_are_accepted_after_the_acknowledgement(gateway: Gateway) -> None:
    async with acknowledged(gateway) as socket:
        await socket.subscribe("1", "{ hello }" + " " * 90_000)
        assert (await socket.receive())["type"] == "next"


async def test_empty_fragments_are_limited(gateway: Gateway) -> None:
    async def fragments() -> AsyncIterator[str]:
        yield '{"type":'
        for _ in range(20_000):
            yield ""

    async with acknowledged(gateway) as socket:
        with suppress(ConnectionClosed):
            async with asyncio.timeout(DEADLINE):
                await socket.connection.send(fragments())
        assert (await socket.close())[0] == 1006
    assert gateway.registry.peers.closed == {"too_large": 1}


@pytest.mark.parametrize("member", ["variables", "extensions"])
async def test_request_that_is_nested_as_deep_as_json_is_read_has_an_error(
    gateway: Gateway, member: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("ERROR")
    query = "query ($value: JSON!) { echo(value: $value) }"
    for levels in (250, 400, 600, 900, 950):
        nested = "[" * levels + "]" * levels
        payload = f'{{"query":{json.dumps(query)},"{member}":{{"value":{nested}}}}}'
        async with connection(gateway) as (reader, writer):
            writer.write(head(content_length=len(payload)) + payload.encode())
            status, body = await answer(reader)
            assert status in {200, 400}
            assert body.startswith((b'{"data"', b'{"errors"'))
        async with acknowledged(gateway) as socket:
            await socket.connection.send(f'{{"type":"subscribe","id":"1","payload":{payload}}}')
            with suppress(ConnectionClosed):
                assert (await socket.receive())["type"] in {"next", "error"}
        assert socket.connection.close_code in {1000, 4400}
    assert caplog.records == []
