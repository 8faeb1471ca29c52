"""The log reader: the one place in a process that reads new events, each once, and delivers them to subscribers.

It has a connection of its own, on which it listens to the notifications of all processes. After a second without one it
reads the log all the same: that finds events whose notification was lost, and detects a dead connection. When the
connection is lost it reconnects, and goes on from its position.

On another server than before, or on the same after a restart, every subscriber reads the log again from its own
position: a standby may lack what the subscriber has received, and then tells it CURSOR_EXPIRED.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.domain.cursors import Position
from gateway.domain.errors import CursorExpired
from gateway.domain.event_filters import ALL_EVENTS
from gateway.domain.pages import Window
from gateway.feed.backoff import Backoff, Throttle
from gateway.feed.connections import Connect
from gateway.feed.notifier import Notifier
from gateway.feed.stats import FeedStats
from gateway.feed.subscribers import SubscriberIndex
from gateway.storage.database import DriverConnection
from gateway.storage.events import EVENTS_CHANNEL, LogPage, WantedKeys, ensure_epoch, log_snapshot, read_pages

_logger = logging.getLogger(__name__)

_EVENTS_PER_TURN = 32
"""Events delivered in one turn of the event loop; with many subscribers, other work would wait for more."""
_SHORTEST_RECHECK_SECONDS = 0.005
"""The first pause before the log is read again where events wait for a transaction that is still running."""


@dataclass(kw_only=True, eq=False)
class LogReader:
    """Reads while `run` runs."""

    connect: Connect
    subscribers: SubscriberIndex
    notifier: Notifier
    stats: FeedStats
    listeners: Mapping[str, Callable[[], None]]
    on_failover: Callable[[], Awaitable[None]]
    """Called when another server is read than before: other connections may still be to the old one."""
    poll_seconds: float
    batch_size: int
    _throttle: Throttle = field(default_factory=Throttle, init=False)
    _position: Position | None = field(default=None, init=False)
    _recheck_seconds: float = field(default=_SHORTEST_RECHECK_SECONDS, init=False)
    _oldest_xid: int = field(default=0, init=False)
    _oldest_since: float = field(default=0.0, init=False)

    async def run(self) -> None:
        backoff = Backoff()
        while True:
            try:
                async with self.connect(application_name="gateway log reader") as connection:
                    await self._listen(connection)
                    while True:
                        pause = await self._read(connection)
                        self.stats.connected = True
                        if not pause:
                            continue
                        rate = self.notifier.log_rate.per_second
                        with suppress(TimeoutError):
                            async with asyncio.timeout(max(pause, self._throttle.remaining(events_per_second=rate))):
                                await self.notifier.log_reader_woken.wait()
                        await asyncio.sleep(self._throttle.remaining(events_per_second=rate))
                        self.notifier.log_reader_woken.clear()
            except Exception as error:  # noqa: BLE001 - the reader reconnects after any error; the log keeps the events
                _logger.warning("The log reader lost its connection: %r", error)
            self.stats.connected = False
            self.stats.reconnects += 1
            await backoff.pause()

    async def _listen(self, connection: DriverConnection) -> None:
        connection.add_termination_listener(lambda _connection: self.notifier.log_reader_woken.set())
        await connection.add_listener(EVENTS_CHANNEL, self._on_notify)
        for channel, call in self.listeners.items():
            await connection.add_listener(channel, lambda *_, call=call: call())
            call()  # an earlier notification is not repeated
        if await ensure_epoch(connection):
            _logger.warning("The log was written in another cluster: it has a new epoch, and old cursors expire.")

    def _on_notify(self, _connection: object, process_id: int, _channel: str, _payload: object) -> None:
        if process_id == self.notifier.process_id:  # its events have woken this reader already
            self.stats.notify_latency_seconds = time.monotonic() - self.notifier.sent_for
        elif self.stats.subscribers:  # without subscribers there is no need to read soon
            self.notifier.log_reader_woken.set()

    async def _read(self, connection: DriverConnection) -> float:
        """Deliver the new events, and return the seconds after which to read again without a notification."""
        self._throttle.started_at = time.monotonic()
        if self._position is None or not self.stats.subscribers:
            return await self._resync(connection)
        interest = self.subscribers.interest()
        try:
            [page] = await read_pages(
                connection,
                matching=ALL_EVENTS,
                window=Window(size=self.batch_size, backward=False, after=self._position, before=None),
                limit=self.batch_size,
                interest=interest,
            )
        except CursorExpired:
            return await self._resync(connection)
        state = page.state
        if state.server != self.subscribers.server:
            return await self._resync(connection)
        self.subscribers.latest = state.latest
        self.notifier.log_rate.update(state.latest.id)
        self.stats.horizon_lag_seconds = self._horizon_lag(state.horizon) if state.horizon < state.next_xid else 0.0
        if self.subscribers.new and isinstance(interest, WantedKeys):
            self.subscribers.invalidate_new()
        await self._deliver(page, start=self._position)
        if page.read == self.batch_size:
            return 0.0
        if not state.waiting:
            self._recheck_seconds = _SHORTEST_RECHECK_SECONDS
            return self.poll_seconds
        # Events wait for a running transaction, whose end may send no notification: read again, at growing intervals.
        pause = self._recheck_seconds
        self._recheck_seconds = min(pause * 2, self.poll_seconds)
        return pause

    async def _deliver(self, page: LogPage, *, start: Position) -> None:
        """Deliver a page, a few events in each turn of the loop.

        A subscriber that arrived after the page was requested reads from the log what the request did not include.
        """
        self.stats.events_read += page.read
        for first in range(0, len(page.events), _EVENTS_PER_TURN):
            some = page.events[first : first + _EVENTS_PER_TURN]
            self.subscribers.deliver(some, before=self._position or start)
            self._position = some[-1].position
            await asyncio.sleep(0)
        if page.end is not None and page.read == self.batch_size:
            self._position = page.end
        else:  # everything that can be read was read, or no subscriber has interest in it
            self._position = max(self._position or start, page.state.latest)
        self.subscribers.delivered = self._position
        if self.subscribers.awaiting:
            self.subscribers.wake_awaiting()

    async def _resync(self, connection: DriverConnection) -> float:
        """Skip to the end of the log, and have all subscribers read from the log what lies between.

        Done without subscribers, at the start, on another server, and when the reader was away for longer than events
        are kept.
        """
        snapshot = await log_snapshot(connection)
        self.subscribers.latest = snapshot.latest
        self.notifier.log_rate.update(snapshot.latest.id)
        self.subscribers.resync(reader_position=self._position)
        self._position = snapshot.latest
        self.subscribers.delivered = self._position
        if self.subscribers.awaiting:
            self.subscribers.wake_awaiting()
        horizon = snapshot.horizon
        self.stats.horizon_lag_seconds = self._horizon_lag(horizon) if horizon < snapshot.next_xid else 0.0
        server, self.subscribers.server = self.subscribers.server, snapshot.server
        if server not in {None, snapshot.server}:
            _logger.warning("The log is read from a server that was started at %s.", snapshot.server.isoformat())
            await self.on_failover()
        return self.poll_seconds

    def _horizon_lag(self, horizon: int) -> float:
        """Return for how many seconds this transaction has been the oldest; needs no right to see other sessions."""
        if horizon != self._oldest_xid:
            self._oldest_xid, self._oldest_since = horizon, time.monotonic()
        return time.monotonic() - self._oldest_since
