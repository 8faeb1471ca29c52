"""Pauses: between attempts to reconnect, and between reads or notifications under load."""

import asyncio
import math
import random
import time

_SMOOTHING_SECONDS = 0.25
_EVENTS_PER_SECOND_OF_INTERVAL = 8_000.0
"""At this rate the interval would be a second. Measured with 64 writers and ten processes that listen: without the
throttle the writers reach 86 % of their throughput without listeners, with it 92 % (tests/benchmarks/feed.py)."""


class Backoff:
    """Pauses between attempts: each up to twice the previous one, with jitter, so that processes do not align.

    An attempt that lasted longer than the longest pause was a success: the next pause is the shortest again.
    """

    def __init__(self, *, shortest: float = 0.05, longest: float = 5.0) -> None:
        self._shortest, self._longest = shortest, longest
        self._next = shortest
        self._attempted_at = time.monotonic()

    async def pause(self) -> None:
        if time.monotonic() - self._attempted_at > self._longest:
            self._next = self._shortest
        await asyncio.sleep(random.uniform(self._next / 2, self._next))  # noqa: S311 - jitter is not a secret
        self._next = min(self._next * 2, self._longest)
        self._attempted_at = time.monotonic()


class SmoothedRate:
    """The growth of a count per second, smoothed, so that a few simultaneous events are not a high rate."""

    def __init__(self) -> None:
        self.per_second = 0.0
        self._last: tuple[int, float] | None = None

    def update(self, count: int) -> None:
        """Record the count as it is now."""
        now = time.monotonic()
        if self._last is not None:
            last_count, last_time = self._last
            seconds = max(now - last_time, 0.001)
            weight = 1 - math.exp(-seconds / _SMOOTHING_SECONDS)
            self.per_second += weight * (max(0, count - last_count) / seconds - self.per_second)
        self._last = count, now


class Throttle:
    """Limits how often a job starts: the interval grows with the event rate, so that listeners do not starve writers.

    The interval is between `shortest` and `longest` seconds. At a low rate a single event is not delayed.
    """

    def __init__(self, *, shortest: float, longest: float = 0.25) -> None:
        self._shortest, self._longest = shortest, longest
        self.started_at = 0.0
        """When the job last started, by time.monotonic; set by the code that starts it."""

    def remaining(self, *, events_per_second: float) -> float:
        """Return the seconds until the next start is due; it is due when the result is not positive."""
        interval = min(max(events_per_second / _EVENTS_PER_SECOND_OF_INTERVAL, self._shortest), self._longest)
        return self.started_at + interval - time.monotonic()
