"""Sending to a client that may read slowly or not at all."""

import asyncio

from starlette.types import Message, Scope, Send

ABORT_EXTENSION = "gateway.abort"
"""The ASGI extension of our protocols that closes a connection at once, with everything in its buffers."""


class ClientGone(Exception):
    """The client has disconnected."""


class MonitoredSend:
    """ASGI's send, which knows how long the client has read nothing.

    Every sender awaits its own message, so no more messages wait here than there are senders.
    """

    __slots__ = ("_clock", "_send", "_waiting", "_waiting_since")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._clock = asyncio.get_running_loop().time
        self._waiting = 0
        self._waiting_since = 0.0

    async def send(self, message: Message) -> None:
        """Send as soon as the client reads. Raises ClientGone."""
        if not self._waiting:
            self._waiting_since = self._clock()
        self._waiting += 1
        try:
            await self._send(message)
            # Not where a send is cancelled: the keep-alives of a stalled stream replace each other.
            self._waiting_since = self._clock()
        except OSError:  # what ASGI says a server raises
            raise ClientGone from None
        finally:
            self._waiting -= 1

    def stalled_seconds(self, now: float) -> float:
        """Return how long messages have been waiting without any of them going out."""
        return now - self._waiting_since if self._waiting else 0.0


def abort(scope: Scope) -> None:
    """Close the connection at once, if the server can: a graceful close would wait behind the unread data."""
    extension = scope.get("extensions", {}).get(ABORT_EXTENSION)
    if extension is not None:
        extension["abort"]()
