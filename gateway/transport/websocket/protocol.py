"""uvicorn's WebSocket protocol (sans-IO, 19.4 KB for an idle connection; the old one took 26.3), and these changes.

- Writes are corked: what is written in one turn of the event loop goes out in one system call. A client that gets many
  events at a time would cost one call for each frame otherwise.
- A client that reads nothing gets no pongs: they would collect in the transport's buffer.
- The scope has the `Peer`, which limits how long the client may take to read, and aborts the connection: a close frame
  would wait behind the unread data.
- What is received of messages, until they are complete and the application takes them, counts for the `Peer`; a message
  that exceeds the caller's bound closes the connection with 1013.
- Before `connection_init` was accepted, a message has at most `MAX_INITIAL_BYTES`.
- A message has at most `MAX_FRAGMENTS`: empty ones count nothing, and would be kept without end.
- A client sends at most `MAX_PINGS` a second, and little after a close frame: 300,000 frames are 1.8 MB, and took the
  event loop for a second.
- The endpoint is called without the application where nothing else has to decide, and what only the handshake needs, or
  most connections never need, is not kept: 27.9 KB for an idle subscriber became 16.9.

Run uvicorn with `ws_ping_interval=None`: its own pings close a silent connection with 1011, after which clients do not
reconnect. And with `ws_per_message_deflate=False`: a compressor for each connection takes more memory than all the rest
of it, and compresses again for each what all of them get alike.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from gateway.transport.http.security_headers import GRAPHQL_PATH
from gateway.transport.peers import PEER_EXTENSION, Peer
from gateway.transport.websocket.close_codes import TOO_MUCH_UNFINISHED

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
        self.queue = Inbox()  # type: ignore[assignment]  # it has what uvicorn uses
        self.writable = Flag()  # type: ignore[assignment]  # likewise
        self.conn.debug = False  # it would log every frame, and credentials are in the first one
        self._max_bytes = self.conn.max_message_size
        self.conn.max_message_size = min(MAX_INITIAL_BYTES, self._max_bytes or MAX_INITIAL_BYTES)
        self.peer.expect_credential(self._accept_larger)
        self._second = self._pings = self._bytes_after_close = self._queued = 0

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
        self._count_received()

    async def receive(self) -> Any:
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self.transport.resume_reading()
        if self._queued and self.queue.empty() and not self.disconnected:
            self._queued = 0
            self._count_received()
        return message

    def send_receive_event_to_app(self) -> None:
        self._queued += sum(map(len, self.frames))
        super().send_receive_event_to_app()

    def connection_lost(self, exc: Exception | None) -> None:
        self.peer.peers.disconnect(self.peer)
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
            is_browser = any(name == b"origin" for name, _ in self.scope["headers"])
            if self.scope["path"] == GRAPHQL_PATH and not is_browser:
                self.app = getattr(self.app, "websocket_endpoint", self.app)

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
        if message["type"] == "websocket.accept":
            del self.request, self.response
        if self.close_sent:
            self.peer.pause_writing()

    def _count_received(self) -> None:
        """Count what is received and not taken; close the connection where it is too much."""
        size = self._queued + (self.conn.current_size or 0) + len(self.conn.reader.buffer)
        if self.peer.receive(size) or self.transport.is_closing():
            return
        if not self.handshake_complete:
            self.peer.abort("unfinished")
            return
        self.peer.peers.closed["unfinished"] += 1
        self.frames.clear()
        self.conn.fail(*TOO_MUCH_UNFINISHED)
        self.handle_parser_exception()

    def _refuse_handshake(self) -> None:
        """Close where the handshake could not be parsed: uvicorn would wait for what never comes."""
        if self.conn.handshake_exc is not None and not self.transport.is_closing():
            self.peer.peers.closed["malformed"] += 1
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def _accept_larger(self) -> None:
        """Accept messages of the configured size."""
        self.conn.max_message_size = self._max_bytes


class Inbox:
    """The messages for the application: asyncio.Queue for one consumer, without its three deques and 3 KB."""

    __slots__ = ("_messages", "_waiter")

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._waiter: asyncio.Future[None] | None = None

    def put_nowait(self, message: Any) -> None:
        self._messages.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def empty(self) -> bool:
        return not self._messages

    async def get(self) -> Any:
        while not self._messages:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self._waiter = None
        return self._messages.pop(0)


class Flag:
    """asyncio.Event, set at first, without a deque of 0.8 KB as long as nobody waits."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: asyncio.Event | None = None
        """What is waited for; None while the flag is set."""

    def is_set(self) -> bool:
        return self._event is None

    def set(self) -> None:
        event, self._event = self._event, None
        if event is not None:
            event.set()

    def clear(self) -> None:
        if self._event is None:
            self._event = asyncio.Event()

    async def wait(self) -> None:
        if self._event is not None:
            await self._event.wait()


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
