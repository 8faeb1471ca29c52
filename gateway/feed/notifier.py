"""The notifier: tells the log readers of all processes that there are new events.

NOTIFY inside a write takes a database-wide lock until the commit is done (64 clients: 2,548 to 3,262 transactions a
second without it, 902 to 1,510 with it). So the notification is sent after the commit, on a connection of its own,
where requests that come together become one (3,140 to 3,151). It has no payload: the events are in the log.
"""

import asyncio
import logging
import time
from typing import Final

from gateway.feed.backoff import Backoff, SmoothedRate, Throttle
from gateway.feed.connections import connect
from gateway.feed.stats import FeedStats
from gateway.storage.queries import queries

_logger = logging.getLogger(__name__)


class Notifier:
    """Sends notifications while `run` runs. A request that meets a lost connection is repeated on the next one."""

    def __init__(
        self, *, url: str, stats: FeedStats, log_rate: SmoothedRate, timeout_seconds: float, min_interval_seconds: float
    ) -> None:
        self._url: Final = url
        self._stats: Final = stats
        self._log_rate: Final = log_rate
        self._own_rate: Final = SmoothedRate()
        self._timeout_seconds: Final = timeout_seconds
        self._throttle: Final = Throttle(shortest=min_interval_seconds)
        self._requested: Final = asyncio.Event()
        self._requested_at: float | None = None
        self.process_id: int | None = None
        """The Postgres process that sends this notifier's notifications."""
        self.sent_for = 0.0
        """When the last notification was requested, by time.monotonic."""

    def notify(self) -> None:
        """Request a notification after a commit. Never blocks, never fails."""
        self._stats.notify_requests += 1
        if self._requested_at is None:
            self._requested_at = time.monotonic()
        self._requested.set()

    async def run(self) -> None:
        backoff = Backoff()
        while True:
            await self._requested.wait()
            try:
                async with connect(
                    self._url, application_name="gateway notifier", timeout_seconds=self._timeout_seconds
                ) as connection:
                    self.process_id = connection.get_server_pid()
                    while True:
                        await self._requested.wait()
                        self._own_rate.update(self._stats.notify_requests)
                        # The rate of the log counts too: each of many processes may notify seldom, and all hear all.
                        rate = max(self._own_rate.per_second, self._log_rate.per_second)
                        await asyncio.sleep(self._throttle.remaining(events_per_second=rate))
                        self._throttle.started_at = time.monotonic()
                        self.sent_for = self._requested_at or time.monotonic()
                        self._requested_at = None
                        self._requested.clear()
                        await queries.notify_events.execute(connection)
                        self._stats.notifications += 1
            except Exception as error:  # noqa: BLE001 - the notifier reconnects after any error; readers poll meanwhile
                _logger.warning("The notifier lost its connection: %r", error)
                self._requested_at = self._requested_at or self.sent_for
                self._requested.set()
                await backoff.pause()
