"""Quotas: what a caller may spend on one operation and in a minute, and how many things it may have open.

They are counted by a principal's bounds, not by its credential: several keys or renewed tokens give no more. Each
process counts on its own. Rates follow GCRA: what five seconds of the quota are may be spent at once, and comes back
continuously; so by default no caller takes more than a second of CPU before it is slowed down to a part of a core.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial

from cachetools import LRUCache
from throttled.asyncio import RateLimiterType, Throttled
from throttled.asyncio.rate_limiter import per_min
from throttled.asyncio.store import MemoryStore

from gateway.domain.errors import RateLimited
from gateway.domain.principals import Principal, PrincipalKind

MAX_CALLERS = 100_000
"""The rates of this many callers are kept; beyond, the least recently seen start again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """What one caller may spend, in units of cost."""

    operation: int = 250_000
    minute: int | None = None
    """None: unlimited."""

    @property
    def burst(self) -> int:
        """What may be spent at once: five seconds' quota."""
        return max((self.minute or 0) // 12, 1)

    @property
    def event(self) -> int:
        """What the payload of one event may cost: a subscription runs its operation for each event."""
        return self.operation // 10


class CallerRate:
    """The rate of one caller, and what it owes: the cost of what it was given before it could be charged."""

    __slots__ = ("_burst", "_key", "_limiter", "_queue", "owed", "preparing")

    def __init__(self, limiter: Throttled, *, key: str, burst: int) -> None:
        self.owed = 0
        """At most what may be spent at once, so that nothing keeps its caller waiting for more than some seconds."""
        self.preparing = asyncio.Lock()
        """Held while a document of this caller is parsed: otherwise others wait until hundreds of them are."""
        self._limiter = limiter
        self._key = key
        self._burst = burst
        self._queue = asyncio.Lock()

    def owe(self, cost: int) -> None:
        """Add to what is paid with the next charge."""
        self.owed = min(self.owed + max(cost, 0), self._burst)

    async def charge(self, cost: int) -> None:
        """Take the cost of something to be done, and what is owed. Raises RateLimited."""
        owed, self.owed = self.owed, 0
        result = await self._limiter.limit(self._key, cost=min(cost + owed, self._burst))
        if result.limited:
            self.owe(owed)
            raise RateLimited(
                f"The {self._burst} units of cost that may be spent at once are spent. Try again later.",
                retryAfter=math.ceil(max(result.state.retry_after, 1)),
            )

    async def wait(self, cost: int) -> None:
        """Take the cost, and what is owed, as soon as the rate allows it; those that wait are served in order."""
        async with self._queue:
            while cost or self.owed:
                try:
                    await self.charge(cost)
                except RateLimited as error:
                    await asyncio.sleep(error.extensions["retryAfter"])
                else:
                    break

    async def settle(self, cost: int) -> None:
        """Owe as much of the cost as is left to spend: it is measured by the clock, and others may have caused it."""
        self.owe(min(cost, await self.remaining()))

    async def remaining(self) -> int:
        """Return what can still be spent at once."""
        return max((await self._limiter.peek(self._key)).remaining - self.owed, 0)


class RateLimiter:
    """The rates of all callers, by kind; anonymous callers share one."""

    def __init__(self, quotas: Mapping[PrincipalKind | None, Quota]) -> None:
        limiter = partial(
            Throttled, using=RateLimiterType.GCRA.value, store=MemoryStore(options={"MAX_SIZE": MAX_CALLERS})
        )
        self._limiters = {
            kind: (quota.burst, limiter(quota=per_min(quota.minute, burst=quota.burst)))
            for kind, quota in quotas.items()
            if quota.minute
        }
        self._rates: LRUCache[Hashable, CallerRate] = LRUCache(MAX_CALLERS)

    def of(self, caller: Principal | None) -> CallerRate | None:
        """Return the rate of a caller; None where it has no limit."""
        limited = self._limiters.get(None if caller is None else caller.kind)
        if limited is None:
            return None
        burst, limiter = limited
        key = caller and caller.bounds
        rate = self._rates.get(key)
        if rate is None:
            rate = self._rates[key] = CallerRate(limiter, key=str(key), burst=burst)
        return rate

    async def charge(self, caller: Principal | None, *, cost: int) -> None:
        """Take the cost of something to be done for this caller, and what it owes. Raises RateLimited."""
        if (rate := self.of(caller)) is not None:
            await rate.charge(cost)


class ConcurrencyLimiter:
    """How many things of one sort each caller has open, and the most that it may."""

    def __init__(self, limit: int, *, things: str) -> None:
        self._limit = limit
        self._things = things
        self._open: Counter[Hashable] = Counter()

    def acquire(self, caller: Principal | None, count: int = 1) -> None:
        """Count so many more, until `release`. Raises RateLimited where that is more than the caller may have."""
        key = caller and caller.bounds
        if self._open[key] + count > self._limit:
            raise RateLimited(f"At most {self._limit} {self._things} may be open at a time.", retryAfter=1)
        self._open[key] += count

    def release(self, caller: Principal | None, count: int = 1) -> None:
        key = caller and caller.bounds
        self._open[key] -= count
        if not self._open[key]:
            del self._open[key]
