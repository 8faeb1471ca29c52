"""Connections of the feed's own, outside the pool: one to listen and read, one to ring.

A statement that takes too long ends its line: that is how a peer is noticed that vanished without a word.
"""

import asyncio
import math
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
async def connect(url: str, *, application_name: str, timeout_seconds: float) -> AsyncIterator[DriverConnection]:
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


class Backoff:
    """Pauses between attempts: each up to twice as long as the one before, never the same in two processes."""

    def __init__(self, *, shortest: float = 0.05, longest: float = 5.0) -> None:
        self._shortest, self._longest = shortest, longest
        self._pause = shortest

    def reset(self) -> None:
        self._pause = self._shortest

    async def pause(self) -> None:
        await asyncio.sleep(random.uniform(self._pause / 2, self._pause))  # noqa: S311 - jitter is no secret
        self._pause = min(self._pause * 2, self._longest)


_SMOOTHING_SECONDS = 0.25
_RATE_FOR_ONE_SECOND = 8_000.0
"""So many events a second would be worth a rest of a second."""


class SmoothedRate:
    """How fast a count grows, smoothed: a few events that come together are no storm yet."""

    def __init__(self) -> None:
        self.a_second = 0.0
        self._last: tuple[int, float] | None = None

    def see(self, count: int) -> None:
        """Take note of where the count stands now."""
        now = time.monotonic()
        if self._last is not None:
            last_count, seen_at = self._last
            seconds = max(now - seen_at, 0.001)
            fresh = 1 - math.exp(-seconds / _SMOOTHING_SECONDS)
            self.a_second += fresh * (max(0, count - last_count) / seconds - self.a_second)
        self._last = count, now


class Throttle:
    """Keeps what is done on every news from taking all the time there is: one time serves many news.

    From one beginning to the next passes at least `shortest`, and longer the more events there are, up to `longest`:
    where they storm, many processes that listen leave the database to those who write, and a lone event is not held up.
    """

    def __init__(self, *, shortest: float, longest: float = 0.25) -> None:
        self._shortest, self._longest = shortest, longest
        self._began_at = 0.0

    def begin(self) -> None:
        self._began_at = time.monotonic()

    def left(self, *, events_a_second: float) -> float:
        """Answer for how many seconds to rest yet before the next beginning; none where it is less than zero."""
        interval = min(max(events_a_second / _RATE_FOR_ONE_SECOND, self._shortest), self._longest)
        return self._began_at + interval - time.monotonic()
