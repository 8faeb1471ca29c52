"""The tail: the one place in a process where new events are read, each once, and handed to whom they match.

It has a line of its own, on which it listens to the bells of all processes. A second without news it reads all the
same: that finds what no bell told of, and shows that the line is alive. When the line breaks it gets another one, and
goes on where it stood.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from gateway.domain.errors import CursorExpired
from gateway.domain.event_filters import EventFilter
from gateway.domain.events import Position
from gateway.feed.connections import Backoff, SmoothedRate, Throttle, connect
from gateway.feed.stats import FeedStats
from gateway.feed.subscribers import SubscriberIndex
from gateway.storage.database import DriverConnection
from gateway.storage.events import NEWS_CHANNEL, LogPage, ensure_epoch, log_snapshot, read_events

_logger = logging.getLogger(__name__)

_EVERYTHING = EventFilter()
_EVENTS_AT_ONCE = 32
_SHORTEST_WAIT_SECONDS = 0.005
"""How soon the log is read again where events wait for a transaction that is still running."""


class LogReader:
    """Reads while `run` runs."""

    def __init__(
        self,
        *,
        url: str,
        followers: SubscriberIndex,
        observations: FeedStats,
        log_growth: SmoothedRate,
        recognise: Callable[[int], bool],
        heard: Mapping[str, Callable[[], None]],
        poll_seconds: float,
        timeout_seconds: float,
        pace_seconds: float,
        batch_size: int,
    ) -> None:
        self._url: Final = url
        self._followers: Final = followers
        self._observations: Final = observations
        self._log_growth: Final = log_growth
        self._recognise: Final = recognise
        self._heard: Final = heard
        self._poll_seconds: Final = poll_seconds
        self._timeout_seconds: Final = timeout_seconds
        self._pace: Final = Throttle(shortest=pace_seconds)
        self._batch_size: Final = batch_size
        self._news: Final = asyncio.Event()
        self._position: Position | None = None
        self._recheck_seconds = _SHORTEST_WAIT_SECONDS
        self._holder, self._held_since = 0, 0.0

    def nudge(self) -> None:
        """Have the log read soon; nobody needs it where nobody follows."""
        if self._followers:
            self._news.set()

    async def run(self) -> None:
        patience = Backoff()
        while True:
            try:
                await self._read_on_one_line(patience)
            except Exception as error:  # noqa: BLE001 - whatever it was: others wait, and the log can be read again
                _logger.warning("The tail's connection broke: %r", error)
            self._observations.connected = False
            self._observations.reconnects += 1
            await patience.pause()

    async def _read_on_one_line(self, patience: Backoff) -> None:
        async with connect(
            self._url, application_name="gateway tail", timeout_seconds=self._timeout_seconds
        ) as connection:
            connection.add_termination_listener(lambda _connection: self._news.set())
            await connection.add_listener(NEWS_CHANNEL, self._on_notify)
            for channel, act in self._heard.items():
                await connection.add_listener(channel, lambda *_, act=act: act())
                act()  # what was notified before is not told again
            if await ensure_epoch(connection):
                _logger.warning("The log was written in another cluster: it has a new epoch, and old cursors expire.")
            while True:
                pause = await self._read(connection)
                self._observations.connected = True
                patience.reset()
                await self._wait(pause)

    def _on_notify(self, _connection: object, process_id: int, _channel: str, _payload: object) -> None:
        if not self._recognise(process_id):  # of what happens here, the tail has been told already
            self.nudge()

    async def _read(self, connection: DriverConnection) -> float:
        """Hand out what is new; answer for how many seconds no more is expected."""
        self._pace.begin()
        if self._position is None or not self._followers:
            await self._jump(connection)
            return self._poll_seconds
        keys = self._followers.keys()
        try:
            page = await read_events(
                connection,
                matching=_EVERYTHING,
                after=self._position,
                limit=self._batch_size,
                wanted=self._followers.want,
                keys=keys,
            )
        except CursorExpired:
            await self._jump(connection)
            return self._poll_seconds
        self._log_growth.see(page.state.latest.id)
        if keys is not None:
            self._followers.miss_arrivals()
        await self._deliver(page, start=self._position)
        self._watch_horizon(page.state.horizon, next_xid=page.state.next_xid)
        if page.read == self._batch_size:
            return 0.0
        return self._pause_while(waiting=page.state.waiting)

    async def _deliver(self, page: LogPage, *, start: Position) -> None:
        """Hand events out, a few at a time: with many followers others would wait for the loop.

        Who came since the page was asked for finds in the log what was not wanted then.
        """
        self._observations.events_read += page.read
        for first in range(0, len(page.events), _EVENTS_AT_ONCE):
            some = page.events[first : first + _EVENTS_AT_ONCE]
            self._followers.deliver(some, before=self._position or start)
            self._position = some[-1].position
            await asyncio.sleep(0)
        if page.end is not None and page.read == self._batch_size:
            self._position = page.end
        else:  # all that there is was read, or was not wanted
            self._position = max(self._position or start, page.state.latest)

    async def _jump(self, connection: DriverConnection) -> None:
        """Go to where the log stands, and have everybody who follows read from the log what lies between.

        So it is where nobody follows, at the start, and when the tail was away for longer than what is kept.
        """
        snapshot = await log_snapshot(connection)
        self._log_growth.see(snapshot.latest.id)
        self._followers.fall_back(tail=self._position)
        self._position = snapshot.latest
        self._watch_horizon(snapshot.oldest_running, next_xid=snapshot.next_xid)

    def _pause_while(self, *, waiting: bool) -> float:
        """Look again soon, but ever less so, where events wait for a transaction: its end may ring no bell."""
        if not waiting:
            self._recheck_seconds = _SHORTEST_WAIT_SECONDS
            return self._poll_seconds
        pause = self._recheck_seconds
        self._recheck_seconds = min(pause * 2, self._poll_seconds)
        return pause

    async def _wait(self, pause: float) -> None:
        if not pause:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(pause, self._rest_left())):
                await self._news.wait()
        await asyncio.sleep(self._rest_left())
        self._news.clear()

    def _rest_left(self) -> float:
        return self._pace.left(events_a_second=self._log_growth.a_second)

    def _watch_horizon(self, horizon: int, *, next_xid: int) -> None:
        """Measure for how long the same transaction has been the oldest. Needs no right to see others' sessions."""
        if horizon != self._holder:
            self._holder, self._held_since = horizon, time.monotonic()
        held = horizon < next_xid
        self._observations.horizon_lag_seconds = time.monotonic() - self._held_since if held else 0.0
