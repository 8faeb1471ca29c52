"""uvicorn's WebSocket protocol (sans-IO, 19.4 KB for an idle connection; the old one takes 26.3), and these changes.

- Writes are corked: what is written in one turn of the event loop goes out in one system call. A client that gets many
  events at a time would cost one call for each frame otherwise.
- A client that reads nothing gets no pongs: they would collect in the transport's buffer.
- The scope has the `Peer`, which limits how long the client may take to read, and aborts the connection: a close frame
  would wait behind the unread data.
- Before `connection_init` was accepted, a message has at most `MAX_INITIAL_BYTES`.
- A message has at most `MAX_FRAGMENTS`: empty ones count nothing, and would be kept without end.
- A client sends at most `MAX_PINGS` a second, and little after a close frame: 300,000 frames are 1.8 MB, and took the
  event loop for a second.

Run uvicorn with `ws_ping_interval=None`: its own pings close a silent connection with 1011, after which clients do not
reconnect. And with `ws_per_message_deflate=False`: a compressor for each connection takes more memory than all the rest
of it, and compresses again for each what all of them get alike.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from gateway.transport.peers import PEER_EXTENSION, Peer

MAX_INITIAL_BYTES = 32_768
"""Twice the largest access token."""
MAX_FRAGMENTS = 4_096
"""A browser sends a message of 1 MB in one to eight."""
MAX_PINGS = 100
"""Of the protocol, in a second; clients send one in some seconds."""
MAX_BYTES_AFTER_CLOSE = 65_536
LINGER_SECONDS = 1.0
"""Before such a connection is aborted: its client would lose a close frame that it has not read yet."""
_MAX_CORKED_BYTES = 65_536
"""More is written at once, so that a transport whose client does not read reports it in time."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket over a corked transport."""

    def __init__(self, *args: Any, peer: Peer, **options: Any) -> None:
        super().__init__(*args, **options)
        self.peer = peer
        self.conn.debug = False  # it would log every frame, and credentials are in the first one
        self._max_bytes = self.conn.max_message_size
        self.conn.max_message_size = min(MAX_INITIAL_BYTES, self._max_bytes or MAX_INITIAL_BYTES)
        self.peer.expect_credential(self._accept_larger)
        self._second = self._pings = self._bytes_after_close = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        corked = CorkedTransport(cast("asyncio.Transport", transport))
        self.peer.transport = cast("asyncio.Transport", corked)
        super().connection_made(self.peer.transport)
        self.loop.call_soon(self._refuse_handshake)

    def data_received(self, data: bytes) -> None:
        if self.close_sent:
            is_first = self._bytes_after_close <= MAX_BYTES_AFTER_CLOSE
            self._bytes_after_close += len(data)
            if self._bytes_after_close > MAX_BYTES_AFTER_CLOSE:
                if is_first:
                    self.loop.call_later(LINGER_SECONDS, self.peer.abort, "too_large")
                return
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.peer.disconnected()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.peer.pause_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.peer.resume_writing()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.handshake_initiated and not self.close_sent:
            extensions = cast("dict[str, Any]", self.scope["extensions"])
            extensions[PEER_EXTENSION] = self.peer

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) == MAX_FRAGMENTS:
            self.peer.abort("too_large")
        else:
            super().handle_cont(event)

    def handle_ping(self) -> None:
        second = int(self.loop.time())
        if second != self._second:
            self._second, self._pings = second, 0
        self._pings += 1
        if self._pings > MAX_PINGS:
            self.peer.abort("too_large")
        elif self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()  # drops the pong

    async def send(self, message: Any) -> None:
        while not self.writable.is_set():  # all that wait wake up at once, and one may fill the buffer again
            await self.writable.wait()
        await super().send(message)
        if self.close_sent:
            self.peer.pause_writing()

    def _refuse_handshake(self) -> None:
        """Close where the handshake could not be parsed: uvicorn would wait for what never comes."""
        if self.conn.handshake_exc is not None and not self.transport.is_closing():
            self.peer.peers.closed["malformed"] += 1
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def _accept_larger(self) -> None:
        """Accept messages of the configured size."""
        self.conn.max_message_size = self._max_bytes


class CorkedTransport:
    """A transport whose writes wait for the end of the event loop's turn. All other calls keep their order."""

    __slots__ = ("_bytes", "_corked", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._corked: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Write together with everything else that is written in this turn."""
        if not data:
            return
        if not self._corked:
            self._loop.call_soon(self._flush)
        self._corked.append(data)
        self._bytes += len(data)
        if self._bytes >= _MAX_CORKED_BYTES:
            self._flush()

    def close(self) -> None:
        """Close as soon as everything written has gone out."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once, without sending what is corked."""
        self._corked.clear()
        self._transport.abort()

    def get_write_buffer_size(self) -> int:
        """Return the bytes that were not sent yet."""
        return self._bytes + self._transport.get_write_buffer_size()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        corked, self._corked, self._bytes = self._corked, [], 0
        if corked and not self._transport.is_closing():
            self._transport.write(b"".join(corked))
