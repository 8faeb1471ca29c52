"""What a peer may make the process hold: connections, what it has not sent completely, and what it does not read.

Connections are counted from the moment they are accepted, since every one takes a file descriptor. Until a credential
was accepted on it, a connection also counts for its address. Where there are too many, the oldest one without a
credential gives way to the new one: a flood closes its own connections, and a caller with a credential comes through.

Bytes are counted for the caller, or for the address before the authentication: what waits to be read, and requests and
messages until they are complete and given to the application. Those who hold little are not refused for what others
hold: where all hold too much together, only callers above an equal part are.

An answer has to be read within `stalled_seconds` and the time that its bytes take at `bytes_per_second`, whether it is
JSON, a stream or the messages of a WebSocket; otherwise its connection is aborted.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from starlette.types import Message, Send

from gateway.domain.principals import Principal

PEER_EXTENSION = "gateway.peer"
"""The ASGI extension of our protocols: the Peer of the connection."""

CLOSE_REASONS = (
    *("malformed", "too_large", "too_slow"),
    *("stalled", "unread", "unfinished", "unresponsive"),
    *("too_many", "too_many_of_address"),
)
"""Why a connection is closed for a limit: for what it sent, for what it did not read, finish or answer, or for their
number."""


class ClientGone(Exception):
    """The client has disconnected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerLimits:
    """Limits of one process."""

    connections: int = 20_000
    unauthenticated: int = 2_000
    """Connections of one address on which no credential was accepted yet. A host that opens thousands of WebSockets at
    once has them in this state until each has sent its `connection_init`."""
    held_bytes: int = 64 * 1024 * 1024
    """Of all connections of one caller. One answer alone may be larger."""
    held_bytes_of_all: int = 512 * 1024 * 1024
    """Of all callers: twice as much at most, where callers join while others hold it."""
    stalled_seconds: float = 30.0
    bytes_per_second: int = 32 * 1024
    """A slow mobile connection has more."""


class Peers:
    """The peers of all connections of one process, and how often one was refused."""

    def __init__(self) -> None:
        self.limits = PeerLimits()
        self.closed: Counter[str] = Counter()
        """How many connections were closed for a limit, by reason."""
        self.connections = 0
        """The number of open connections."""
        self._unauthenticated: dict[str, dict[Peer, None]] = {}
        self._oldest_first: dict[Peer, None] = {}
        self._held_of_all = 0
        self._held: Counter[Hashable] = Counter()

    def connect(self, peer: "Peer") -> None:
        """Count a connection until `disconnect`. Where there are too many, one is refused."""
        if len(self._unauthenticated.get(peer.address, ())) >= self.limits.unauthenticated:
            self._give_way(next(iter(self._unauthenticated[peer.address])), "too_many_of_address")
        elif self.connections >= self.limits.connections:
            self._give_way(next(iter(self._oldest_first), peer), "too_many")
        self.connections += 1
        if not peer.transport.is_closing():
            self._unauthenticated.setdefault(peer.address, {})[peer] = self._oldest_first[peer] = None

    def disconnect(self, peer: "Peer") -> None:
        """Count a connection no more."""
        peer.resume_writing()
        peer.receive(0)
        self.connections -= 1
        self._forget(peer)

    def authenticate(self, peer: "Peer", caller: Hashable) -> None:
        """Count a connection for this caller."""
        self._forget(peer)
        held = peer.held
        self.hold(peer, -held)
        peer.caller = caller
        if not self.hold(peer, held):
            self.closed["unfinished"] += 1
            peer.refuse()

    def hold(self, peer: "Peer", change: int) -> bool:
        """Count bytes that are held for a connection, or negative ones no more; return whether it may hold them."""
        limits, held = self.limits, self._held[peer.caller] + change
        peer.held += change
        self._held_of_all += change
        self._held[peer.caller] = held
        if not held:
            del self._held[peer.caller]
        if change <= 0 or held == change:
            return True
        if self._held_of_all > limits.held_bytes_of_all and held * len(self._held) > limits.held_bytes_of_all:
            return False
        return held <= limits.held_bytes

    def _give_way(self, peer: "Peer", reason: str) -> None:
        self.closed[reason] += 1
        self._forget(peer)
        peer.refuse()

    def _forget(self, peer: "Peer") -> None:
        if peer in self._oldest_first:
            del self._oldest_first[peer]
            of_address = self._unauthenticated[peer.address]
            del of_address[peer]
            if not of_address:
                del self._unauthenticated[peer.address]


