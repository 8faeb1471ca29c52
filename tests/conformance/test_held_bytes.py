"""The bytes that the gateway holds for each caller: what it has not sent completely, and what it does not read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest
from websockets.exceptions import ConnectionClosed

from gateway.transport.peers import PeerLimits
from gateway.transport.websocket.close_codes import TOO_MUCH_UNFINISHED
from tests.conformance.sample_gateway import LARGE_BYTES, Gateway, served
from tests.conformance.sockets import SocketClient, acknowledged
from tests.conformance.test_peers import LARGE
from tests.conformance.wire import answer, assert_serves, connection, ending, head, request
from tests.serving import eventually

UNFINISHED_HEAD = head(key=None, x_long="a" * 50_000)[:-4]
ANSWERS = {b"HTTP/1.1 429 Too Many Requests", b"HTTP/1.1 503 Service Unavailable", b""}
"""503 where the credential shows whose bytes they are, and none behind another request."""


@pytest.mark.parametrize(
    "unfinished",
    [
        UNFINISHED_HEAD,
        head(key=None, content_length=90_000) + b"x" * 50_000,
        head(content_length=90_000) + b"x" * 50_000,
        head(transfer_encoding="chunked") + b"ffff\r\n" + b"x" * 50_000,
        request("{ gated }") + request("{ hello }" + " " * 50_000),
    ],
    ids=["head", "body without a key", "body", "chunk", "request behind another"],
)
async def test_unfinished_requests_are_limited_for_each_caller(gateway: Gateway, unfinished: bytes) -> None:
    peers = gateway.registry.peers
    peers.limits = PeerLimits(held_bytes=180_000)
    async with AsyncExitStack() as stack:
        endings = []
        for _ in range(8):
            reader, writer = await stack.enter_async_context(connection(gateway))
            writer.write(unfinished)
            endings.append(asyncio.create_task(ending(reader)))
        await eventually(lambda: peers.closed["unfinished"] >= 5)
        assert sum(peers._held.values()) < 180_000
        await assert_serves(gateway)
        await eventually(lambda: sum(each.done() for each in endings) >= 5)
        assert {each.result() for each in endings if each.done()} <= ANSWERS
    gateway.state.gate.set()
    await eventually(lambda: not peers._held)


async def test_who_holds_little_is_not_refused_for_what_others_hold(gateway: Gateway) -> None:
    peers = gateway.registry.peers
    peers.limits = PeerLimits(held_bytes_of_all=180_000)

    async def hold(address: str, *, stack: AsyncExitStack) -> None:
        _, writer = await stack.enter_async_context(connection(gateway, local_addr=(address, 0)))
        writer.write(UNFINISHED_HEAD)

    async with AsyncExitStack() as stack:
        for _ in range(3):
            await hold("127.0.0.9", stack=stack)
        await eventually(lambda: sum(peers._held.values()) > 150_000)
        await hold("127.0.0.8", stack=stack)
        await eventually(lambda: sum(peers._held.values()) > 200_000)
        assert not peers.closed
        await hold("127.0.0.9", stack=stack)
        await eventually(lambda: peers.closed == {"unfinished": 1})


async def test_request_that_arrives_in_pieces_is_counted_until_it_is_complete(gateway: Gateway) -> None:
    peers = gateway.registry.peers
    async with connection(gateway) as (reader, writer):
        for _ in range(3):
            whole = request("{ hello }" + " " * 50_000, x_long="a" * 20_000)
            for part in (whole[:10_000], whole[10_000:40_000], whole[40_000:]):
                assert not peers._held or part is not whole[:10_000]
                writer.write(part)
                await writer.drain()
                if part is not whole[40_000:]:
                    await eventually(lambda: sum(peers._held.values()) >= 10_000)
            assert (await answer(reader))[0] == 200
            assert not peers._held


async def test_unfinished_messages_are_limited_for_each_caller(gateway: Gateway) -> None:
    peers = gateway.registry.peers
    peers.limits = PeerLimits(held_bytes=300_000)

    async def closed_with(socket: SocketClient) -> tuple[int | None, str | None]:
        async def fragments() -> AsyncIterator[str]:
            yield '"' + "a" * 90_000
            await socket.connection.wait_closed()

        with suppress(ConnectionClosed):
            await socket.connection.send(fragments())
        return await socket.close()

    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(acknowledged(gateway)) for _ in range(8)]
        sending = [asyncio.create_task(closed_with(socket)) for socket in sockets]
        await eventually(lambda: sum(task.done() for task in sending) >= 5)
        assert {await task for task in sending if task.done()} == {TOO_MUCH_UNFINISHED}
        assert peers.closed.keys() == {"unfinished"}
        await assert_serves(gateway)
        for task in sending:
            task.cancel()
    await eventually(lambda: not peers._held)


async def test_message_that_the_gateway_has_not_taken_is_counted(gateway: Gateway) -> None:
    peers = gateway.registry.peers
    async with acknowledged(gateway, max_queue=1) as socket:
        socket.connection.transport.pause_reading()
        for number in range(4):
            await socket.subscribe(str(number), "{ padding(size: 7000000) }")
        await eventually(lambda: peers._held)
        for _ in range(3):  # the answer to the first waits until the client reads
            await socket.send({"type": "ping"})
        before = sum(peers._held.values())
        await socket.send({"type": "ping", "payload": {"a": "x" * 900}})
        await eventually(lambda: sum(peers._held.values()) > before + 900)
        socket.connection.transport.abort()
    await eventually(lambda: not peers._held)


async def test_client_that_reads_no_answers_begins_few_operations(gateway: Gateway) -> None:
    async with acknowledged(gateway, max_queue=1) as socket:
        socket.connection.transport.pause_reading()
        for number in range(50):
            await socket.subscribe(str(number), "{ padding(size: 7000000) }")
        await eventually(lambda: gateway.registry.peers._held)
        async with acknowledged(gateway) as other:
            await other.subscribe("1", "{ hello }")
            assert (await other.receive())["type"] == "next"
        assert len(gateway.state.prepared) < 15
        socket.connection.transport.abort()
    await eventually(lambda: not gateway.registry.peers._held)


async def test_answers_that_websockets_do_not_read_are_limited_for_each_caller(gateway: Gateway) -> None:
    peers = gateway.registry.peers
    peers.limits = PeerLimits(held_bytes=20_000_000)
    async with AsyncExitStack() as stack:
        for _ in range(3):
            socket = await stack.enter_async_context(acknowledged(gateway, max_queue=1))
            stack.callback(socket.connection.transport.abort)
            socket.connection.transport.pause_reading()
            for number in range(6):
                await socket.subscribe(str(number), "{ padding(size: 7000000) }")
        await eventually(lambda: peers.closed["unread"])
        await eventually(lambda: sum(peers._held.values()) <= 20_000_000)
        await assert_serves(gateway)
    await eventually(lambda: not peers._held)


async def test_operations_of_one_caller_run_some_at_a_time(gateway: Gateway) -> None:
    async with AsyncExitStack() as stack:
        readers = []
        for _ in range(40):
            reader, writer = await stack.enter_async_context(connection(gateway))
            writer.write(request("{ gated }"))
            readers.append(reader)
        await eventually(lambda: gateway.registry.requests == 40)
        reader, writer = await stack.enter_async_context(connection(gateway))
        writer.write(request("{ __typename }", key=None))
        assert (await answer(reader))[0] == 200
        assert len(gateway.state.prepared) == 32  # an anonymous caller has nothing to prepare
        gateway.state.gate.set()
        for reader in readers:
            assert (await answer(reader))[0] == 200


async def test_operation_does_not_wait_longer_for_its_turn_than_it_may_run() -> None:
    async with served(operation_seconds=0.5) as gateway, AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(connection(gateway)) for _ in range(70)]
        for _, writer in streams:  # together: those that come half a second later have their own time
            writer.write(request("{ gated }"))
        answers = [await answer(reader) for reader, _ in streams]
        unstarted = [body for _, body in answers if b"did not begin within 0.5 seconds" in body]
        assert len(unstarted) >= 70 - 2 * 32
        assert all(b'"TIMEOUT"' in body for _, body in answers)


async def test_kernel_holds_little_of_an_unread_answer(gateway: Gateway) -> None:
    async with connection(gateway, limit=1_000) as (_, writer):
        writer.write(LARGE)
        await eventually(lambda: gateway.registry.peers._held)
        assert sum(gateway.registry.peers._held.values()) > LARGE_BYTES - 2_000_000


async def test_unread_answers_of_one_caller_are_limited(gateway: Gateway) -> None:
    gateway.registry.peers.limits = PeerLimits(held_bytes=50_000_000)
    async with AsyncExitStack() as stack:
        for _ in range(8):
            _, writer = await stack.enter_async_context(connection(gateway, limit=1_000))
            writer.write(request("{ hello }") + LARGE)
        await eventually(lambda: gateway.registry.peers.closed["unread"] >= 5)
        await eventually(lambda: 0 < sum(gateway.registry.peers._held.values()) <= 50_000_000)
        await assert_serves(gateway)
    await eventually(lambda: gateway.registry.peers.connections == 0)
    assert not gateway.registry.peers._held
