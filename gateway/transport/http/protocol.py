"""uvicorn's HTTP/1.1 protocol, with limits on what a client may send and on how long it may take.

uvicorn leaves these open, and a client can use each to hold a connection or its memory for ever:
- The head of a request may take any time and grow without limit, and so may the trailers after its body. Here the head
  has `head_seconds`, and `head_bytes` and `head_fields`; as many bytes may arrive without one of the body. Trailers are
  dropped: uvicorn appends them to the headers.
- Unfinished heads and bodies, and requests that wait for the response before them, may take any memory in all. Here
  the `Peer` counts their bytes for the caller, and the request that exceeds its bound is refused.
- A body may go on after its response. Here the rest has `linger_seconds` and `linger_bytes`, so that a client that
  writes everything first still reads its response.
- Any byte ends the limit for idle connections. Here a request does.
- Requests may be sent any number ahead. Here `pipelined` wait, and none is read while a response is not.
- A response may take any time to be read, also after its connection was closed. Here the `Peer` limits it; the kernel
  drops a connection whose client acknowledges nothing for `UNREAD_SECONDS`, and takes `MAX_UNSENT_BYTES`.
"""

import asyncio
import socket
from collections import deque
from functools import partial
from typing import Any, ClassVar, cast

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.transport.http.exchange import Exchange
from gateway.transport.peers import Peer, Peers

UNREAD_SECONDS = 30
MAX_UNSENT_BYTES = 524_288
"""Of a connection, in the kernel, which would take 4 MB of what a client does not read. Most answers are shorter and go
out in one call."""
_UNCOUNTED_BYTES = 4_096
"""Head and body of a usual request arrive one after the other."""
_RESPONSE = b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_MALFORMED, _TOO_SLOW = b"400 Bad Request", b"408 Request Timeout"
_TOO_LARGE, _TOO_MANY = b"431 Request Header Fields Too Large", b"503 Service Unavailable"
_TOO_MUCH = b"429 Too Many Requests"
_REASONS = {_MALFORMED: "malformed", _TOO_SLOW: "too_slow", _TOO_LARGE: "too_large", _TOO_MUCH: "unfinished"}


class _TooMany(Exception):
    """There are more header fields, or more requests are waiting, than there may be."""


