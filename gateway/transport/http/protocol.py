"""uvicorn's HTTP/1.1 protocol, with limits on a request's head and on clients that read nothing.

uvicorn leaves three things open, which a client can use to hold a connection for ever:
- It waits for a head without limit, and a header that never ends grows in memory. Here a head has to arrive within
  `head_seconds`, and may have `head_bytes`.
- It takes a response of one piece whole, and keeps it until the client reads it. Here the kernel drops a connection
  whose client acknowledges nothing, or keeps its window closed, for `UNREAD_SECONDS`.
- Closing a connection gracefully waits behind the unread data. Here the scope has an extension that aborts it.
"""

import asyncio
import socket
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.transport.stalled_send import ABORT_EXTENSION

UNREAD_SECONDS = 30
_RESPONSE = b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_SLOW, _TOO_LARGE = b"408 Request Timeout", b"431 Request Header Fields Too Large"


class HttpProtocol(HttpToolsProtocol):
    """HTTP/1.1. Every WebSocket begins with it, too."""

    head_seconds: ClassVar[float] = 10.0
    """Counted from the opening of the connection; for later requests from their first byte. Between them is uvicorn's
    own limit for idle connections."""
    head_bytes: ClassVar[int] = 64 * 1024
    """A document may stand in the URL."""

    _in_head = True
    _head_size = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn names the class that it gets in practice
        connection = transport.get_extra_info("socket")
        if connection.family in {socket.AF_INET, socket.AF_INET6} and hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1_000)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head:
            return
        self._head_size += len(data)
        if self._head_size > self.head_bytes:
            self._refuse(_TOO_LARGE)
        elif self._head_timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {ABORT_EXTENSION: {"abort": self.transport.abort}}
        self._in_head = True
        self._head_size = 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._stop_timer()
        super().on_headers_complete()

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self._refuse, _TOO_SLOW)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: bytes) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.write(_RESPONSE % status)
            self.transport.close()