class Peer:
    """The peer of one connection, what it leaves unread, and what it has not sent completely."""

    __slots__ = (
        *("_aborted", "_loop", "_on_credential", "_timer", "_unread"),
        *("address", "caller", "held", "peers", "principal", "received", "refuse", "stalled", "transport"),
    )

    def __init__(self, peers: Peers, transport: asyncio.Transport, *, address: str, refuse: Callable[[], None]) -> None:
        """Make the peer of a connection. `refuse` closes it where there are too many."""
        self.address = address
        self.caller: Hashable = address
        """By whom its bytes are counted: the caller's bounds, and the address before the authentication."""
        self.held = 0
        self.received = 0
        """Bytes of requests or messages that are not complete, or wait to be given to the application."""
        self.refuse = refuse
        self.transport = transport
        self.peers = peers
        self._loop = asyncio.get_running_loop()
        self.principal: Principal | None = None
        self._on_credential: Callable[[], None] | None = None
        self._aborted = False
        self._unread = 0
        self._timer: asyncio.TimerHandle | None = None
        self.stalled = False
        """Whether the peer has not read what the transport has."""

    def authenticated(self, principal: Principal) -> None:
        """Count the connection for this caller."""
        if principal is not self.principal:
            self.principal = principal
            self.peers.authenticate(self, principal.bounds)
            if self._on_credential is not None:
                self._on_credential()

    def expect_credential(self, on_credential: Callable[[], None]) -> None:
        """Call this once a credential is accepted, whether or not one was before: a WebSocket sends its own."""
        self.principal, self._on_credential = None, on_credential

    def pause_writing(self) -> None:
        """Begin to wait until the peer reads what the transport has; abort the connection where it takes too long."""
        self.resume_writing()
        self._unread = self.transport.get_write_buffer_size()
        limits = self.peers.limits
        seconds = limits.stalled_seconds + self._unread / limits.bytes_per_second
        self.stalled = True
        self._timer = self._loop.call_later(seconds, self.abort, "stalled")
        if not self.peers.hold(self, self._unread):
            self.abort("unread")

    def resume_writing(self) -> None:
        """End the wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self.stalled = None, False
            self.peers.hold(self, -self._unread)

    def receive(self, size: int) -> bool:
        """Count so many bytes as received, whatever was counted before; return whether the peer may send more."""
        change, self.received = size - self.received, size
        return self.peers.hold(self, change)

    def close(self) -> None:
        """Close the connection as soon as the peer has read everything, which may not take too long either."""
        self.transport.close()
        if self._timer is None and self.transport.get_write_buffer_size():
            self.pause_writing()

    async def send(self, send: Send, message: Message) -> None:
        """Send by ASGI as soon as the peer reads; until then the message counts as unread. Raises ClientGone.

        Every sender awaits its own message, so no more messages wait here than there are senders.
        """
        size = len(message.get("text") or message.get("body") or "") if self.stalled else 0
        if size and not self.peers.hold(self, size):
            self.abort("unread")
        try:
            await send(message)
        except OSError:  # what ASGI says a server raises
            raise ClientGone from None
        finally:
            if size:
                self.peers.hold(self, -size)

    def abort(self, reason: str) -> None:
        """Close the connection in the next turn, with everything in its buffers, and count it.

        A graceful close would wait behind the unread data.
        """
        if not self._aborted:
            self._aborted = True
            self.peers.closed[reason] += 1
            self._loop.call_soon(self.transport.abort)  # it may be writing now
