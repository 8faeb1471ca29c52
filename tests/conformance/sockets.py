"""A client of graphql-transport-ws that sends exactly the messages of a test."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.conformance.sample_gateway import KEY, Gateway
from tests.serving import DEADLINE

INIT = {"type": "connection_init", "payload": {"Authorization": f"Bearer {KEY}"}}


class SocketClient:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            await self.connection.send(json.dumps(message))

    async def subscribe(self, identifier: str, query: str, **parameters: Any) -> None:
        await self.send({"type": "subscribe", "id": identifier, "payload": {"query": query, **parameters}})

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE):
            message: dict[str, Any] = json.loads(await self.connection.recv())
        return message

    async def received(self, count: int) -> list[dict[str, Any]]:
        return [await self.receive() for _ in range(count)]

    async def close(self) -> tuple[int | None, str | None]:
        """Wait until the gateway closes; return its code and reason."""
        async with asyncio.timeout(DEADLINE):
            try:
                while True:
                    await self.connection.recv()
            except ConnectionClosed:
                return self.connection.close_code, self.connection.close_reason


@asynccontextmanager
async def opened(
    gateway: Gateway, *, subprotocol: str = "graphql-transport-ws", **options: Any
) -> AsyncIterator[SocketClient]:
    async with connect(
        gateway.socket_url, subprotocols=[Subprotocol(subprotocol)], proxy=None, ping_interval=None, **options
    ) as connection:
        yield SocketClient(connection)


@asynccontextmanager
async def acknowledged(gateway: Gateway, **options: Any) -> AsyncIterator[SocketClient]:
    async with opened(gateway, **options) as socket:
        await socket.send(INIT)
        assert await socket.receive() == {"type": "connection_ack"}
        yield socket
