"""The notifier: notifies the log readers of all processes of new events.

NOTIFY inside a write takes a database-wide lock until the commit is done (64 clients: 2,548 to 3,262 transactions a
second without it, 902 to 1,510 with it). So the notification is sent after the commit, on a connection of its own,
where requests that come together become one (3,140 to 3,151). It has no payload: the events are in the log.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from gateway.feed.backoff import Backoff, SmoothedRate, Throttle
from gateway.feed.connections import Connect
from gateway.feed.stats import FeedStats
from gateway.storage.queries import queries

_logger = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class Notifier:
    """Sends notifications while `run` runs. A request that meets a lost connection is repeated on the next one."""

    connect: Connect
    stats: FeedStats
    log_rate: SmoothedRate = field(default_factory=SmoothedRate, init=False)
    """The growth of the log, as the log reader finds it."""
    log_reader_woken: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Wakes the log reader of this process, which need not wait for the notification."""
    process_id: int | None = None
    """The Postgres process that sends this notifier's notifications."""
    sent_for: float = 0.0
    """When the last notification was requested, by time.monotonic."""
    _throttle: Throttle = field(default_factory=Throttle, init=False)
    _own_rate: SmoothedRate = field(default_factory=SmoothedRate, init=False)
    _requested: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _requested_at: float | None = field(default=None, init=False)

    def notify(self) -> None:
        """Wake the log readers of all processes after a commit. Never blocks, never fails."""
        if self.stats.subscribers:
            self.log_reader_woken.set()
        self.stats.notify_requests += 1
        if self._requested_at is None:
            self._requested_at = time.monotonic()
        self._requested.set()

    async def run(self) -> None:
        backoff = Backoff()
        while True:
            await self._requested.wait()
            try:
                async with self.connect(application_name="gateway notifier") as connection:
                    self.process_id = connection.get_server_pid()
                    while True:
                        await self._requested.wait()
                        self._own_rate.update(self.stats.notify_requests)
                        # The rate of the log counts too: each of many processes may notify seldom, and all receive all.
                        rate = max(self._own_rate.per_second, self.log_rate.per_second)
                        await asyncio.sleep(self._throttle.remaining(events_per_second=rate))
                        self._throttle.started_at = time.monotonic()
                        self.sent_for = self._requested_at or time.monotonic()
                        self._requested_at = None
                        self._requested.clear()
                        await connection.execute(queries.notify_events.sql)
                        self.stats.notifications += 1
            except Exception as error:  # noqa: BLE001 - the notifier reconnects after any error; readers poll meanwhile
                _logger.warning("The notifier lost its connection: %r", error)
                self._requested_at = self._requested_at or self.sent_for
                self._requested.set()
                await backoff.pause()
