"""Connections of the feed's own, outside the pool: one to listen and read, one to ring.

A statement that takes too long ends its line: that is how a peer is noticed that vanished without a word.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from gateway.storage.database import DriverConnection

_SETTINGS = {
    "timezone": "UTC",
    "jit": "off",
    # A notification writes nothing that would have to survive: its commit need not wait for the disk.
    "synchronous_commit": "off",
    # The tail asks the same again and again, of a table that may have been empty when the plan was made.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}


@asynccontextmanager
async def open_line(url: str, *, application_name: str, timeout_seconds: float) -> AsyncIterator[DriverConnection]:
    """Connect, and never wait for a peer that is gone, on the way out either."""
    connection: DriverConnection = await asyncpg.connect(
        url,
        timeout=timeout_seconds,
        command_timeout=timeout_seconds,
        server_settings={**_SETTINGS, "application_name": application_name},
    )
    try:
        yield connection
    finally:
        connection.terminate()


class Patience:
    """Pauses between attempts: each up to twice as long as the one before, never the same in two processes."""

    def __init__(self, *, shortest: float = 0.05, longest: float = 5.0) -> None:
        self._shortest, self._longest = shortest, longest
        self._pause = shortest

    def reset(self) -> None:
        self._pause = self._shortest

    async def pause(self) -> None:
        await asyncio.sleep(random.uniform(self._pause / 2, self._pause))  # noqa: S311 - jitter is no secret
        self._pause = min(self._pause * 2, self._longest)


_STORM = 24
"""So many news at a time are a storm."""


class Pace:
    """Keeps what is done on every news from taking all the time there is: one time serves many news.

    From one beginning to the next passes at least `shortest`, and twice as long each time that news keep coming, up to
    `longest`, or up to `in_storm` while one time serves so many news that waiting longer for each is what keeps the
    database free: many processes together leave it to those who write, and a lone event is not held up.
    """

    def __init__(self, *, shortest: float, longest: float = 0.032, in_storm: float = 0.2) -> None:
        self._shortest, self._longest, self._in_storm = shortest, longest, in_storm
        self._interval = shortest
        self._began_at = 0.0

    def begin(self) -> None:
        self._began_at = time.monotonic()

    async def rest(self, *, served: int) -> None:
        """Call it when there are news: it returns when it is time to act on them.

        `served` is how many news the last time served.
        """
        passed = time.monotonic() - self._began_at
        most = self._in_storm if served >= _STORM else self._longest
        keep_coming = passed < 2 * self._interval
        self._interval = min(2 * self._interval, most) if keep_coming else self._shortest
        await asyncio.sleep(self._interval - passed)
