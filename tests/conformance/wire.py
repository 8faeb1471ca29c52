"""Plain TCP connections to a gateway, for what no HTTP client would send."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.conformance.sample_gateway import KEY, Gateway
from tests.serving import DEADLINE, http_client

HEADERS = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}


def request(query: str, *, key: str | None = KEY, path: str = "/graphql", **headers: Any) -> bytes:
    """Return a POST with its body; headers are added, or replaced by their names with underscores."""
    body = json.dumps({"query": query}).encode()
    return head(key=key, path=path, **{"content_length": len(body), **headers}) + body


def head(*, key: str | None = KEY, path: str = "/graphql", **headers: Any) -> bytes:
    """Return the head of a POST."""
    lines = [f"POST {path} HTTP/1.1", "host: x", "content-type: application/json"]
    lines += [] if key is None else [f"authorization: Bearer {key}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


@asynccontextmanager
async def connection(
    gateway: Gateway, **options: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*gateway.address, **options)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def ending(reader: asyncio.StreamReader) -> bytes:
    """Wait until the gateway closes; return the status line of its response."""
    async with asyncio.timeout(DEADLINE):
        with suppress(ConnectionError):
            return (await reader.read()).partition(b"\r\n")[0]
    return b""


async def assert_serves(gateway: Gateway) -> None:
    async with http_client(headers=HEADERS) as client:
        answer = await client.post(gateway.url, json={"query": "{ hello }"})
        assert answer.json() == {"data": {"hello": "Hello, world!"}}


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one response; return its status and body."""
    async with asyncio.timeout(DEADLINE):
        lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        (size,) = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
        return int(lines[0].split()[1]), await reader.readexactly(size)


async def sent_until_closed(writer: asyncio.StreamWriter, piece: bytes, *, most: int) -> int:
    """Send a piece again and again; return the bytes that went out before the gateway closed, or `most`."""
    sent = 0
    with suppress(ConnectionError):
        async with asyncio.timeout(DEADLINE):
            while sent < most:
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
    return sent
