"""The bell: tells the tails of all processes that there is something to read.

A NOTIFY inside a write would take a lock on the whole database until the commit is done. So it is rung after the
commit, on a line of its own, and rings that come while one is under way become one. It carries nothing: the log does.
"""

import asyncio
import logging
import time
from typing import Final

from gateway.feed.connections import Backoff, SmoothedRate, Throttle, connect
from gateway.feed.stats import FeedStats
from gateway.storage.database import DriverConnection
from gateway.storage.queries import queries

_logger = logging.getLogger(__name__)


class Notifier:
    """Rings while `run` runs. A ring is not lost when the line breaks: it is repeated on the next one."""

    def __init__(
        self,
        *,
        url: str,
        observations: FeedStats,
        log_growth: SmoothedRate,
        timeout_seconds: float,
        pace_seconds: float,
    ) -> None:
        self._url: Final = url
        self._observations: Final = observations
        self._log_growth: Final = log_growth
        self._own_growth: Final = SmoothedRate()
        self._timeout_seconds: Final = timeout_seconds
        self._pace: Final = Throttle(shortest=pace_seconds)
        self._rung: Final = asyncio.Event()
        self._rung_at: float | None = None
        self._sent: tuple[int, float] | None = None

    def notify(self) -> None:
        """Ask for a notification after a commit. Costs nothing, never waits, never fails."""
        self._observations.rings += 1
        if self._rung_at is None:
            self._rung_at = time.monotonic()
        self._rung.set()

    def recognise(self, process_id: int) -> bool:
        """Tell whether a notification that was heard came from this bell, and take its time."""
        if self._sent is None or self._sent[0] != process_id:
            return False
        self._observations.bell_latency_seconds = time.monotonic() - self._sent[1]
        return True

    async def run(self) -> None:
        patience = Backoff()
        while True:
            try:
                await self._ring_on_one_line(patience)
            except Exception as error:  # noqa: BLE001 - whatever it was: the bell goes on, and the poll stands behind it
                _logger.warning("The bell's connection broke: %r", error)
                await patience.pause()

    async def _ring_on_one_line(self, patience: Backoff) -> None:
        await self._rung.wait()
        async with connect(
            self._url, application_name="gateway bell", timeout_seconds=self._timeout_seconds
        ) as connection:
            while True:
                await self._rung.wait()
                await asyncio.sleep(self._pace.left(events_a_second=self._events_a_second()))
                self._pace.begin()
                await self._ring_once(connection)
                patience.reset()

    def _events_a_second(self) -> float:
        """Ask the log too: where each of many processes rings a little, everybody hears all of it."""
        self._own_growth.see(self._observations.rings)
        return max(self._own_growth.a_second, self._log_growth.a_second)

    async def _ring_once(self, connection: DriverConnection) -> None:
        rung_at = self._rung_at if self._rung_at is not None else time.monotonic()
        self._rung.clear()
        self._rung_at = None
        self._sent = (connection.get_server_pid(), rung_at)
        try:
            await queries.notify_events.execute(connection)
        except BaseException:
            self._rung_at = rung_at
            self._rung.set()
            raise
        self._observations.notifications += 1
