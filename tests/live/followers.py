"""Clients that follow over either transport, and come back by cursor whatever ends their connection."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from gateway.domain.event_filters import EventFilter

EVENTS = """subscription ($filter: InstallationEventFilter, $after: String) {
  events: installationEvents(filter: $filter, after: $after) { cursor installationId version }
}"""
STATUS_CHANGES = """subscription ($installationId: ID, $applicationId: ID, $accountId: ID, $after: String) {
  events: installationStatusChanged(
    installationId: $installationId, applicationId: $applicationId, accountId: $accountId, after: $after
  ) { cursor installationId version }
}"""
PAUSE_SECONDS = 0.05
RETRYABLE_CODES = frozenset({None, 1006, 1012, 1013})
"""The close codes after which the clients of graphql-transport-ws come back."""
RETRYABLE_ERRORS = frozenset({"UNAVAILABLE", "TIMEOUT"})


class Received(NamedTuple):
    """What a follower is told of an event."""

    installation_id: str
    version: int
    cursor: str


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What somebody follows, and which events are to come of it."""

    secret: str
    document: str = EVENTS
    variables: Mapping[str, Any]
    matching: EventFilter


class Interrupted(Exception):
    """The connection ended in a way that asks for another one."""


class SubscriberBuffer(ABC):
    """Follows at one address after the other. `received` is everything, in the order in which it came."""

    def __init__(self, wish: Wish, *, urls: Sequence[str], cursor: str) -> None:
        self.wish = wish
        self.received: list[Received] = []
        self.returns = 0
        self.reads = asyncio.Event()
        """Unless this is set, it takes nothing of what it has subscribed to."""
        self.reads.set()
        self._urls = urls
        self._beginning = cursor

    @property
    def cursor(self) -> str:
        return self.received[-1].cursor if self.received else self._beginning

    @property
    def url(self) -> str:
        return self._urls[self.returns % len(self._urls)]

    @abstractmethod
    def results(self) -> AsyncIterator[Mapping[str, Any]]:
        """Subscribe once and yield each execution result. Raises Interrupted."""

    async def follow(self) -> None:
        """Go on until cancelled. Fails with what no client would try again after."""
        while True:
            try:
                async with aclosing(self.results()) as results:  # type: ignore[type-var] # they are generators
                    async for result in results:
                        self._take(result)
            except Interrupted:
                pass
            self.returns += 1
            await asyncio.sleep(PAUSE_SECONDS)

    def _take(self, result: Mapping[str, Any]) -> None:
        refuse(result.get("errors", ()))
        event = result["data"]["events"]
        self.received.append(Received(event["installationId"], event["version"], event["cursor"]))


def refuse(errors: Sequence[Mapping[str, Any]]) -> None:
    """Raise Interrupted for errors that pass, AssertionError for others."""
    for error in errors:
        assert error["extensions"]["code"] in RETRYABLE_ERRORS, error
        raise Interrupted


class SocketFollower(SubscriberBuffer):
    """Over graphql-transport-ws; comes back with `after`."""

    async def results(self) -> AsyncIterator[Mapping[str, Any]]:
        try:
            async with connect(
                self.url.replace("http", "ws", 1),
                subprotocols=[Subprotocol("graphql-transport-ws")],
                ping_interval=None,
                compression=None,
                max_queue=1,
                proxy=None,
            ) as socket:
                await self._subscribe(socket)
                await self.reads.wait()
                async for text in socket:
                    message = json.loads(text)
                    if message["type"] == "next":
                        yield message["payload"]
                    elif message["type"] == "ping":
                        await socket.send('{"type":"pong"}')
                    elif message["type"] == "error":
                        refuse(message["payload"])
                    else:
                        assert message["type"] == "connection_ack", message
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else None
            if code not in RETRYABLE_CODES:
                raise
            raise Interrupted from closed
        except (OSError, InvalidHandshake) as error:
            raise Interrupted from error

    async def _subscribe(self, socket: ClientConnection) -> None:
        variables = {**self.wish.variables, "after": self.cursor}
        payload = {"query": self.wish.document, "variables": variables}
        authorization = {"Authorization": f"Bearer {self.wish.secret}"}
        await socket.send(json.dumps({"type": "connection_init", "payload": authorization}))
        assert (acknowledgement := json.loads(await socket.recv())) == {"type": "connection_ack"}, acknowledgement
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))


class StreamFollower(SubscriberBuffer):
    """By server-sent events; comes back with `Last-Event-ID`, as browsers do."""

    async def results(self) -> AsyncIterator[Mapping[str, Any]]:
        headers = {
            "Authorization": f"Bearer {self.wish.secret}",
            "Accept": "text/event-stream",
            "Last-Event-ID": self.cursor,
        }
        body = {"query": self.wish.document, "variables": self.wish.variables}
        try:
            async with (
                httpx.AsyncClient(timeout=httpx.Timeout(10, read=None)) as http,
                http.stream("POST", self.url, json=body, headers=headers) as response,
            ):
                if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                    raise Interrupted
                assert response.status_code == httpx.codes.OK, await response.aread()
                await self.reads.wait()
                async for line in response.aiter_lines():
                    assert line != "event: complete", "the gateway ended a subscription"
                    if line.startswith("data: "):
                        yield json.loads(line.removeprefix("data: "))
        except httpx.TransportError as error:
            raise Interrupted from error
