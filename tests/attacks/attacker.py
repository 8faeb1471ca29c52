"""A client that wants to do harm. Each attack is given its own, with an address and a caller of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PATIENCE = 15.0
"""Seconds for which an attacker waits for one answer."""


@dataclass(frozen=True, kw_only=True)
class Attacker:
    """One attacker, who has an account's and an application's key, or uses none."""

    url: str
    address: str
    """Of the loopback network: the gateway sees attackers and others at different ones."""
    account_key: str
    application_key: str
    large_key: str
    """Of an application whose installations have as much metadata as there may be."""
    hidden_key: str
    """Of the account whose log begins with events that it does not see."""

    def key(self, caller: str) -> str:
        """Return the key of a caller; of none for the empty name."""
        key: str = getattr(self, f"{caller}_key") if caller else ""
        return key

    @property
    def host(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    async def post(self, query: str, variables: Any = None, *, key: str | None = None) -> set[str]:
        """Send an operation, by default with the account's key, and return its outcome."""
        body = {"query": query} | ({} if variables is None else {"variables": variables})
        return await self.send(request(json.dumps(body).encode(), key=self.account_key if key is None else key))

    async def data(self, query: str, *, key: str) -> Any:
        """Return the data of an operation that is no attack."""
        async with self.connection() as (reader, writer):
            writer.write(request(json.dumps({"query": query}).encode(), key=key))
            return json.loads((await answer(reader))[1])["data"]

    async def send(self, *requests: bytes) -> set[str]:
        """Send requests over one connection, each after the answer to the last, and return their outcomes."""
        found: set[str] = set()
        async with self.connection() as (reader, writer):
            for each in requests:
                with suppress(ConnectionError):  # it may have answered and closed before it has read all
                    writer.write(each)
                    await writer.drain()
                try:
                    async with asyncio.timeout(PATIENCE):
                        found |= outcome(*await answer(reader))
                except (ConnectionError, asyncio.IncompleteReadError):
                    return found | {"closed"}
                except TimeoutError:
                    return found | {"no answer"}
        return found

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(*self.host, local_addr=(self.address, 0), limit=2**20)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def exchange(self, *pieces: bytes) -> set[str]:
        """Send bytes over a connection of its own, and return the statuses of the answers, up to its end."""
        async with self.connection() as (reader, writer):
            reading = asyncio.create_task(statuses(reader))
            with suppress(ConnectionError):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
            return await reading

    @asynccontextmanager
    async def socket(self, *, key: str | None = None) -> AsyncIterator[ClientConnection]:
        """Open a WebSocket; with a key, initialise it."""
        async with connect(
            self.url.replace("http", "ws", 1), subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None,
            ping_interval=None, max_size=None, local_addr=(self.address, 0), close_timeout=1, compression=None,
        ) as socket:  # fmt: skip
            if key is not None:
                payload = {"Authorization": f"Bearer {key}"}
                await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
                assert json.loads(await socket.recv()) == {"type": "connection_ack"}
            yield socket


def body_of(query: str) -> bytes:
    return json.dumps({"query": query}).encode()


def request(body: bytes, *lines: str, key: str = "", method: str = "POST", path: str = "/graphql") -> bytes:
    """Return a request with a body of JSON."""
    authorization = [f"Authorization: Bearer {key}"] if key else []
    length = f"Content-Length: {len(body)}"
    return head(*authorization, length, *lines, method=method, path=path) + body


def head(*lines: str, method: str = "POST", path: str = "/graphql") -> bytes:
    first = (f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json")
    return "\r\n".join([*first, *lines, "", ""]).encode()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one answer that has a length."""
    first, *fields = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    [length] = [int(field[15:]) for field in fields if field.startswith(b"content-length:")]
    return int(first.split()[1]), await reader.readexactly(length)


async def statuses(reader: asyncio.StreamReader) -> set[str]:
    """Read until the gateway closes, and return the statuses of its answers."""
    received = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            while piece := await reader.read(2**20):
                received += piece
    except ConnectionError:
        pass
    except TimeoutError:
        return {"open"}
    found = {line.split()[1].decode() for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")}
    return found or {"closed"}


async def until_closed(socket: ClientConnection) -> set[str]:
    """Read a WebSocket to its end, and return the codes of its errors and its close code."""
    codes: set[str] = set()
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                message = json.loads(await socket.recv())
                if message["type"] == "error":
                    codes |= _codes(message["payload"])
    except ConnectionClosed as closed:
        return codes | {str(closed.rcvd.code if closed.rcvd else "closed")}


def outcome(status: int, body: bytes) -> set[str]:
    """Return the codes of an answer's errors, or OK; of one that is no GraphQL answer its status."""
    with suppress(ValueError):
        content = json.loads(body)
        if isinstance(content, dict) and (errors := content.get("errors")):
            return _codes(errors)
        if isinstance(content, dict) and "data" in content:
            return {"OK"}
    return {str(status)}


def _codes(errors: Iterable[Any]) -> set[str]:
    return {error["extensions"]["code"] for error in errors}


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One attack, and which outcomes an unharmed gateway gives it: codes of errors, HTTP statuses or close codes."""

    name: str
    run: Callable[[Attacker], Awaitable[set[str]]]
    outcomes: frozenset[str]
    """Besides RATE_LIMITED, which any of them may end in."""


Attacks = list[Attack]


def attack(into: Attacks, *outcomes: str) -> Callable[[Callable[[Attacker], Awaitable[set[str]]]], Any]:
    """Add a function to a table of attacks, under its name."""

    def added(run: Callable[[Attacker], Awaitable[set[str]]]) -> Callable[[Attacker], Awaitable[set[str]]]:
        into.append(Attack(name=run.__name__.replace("_", " "), run=run, outcomes=frozenset(outcomes)))
        return run

    return added


async def gathered(*runs: Awaitable[set[str]]) -> set[str]:
    """Run concurrently, and return all outcomes."""
    return set[str]().union(*await asyncio.gather(*runs))
