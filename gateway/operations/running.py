"""The operations that run: how many of one caller at a time, with how many connections, where, and for how long.

All have the same time, so they reach its end in the order in which they begin. Therefore one timer serves them all,
that of the oldest. asyncio.timeout sets one for each and cancels it, in 4.9 us; a Deadline takes 1.5 (2026-11-26,
`python -m tests.benchmarks.requests`).
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from gateway.domain.errors import RateLimited
from gateway.storage.database import connection_share

Result = TypeVar("Result")
MAX_WAITING = 1_000
"""Statements of one caller that wait for its share of the pool: a few pages with a list of its own for each row."""


@dataclass(slots=True, eq=False)
class CallerPlaces:
    """The places of one caller, while it has taken some."""

    caller: Hashable
    taken: int = 0
    waiting: "OrderedDict[asyncio.Future[None], None]" = field(default_factory=OrderedDict)
    """The first one first; any of them leaves it in the same time, however many there are."""


class Places:
    """Lets each caller do `most` things at a time. Those that come later wait, and are served in their order."""

    def __init__(self, *, most: int) -> None:
        self.most: Final = most
        self._callers: dict[Hashable, CallerPlaces] = {}

    def take(self, caller: Hashable) -> CallerPlaces | None:
        """Take a place until `leave`; None: no one is free."""
        places = self._callers.get(caller)
        if places is None:
            places = self._callers[caller] = CallerPlaces(caller)
        elif places.taken == self.most:
            return None
        places.taken += 1
        return places

    async def wait(self, caller: Hashable) -> CallerPlaces:
        """Take the next place that is left."""
        places = self._callers[caller]
        turn = asyncio.get_running_loop().create_future()
        places.waiting[turn] = None
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it got the place in the same turn of the loop
                self.leave(places)
            places.waiting.pop(turn, None)
            raise
        return places

    def leave(self, places: CallerPlaces) -> None:
        """Give the place to the one that has waited longest."""
        while places.waiting:
            turn, _ = places.waiting.popitem(last=False)
            if not turn.done():
                turn.set_result(None)
                return
        places.taken -= 1
        if not places.taken:
            del self._callers[places.caller]


class ConnectionShares(Places):
    """The parts of the pool that each caller may take at a time, so that others always find a connection.

    Beyond its share, a caller's statements wait in its own queue. Lookups by id are not counted: those of all callers
    are gathered.
    """

    @asynccontextmanager
    async def connection(self, caller: Hashable) -> AsyncIterator[None]:
        """Take one more connection as soon as the caller may. Raises RateLimited where too many statements wait.

        What begins meanwhile takes its connections from the whole pool: it may not wait for what waits for it.
        """
        places = self.take(caller)
        if places is None:
            if len(self._callers[caller].waiting) >= MAX_WAITING:
                raise RateLimited(
                    f"{MAX_WAITING} statements wait for the {self.most} connections that you may use at a time.",
                    retryAfter=1,
                )
            places = await self.wait(caller)
        token = connection_share.set(None)
        try:
            yield
        finally:
            connection_share.reset(token)
            self.leave(places)


class Deadlines:
    """The operations that run now, each with its deadline."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.running: dict[Deadline, float] = {}
        """When each has to end, the first first."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop whose timer is set."""

    def set_timer(self, loop: asyncio.AbstractEventLoop, ends: float) -> None:
        """Look at this time which deadlines are over."""
        self.loop = loop
        loop.call_at(ends, self._expire)

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        now, self.loop = loop.time(), None
        for deadline, ends in list(self.running.items()):
            if ends > now:
                self.set_timer(loop, ends)
                break
            del self.running[deadline]
            deadline.expire()


@dataclass(slots=True, eq=False)
class Deadline:
    """Limits the time of what its task does in its context, as `asyncio.timeout` does: raises TimeoutError."""

    _deadlines: Deadlines
    expired: bool = field(default=False, init=False)
    _task: asyncio.Task[Any] = field(init=False)
    _cancelling: int = field(init=False)

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type: what is awaited runs in a task
        self._task = task
        self._cancelling = task.cancelling()
        deadlines, loop = self._deadlines, asyncio.get_running_loop()
        deadlines.running[self] = ends = loop.time() + deadlines.seconds
        if deadlines.loop is not loop:
            deadlines.set_timer(loop, ends)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if not self.expired:
            del self._deadlines.running[self]
        elif self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """Cancel the task."""
        self.expired = True
        self._task.cancel()


class WorkerThread:
    """Runs one function at a time beside the event loop; with several threads the event loop would run less often.

    CPython lets the event loop run every 5 ms meanwhile. A request over a new connection needs some five turns of it:
    while one caller sent documents of 50 ms each, parsed between the turns, /healthz took 250 ms; in a thread it takes
    30.
    """

    def __init__(self) -> None:
        self._free = asyncio.Lock()

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return the function's result. A cancellation waits for its end, so that its caller pays for all of it."""
        async with self._free:
            task = asyncio.create_task(asyncio.to_thread(work))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                await asyncio.wait([task])
                raise
