"""Limits on a request's head, which uvicorn leaves open: how long it may take to arrive, and how large it may become.

Without them a client keeps a connection for ever by sending nothing, or a header's byte now and then, and a header that
never ends grows in memory.
"""

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_LAST_WORDS = b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_SLOW, _TOO_LARGE = b"408 Request Timeout", b"431 Request Header Fields Too Large"


class HeadLimits(HttpToolsProtocol):
    """HTTP/1.1 whose heads are limited."""

    head_seconds: ClassVar[float] = 10.0
    """For a connection's first head from its opening on; for later ones from their first byte. uvicorn's own limit for
    idle connections stands between them."""
    head_bytes: ClassVar[int] = 64 * 1024
    """A document may come in the URL."""

    _in_head = True
    _head_size = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn names the class that it gets in practice
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head:
            return
        self._head_size += len(data)
        if self._head_size > self.head_bytes:
            self._refuse(_TOO_LARGE)
        elif self._head_timer is None:
            self._time_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_size = 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_timing()
        super().on_headers_complete()

    def _time_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self._refuse, _TOO_SLOW)

    def _stop_timing(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: bytes) -> None:
        self._stop_timing()
        if not self.transport.is_closing():
            self.transport.write(_LAST_WORDS % status)
            self.transport.close()
