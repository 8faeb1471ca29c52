"""Clients that subscribe over either transport, and resume by cursor when their connection ends."""

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
from tests.serving import NO_CERTIFICATES

EVENTS = """subscription ($filter: InstallationEventFilter, $after: String) {
  events: installationEvents(filter: $filter, after: $after) { cursor installationId version }
}"""
STATUS_CHANGES = """subscription ($filter: InstallationEventFilter, $after: String) {
  events: installationStatusChanged(filter: $filter, after: $after) { cursor installationId version }
}"""
PAUSE_SECONDS = 0.05
RETRYABLE_CODES = frozenset({None, 1006, 1012, 1013})
"""The close codes after which the clients of graphql-transport-ws reconnect."""
RETRYABLE_ERRORS = frozenset({"UNAVAILABLE", "TIMEOUT"})


class Received(NamedTuple):
    """An event as a subscriber receives it."""

    installation_id: str
    version: int
    cursor: str


@dataclass(frozen=True, kw_only=True)
class SubscriptionSpec:
    """A subscription, and the filter of the events that it has to deliver."""

    secret: str
    document: str = EVENTS
    variables: Mapping[str, Any]
    matching: EventFilter


class Interrupted(Exception):
    """The connection ended in a way after which clients reconnect."""


class Subscriber(ABC):
    """Subscribes at one address after the other. `received` has all events in the order of their arrival."""

    def __init__(self, spec: SubscriptionSpec, *, urls: Sequence[str], cursor: str) -> None:
        self.spec = spec
        self.received: list[Received] = []
        self.reconnects = 0
        self.reads = asyncio.Event()
        """While this is not set, the client does not read from its connection."""
        self.reads.set()
        self._urls = urls
        self._beginning = cursor

    @property
    def cursor(self) -> str:
        return self.received[-1].cursor if self.received else self._beginning

    @property
    def url(self) -> str:
        return self._urls[self.reconnects % len(self._urls)]

    @abstractmethod
    def results(self) -> AsyncIterator[Mapping[str, Any]]:
        """Subscribe once and yield each execution result. Raises Interrupted."""

    async def receive(self) -> None:
        """Receive events until cancelled. Fails with errors after which no client reconnects."""
        while True:
            try:
                async with aclosing(self.results()) as results:  # type: ignore[type-var] # the implementations are generators
                    async for result in results:
                        self._take(result)
            except Interrupted:
                pass
            self.reconnects += 1
            await asyncio.sleep(PAUSE_SECONDS)

    def _take(self, result: Mapping[str, Any]) -> None:
        refuse(result.get("errors", ()))
        event = result["data"]["events"]
        self.received.append(Received(event["installationId"], event["version"], event["cursor"]))


def refuse(errors: Sequence[Mapping[str, Any]]) -> None:
    """Raise Interrupted for temporary errors, AssertionError for others."""
    for error in errors:
        assert error["extensions"]["code"] in RETRYABLE_ERRORS, error
        raise Interrupted


class WebSocketSubscriber(Subscriber):
    """Over graphql-transport-ws; resumes with `after`."""

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
        variables = {**self.spec.variables, "after": self.cursor}
        payload = {"query": self.spec.document, "variables": variables}
        authorization = {"Authorization": f"Bearer {self.spec.secret}"}
        await socket.send(json.dumps({"type": "connection_init", "payload": authorization}))
        assert (acknowledgement := json.loads(await socket.recv())) == {"type": "connection_ack"}, acknowledgement
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))


class StreamSubscriber(Subscriber):
    """By server-sent events; resumes with `Last-Event-ID`, as browsers do."""

    async def results(self) -> AsyncIterator[Mapping[str, Any]]:
        headers = {
            "Authorization": f"Bearer {self.spec.secret}",
            "Accept": "text/event-stream",
            "Last-Event-ID": self.cursor,
        }
        body = {"query": self.spec.document, "variables": self.spec.variables}
        try:
            async with (
                httpx.AsyncClient(verify=NO_CERTIFICATES, timeout=httpx.Timeout(10, read=None)) as http,
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
