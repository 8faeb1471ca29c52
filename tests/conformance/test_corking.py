"""The corked transport of WebSockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.transport.websocket.protocol import CorkedTransport


class Counting(asyncio.Transport):
    """Passes on to a real transport, and knows how often it was asked to write."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self.within = transport
        self.writes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes += 1
        self.within.write(data)

    def is_closing(self) -> bool:
        return self.within.is_closing()

    def close(self) -> None:
        self.within.close()

    def abort(self) -> None:
        self.within.abort()


@asynccontextmanager
async def line() -> AsyncIterator[tuple[CorkedTransport, Counting, asyncio.StreamReader]]:
    """Two ends of one connection: a corked one, and one that reads."""
    near, far = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=near)
    reader, writer = await asyncio.open_connection(sock=far)
    counting = Counting(transport)
    yield CorkedTransport(counting), counting, reader
    transport.abort()
    writer.close()


async def test_writes_of_one_turn_go_out_in_one_piece() -> None:
    async with line() as (corked, counting, reader):
        for word in (b"one ", b"two ", b"three"):
            corked.write(word)
        assert await reader.readexactly(13) == b"one two three"
        assert counting.writes == 1
        corked.write(b" four")
        assert await reader.readexactly(5) == b" four"


async def test_large_writes_do_not_wait_for_the_end_of_the_turn() -> None:
    async with line() as (corked, counting, _):
        for _ in range(200):
            corked.write(bytes(1_000))
        assert counting.writes == 3


async def test_close_sends_what_is_corked() -> None:
    async with line() as (corked, _, reader):
        corked.write(b"last words")
        corked.close()
        assert await reader.read() == b"last words"


@pytest.mark.parametrize("lost", ["by us", "by them"])
async def test_nothing_is_written_to_a_closed_transport(lost: str, caplog: pytest.LogCaptureFixture) -> None:
    async with line() as (corked, counting, reader):
        corked.write(b"never read")
        if lost == "by us":
            corked.abort()
        else:
            counting.within.abort()
        assert await reader.read() == b""
        await asyncio.sleep(0)
        assert counting.writes == 0
        assert not caplog.records
