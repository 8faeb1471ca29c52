"""What a request takes beside its fields, with some steps and without them: `python -m tests.benchmarks.requests`.

A request is given to `HttpProtocol` as bytes, and asks for `hello`; there is no socket. Printed is the processor's time
for each. The ways are measured in turns, and the best round of each counts.
"""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, cast

import uvicorn
import uvloop
from graphql import OperationDefinitionNode, get_variable_values, parse
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from gateway.app import Application
from gateway.auth.authentication import Authentication
from gateway.execution.documents import Documents
from gateway.execution.variables import Variables
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.running import Deadline, Deadlines
from gateway.transport.connections import ConnectionRegistry
from gateway.transport.http.endpoint import HttpEndpoint
from gateway.transport.http.protocol import HttpProtocol
from gateway.transport.websocket.connection import WebSocketEndpoint
from gateway.transport.websocket.protocol import WebSocketProtocol
from tests.benchmarks.feed import show
from tests.conformance.sample_gateway import KEY, PRINCIPALS, SCHEMA, Context, State, authenticate

_AT_ONCE = 32
_ROUNDS = 40
_HELLO = "query ($name: String!) { hello(name: $name) }"


class Transport(asyncio.Transport):
    """The transport of a connection whose client reads everything at once."""

    def __init__(self) -> None:
        super().__init__({"socket": socket.socket(socket.AF_UNIX), "sockname": ("x", 1), "peername": ("x", 2)})
        self.answers = 0

    def write(self, data: Any) -> None:
        self.answers += bytes(data).endswith(b"}")

    def is_closing(self) -> bool:
        return False

    def resume_reading(self) -> None:
        """Never paused."""


class Connections:
    """Connections that send the same request."""

    def __init__(self, application: ASGIApp, registry: ConnectionRegistry, *, target: str) -> None:
        protocol = partial(HttpProtocol, peers=registry.peers)
        config = uvicorn.Config(
            application, http=cast("Any", protocol), ws=WebSocketProtocol, log_config=None, proxy_headers=False
        )
        config.load()
        state = ServerState()
        state.default_headers = [(b"date", b"Thu, 26 Nov 2026 10:00:00 GMT")]
        self._open: list[tuple[HttpProtocol, Transport]] = []
        for _ in range(_AT_ONCE):
            one, transport = protocol(config=config, server_state=state, app_state={}), Transport()
            one.connection_made(transport)
            self._open.append((one, transport))
        body = json.dumps({"query": _HELLO, "variables": {"name": "you"}})
        head = f"POST {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nAccept: application/json\r\n"
        self._request = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

    async def seconds(self) -> float:
        """Return what a request takes."""
        started = time.thread_time()
        answers = self._open[-1][1].answers
        for protocol, _ in self._open:
            protocol.data_received(self._request)
        while self._open[-1][1].answers == answers:  # noqa: ASYNC110 - an event would take time, too
            await asyncio.sleep(0)
        return (time.thread_time() - started) / _AT_ONCE


async def with_timeout(count: int) -> None:
    for _ in range(count):
        async with asyncio.timeout(30):  # noqa: ASYNC100 - it is what is measured
            pass


async def with_deadline(count: int) -> None:
    deadlines = Deadlines(30)
    for _ in range(count):
        with Deadline(deadlines):
            pass


async def repeated(call: Callable[[], object], count: int) -> None:
    for _ in range(count):
        call()


async def measure() -> None:
    registry = ConnectionRegistry()
    pipeline = OperationPipeline(Documents(SCHEMA), make_context=partial(Context, state=State()))
    authentication = Authentication(
        keys=authenticate,
        tokens=None,
        anonymous_introspection=False,
        known_key=lambda secret: PRINCIPALS.get(secret.decode()),
    )
    application = Application(
        HttpEndpoint(pipeline=pipeline, authentication=authentication, registry=registry),
        WebSocketEndpoint(pipeline=pipeline, authentication=authentication, registry=registry),
    )
    ways = {
        "a request": Connections(application, registry, target="/graphql"),
        "the same over ASGI": Connections(application, registry, target="/graphql?asgi"),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(_ROUNDS):
        for name, connections in ways.items():
            best[name] = min(best[name], await connections.seconds())
    for name, seconds in best.items():
        show(name, f"{seconds * 1e6:.1f} us")
    (operation,) = cast("tuple[OperationDefinitionNode]", parse(_HELLO).definitions)
    definitions, schema, given = operation.variable_definitions or (), SCHEMA._schema, {"name": "you"}
    variables = Variables(schema, definitions)
    steps: dict[str, Callable[[int], Coroutine[Any, Any, None]]] = {
        "a deadline": with_deadline,
        "the same by asyncio.timeout": with_timeout,
        "coercing a variable": partial(repeated, lambda: variables.coerced(given)),
        "the same by graphql-core": partial(repeated, lambda: get_variable_values(schema, definitions, given)),
    }
    for name, step in steps.items():
        rounds = []
        for _ in range(_ROUNDS):
            started = time.thread_time()
            await step(200)
            rounds.append((time.thread_time() - started) / 200)
        show(name, f"{min(rounds) * 1e6:.1f} us")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure())
