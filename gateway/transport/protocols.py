"""uvicorn's protocols, with a way to drop a client that takes nothing: a goodbye would wait in its buffers for ever.

Give them to uvicorn as `http=` and `ws=`, together with `ws_ping_interval=None` (uvicorn's own pings end a silent
socket with 1011, after which clients do not try again) and `ws_per_message_deflate=False` (a compressor for each socket
takes more memory than all the rest of it, and compresses for each anew what all are told alike).
"""

import asyncio
import socket
from typing import cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from gateway.transport.http.header_limits import HeadLimits
from gateway.transport.stalled_send import ABORT_EXTENSION
from gateway.transport.websocket.corked_transport import CorkedTransport

STUCK_SECONDS = 30
"""For which a client may leave what was sent unacknowledged, or its window closed, before the kernel drops it.

This is for answers of one piece: uvicorn takes them whole, and would keep for ever what is not taken.
"""


class HttpProtocol(HeadLimits):
    """HTTP/1.1, with which every WebSocket begins, too."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection.family in {socket.AF_INET, socket.AF_INET6} and hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_SECONDS * 1_000)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {ABORT_EXTENSION: {"abort": self.transport.abort}}


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket. Who is told of many events at a time gets them in one piece."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", CorkedTransport(cast("asyncio.Transport", transport))))
        self.conn.debug = False  # it would log every frame, and keys are in the first one

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.handshake_initiated and not self.close_sent:
            self.scope["extensions"][ABORT_EXTENSION] = {"abort": self.transport.abort}

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:  # who reads nothing is owed no pongs
            self.conn.data_to_send()
