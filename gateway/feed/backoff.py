"""Pauses: between attempts to reconnect, and between reads or notifications under load."""

import asyncio
import math
import random
import time

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
_SHORTEST_INTERVAL, _LONGEST_INTERVAL = 0.005, 0.25
"""In seconds."""
_SMOOTHING_SECONDS = 0.25
_EVENTS_PER_SECOND_OF_INTERVAL = 8_000.0
"""At this rate the interval would be a second. Measured with 64 writers and ten processes that listen: without the
throttle the writers reach 86 % of their throughput without listeners, with it 92 % (tests/benchmarks/feed.py)."""


class Backoff:
    """Pauses between attempts: each up to twice the previous one, with jitter, so that processes do not align.

    An attempt that lasted longer than the longest pause was a success: the next pause is the shortest again.
    """

    def __init__(self) -> None:
        self._next = _SHORTEST_PAUSE
        self._attempted_at = time.monotonic()

    async def pause(self) -> None:
        if time.monotonic() - self._attempted_at > _LONGEST_PAUSE:
            self._next = _SHORTEST_PAUSE
        await asyncio.sleep(random.uniform(self._next / 2, self._next))  # noqa: S311 - jitter is not a secret
        self._next = min(self._next * 2, _LONGEST_PAUSE)
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

    At a low rate a single event is not delayed.
    """

    def __init__(self) -> None:
        self.started_at = 0.0
        """When the job last started, by time.monotonic; set by the code that starts it."""

    def remaining(self, *, events_per_second: float) -> float:
        """Return the seconds until the next start is due; it is due when the result is not positive."""
        interval = min(max(events_per_second / _EVENTS_PER_SECOND_OF_INTERVAL, _SHORTEST_INTERVAL), _LONGEST_INTERVAL)
        return self.started_at + interval - time.monotonic()
