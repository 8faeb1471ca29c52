"""What is written to a socket in one turn of the loop goes out in one piece: system calls cost more than messages."""

import asyncio
from typing import Any

_MOST_BYTES = 65_536
"""So much goes out at once, so that a transport whose client takes nothing says so in time."""


class CorkedTransport:
    """A transport whose writes wait for the end of the loop's turn. All else is done at once, in the order of calls."""

    __slots__ = ("_bytes", "_loop", "_transport", "_waiting")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Send, together with what else is written in this turn."""
        if not data:
            return
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)
        self._bytes += len(data)
        if self._bytes >= _MOST_BYTES:
            self._flush()

    def close(self) -> None:
        """Close as soon as all that was written has gone out."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once, and send no more."""
        self._waiting.clear()
        self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if waiting and not self._transport.is_closing():  # the client may be gone since
            self._transport.write(b"".join(waiting))