class HttpProtocol(HttpToolsProtocol):
    """HTTP/1.1. Every WebSocket begins with it, too."""

    head_seconds: ClassVar[float] = 10.0
    """Counted from the opening of the connection; for later requests from their first byte. Between them is uvicorn's
    own limit for idle connections."""
    head_bytes: ClassVar[int] = 64 * 1024
    """A document may stand in the URL."""
    head_fields: ClassVar[int] = 100
    linger_seconds: ClassVar[float] = 2.0
    linger_bytes: ClassVar[int] = 1_000_000
    pipelined: ClassVar[int] = 16

    _in_head = True
    _in_body = False
    _size = 0
    """Bytes since the head began, or since the last of the body; after the response, all of them."""
    _read_size = 0
    _unfinished = 0
    """Bytes of requests that are not complete, or wait for the response before them."""
    _idle_since: float | None = None
    """In the loop's time; None: a request is under way."""
    peer: Peer
    cycle: Exchange
    _timer: asyncio.TimerHandle | None = None
    """The end of the time for the head, or for the rest of an answered request."""

    def __init__(self, *args: Any, peers: Peers, **options: Any) -> None:
        super().__init__(*args, **options)
        self._peers = peers
        self._unanswered: deque[Exchange] = deque()
        """The requests that have no complete response yet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn names the class that it gets in practice
        connection = transport.get_extra_info("socket")
        if connection.family in {socket.AF_INET, socket.AF_INET6} and hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1_000)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT_BYTES)
        self._start_timer(self.head_seconds)
        address = self.client[0] if self.client else ""
        self.peer = Peer(self._peers, self.transport, address=address, refuse=partial(self._refuse, _TOO_MANY))
        self._peers.connect(self.peer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._unset_keepalive_if_required()
        self._abandon_requests()
        self.peer.peers.disconnect(self.peer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._read_size = len(data)
        self._size += self._read_size
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            return
        except httptools.HttpParserError as error:
            self._refuse(_TOO_LARGE if isinstance(error.__context__, _TooMany) else _MALFORMED)
            return
        if self._in_body and self.cycle.response_complete:
            if self._size > self.linger_bytes:
                self._refuse(_TOO_LARGE)
        elif self._size > self.head_bytes or len(self.headers) > self.head_fields:
            self._refuse(_TOO_LARGE)
        elif self._in_head and self._timer is None:
            self._start_timer(self.head_seconds)
        waiting = self._in_head or self._in_body or self.pipeline
        self._unfinished = self._unfinished + self._read_size if waiting else 0
        counts = self._unfinished > _UNCOUNTED_BYTES or self.peer.received
        if counts and not self.peer.receive(self._unfinished):
            self._refuse(_TOO_MUCH)

    def handle_websocket_upgrade(self) -> None:
        self._stop_timer()
        self._unset_keepalive_if_required()
        self.peer.refuse = self.transport.abort
        self.scope = cast("Any", {"method": self.parser.get_method().decode("ascii"), "headers": self.headers})
        self.ws_protocol_class = partial(cast("Any", self.ws_protocol_class), peer=self.peer)  # type: ignore[assignment]  # only called
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        self._idle_since = None
        self.url = b""
        self.headers = []
        self._in_head = True
        self._size = self._read_size

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if len(self.headers) > self.head_fields or len(self.pipeline) == self.pipelined:
            raise _TooMany
        parser = self.parser
        if parser.should_upgrade() and self._should_upgrade():
            return  # a body would count as a part of the head
        before, version = self.cycle, parser.get_http_version()
        self.cycle = cycle = Exchange(
            self,
            peer=self.peer,
            method=parser.get_method().decode("ascii"),
            version=version,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
        )
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        self._unanswered.append(cycle)
        self._in_head, self._in_body = False, True
        self._size = 0
        if self._timer is not None:
            self._stop_timer()
        self.headers = []  # for the trailers

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle
        if not self._in_body or cycle.response_complete:
            return
        self._size = 0
        if not cycle.body:  # most requests have one part, which is not copied
            cycle.body = body
        elif isinstance(cycle.body, bytes):
            cycle.body = bytearray(cycle.body) + body  # of bytes, many small parts would be copied each time
        else:
            cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        if cycle.arrived is not None:
            cycle.arrived.set()

    def on_message_complete(self) -> None:
        if self._in_body and not self.cycle.response_complete:
            self.cycle.more_body = False
            if self.cycle.arrived is not None:
                self.cycle.arrived.set()
        if not self.pipeline:
            self._unfinished = 0
        if self._in_body:
            self._in_body = False
            self._size = 0
            if self._timer is not None:  # its response came first
                self._stop_timer()
                self._idle_since = self.loop.time()
                if self.timeout_keep_alive_task is None:
                    self.timeout_keep_alive_handler()

    def on_response_complete(self) -> None:
        self._unanswered.popleft()
        if self.pipeline and self.flow.write_paused:
            self.pipeline.clear()
            self.transport.close()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self.peer.close()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle_since = self.loop.time()
            if self.timeout_keep_alive_task is None:
                self.timeout_keep_alive_handler()
        if self.peer.received and not (self._in_head or self._in_body or self.pipeline):
            self.peer.receive(0)
        if self.flow.write_paused:
            self.flow.pause_reading()
        if self._in_body and self.cycle.response_complete:
            self._idle_since = None
            self._size = 0
            self._start_timer(self.linger_seconds)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.peer.pause_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.peer.resume_writing()
        if self.cycle is None or self.cycle.response_complete:
            self.flow.resume_reading()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if no request comes; the timer goes on during requests, since each would restart it."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        seconds = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if seconds > 0:
            self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)
        else:
            self.peer.close()

    def _start_timer(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._refuse, _TOO_SLOW)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: bytes) -> None:
        """Close the connection, with this status where no other response is under way."""
        self._stop_timer()
        if self.transport.is_closing():
            return
        if (reason := _REASONS.get(status)) is not None:
            self._peers.closed[reason] += 1
        cycle = self.cycle
        is_first = cycle is None or (cycle.response_complete and not self._in_body)
        if is_first or (self._in_body and not cycle.response_started and not self.pipeline):
            self.transport.write(_RESPONSE % status)
        self._abandon_requests()
        self.peer.close()

    def _abandon_requests(self) -> None:
        """Have no response written to the closed connection: uvicorn says so to the request that came last only."""
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.body = b""
            if cycle.arrived is not None:
                cycle.arrived.set()
