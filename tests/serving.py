"""An ASGI application on a loopback port, served by uvicorn in the event loop of the test."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from gateway.transport.http.protocol import HttpProtocol
from gateway.transport.peers import Peers
from gateway.transport.websocket.protocol import WebSocketProtocol

NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For httpx, which reads certificates for each client otherwise, in 25 ms; all addresses are plain HTTP."""
http_client = partial(httpx.AsyncClient, verify=NO_CERTIFICATES)
DEADLINE = 30.0
"""Seconds after which a test gives up waiting."""


@asynccontextmanager
async def serving(application: ASGIApp, *, peers: Peers | None = None, **options: Any) -> AsyncIterator[str]:
    """Yield the address of the application.

    `uvicorn.Server.serve` is not used: its main loop and its shutdown sleep in steps of 0.1 s, which the suite would
    pay several hundred times.
    """
    config = uvicorn.Config(
        application,
        # uvicorn makes the socket: on one of socket.create_server, whose proto is 0, asyncio leaves Nagle's algorithm
        # on, and each answer of two writes waits 40 ms for an acknowledgement.
        port=0,
        http=partial(HttpProtocol, peers=peers or Peers()),  # type: ignore[arg-type]  # uvicorn only calls it
        ws=WebSocketProtocol,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        **options,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    await server.on_tick(0)  # sets the default headers
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        await _shut_down(server)


async def _shut_down(server: uvicorn.Server) -> None:
    for listener in server.servers:
        listener.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    await eventually(lambda: not server.server_state.connections and not server.server_state.tasks)
    await server.lifespan.shutdown()


async def eventually(condition: Callable[[], Any]) -> None:
    """Wait until `condition()` holds."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - the condition is arbitrary, so no event announces it
            await asyncio.sleep(0.002)
