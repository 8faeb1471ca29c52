"""The way out to one client: it knows how long the client has taken nothing."""

import asyncio

from starlette.types import Message, Scope, Send

ABORT_EXTENSION = "gateway.abort"
"""The scope's extension by which a connection is dropped at once, with all that waits in its buffers."""


class ClientGone(Exception):
    """The client went away: nobody reads what would be said, and what it began to say has no end."""


class MonitoredSend:
    """Sends to one client. At most as many messages wait here as there are senders, for each awaits its own."""

    __slots__ = ("_clock", "_send", "_waiting", "_waiting_since")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._clock = asyncio.get_running_loop().time
        self._waiting = 0
        self._waiting_since = 0.0

    async def send(self, message: Message) -> None:
        """Send, as soon as the client takes something again. Raises ClientGone."""
        if not self._waiting:
            self._waiting_since = self._clock()
        self._waiting += 1
        try:
            await self._send(message)
        except OSError:  # as ASGI has it
            raise ClientGone from None
        finally:
            self._waiting -= 1
            self._waiting_since = self._clock()

    def stuck_seconds(self, now: float) -> float:
        """For how long something has been waiting to go out, and nothing went."""
        return now - self._waiting_since if self._waiting else 0.0


def abort(scope: Scope) -> None:
    """Drop the connection without another word, where the server knows how: a goodbye would wait with all the rest."""
    extension = scope.get("extensions", {}).get(ABORT_EXTENSION)
    if extension is not None:
        extension["abort"]()
