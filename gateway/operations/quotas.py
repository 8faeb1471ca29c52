"""Quotas: what a caller may spend on one operation and in a minute, and how many things it may have open.

They are counted by a principal's bounds, not by its credential: several keys or renewed tokens give no more. Each
process counts on its own. Rates follow GCRA: what five seconds of the quota are may be spent at once, and comes back
continuously; so by default no caller takes more than a second of CPU before it is slowed down to a part of a core.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

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


class RateLimiter:
    """The rates of all callers, by kind; None stands for anonymous callers, who share one quota."""

    def __init__(self, quotas: Mapping[PrincipalKind | None, Quota]) -> None:
        limiter = partial(
            Throttled, using=RateLimiterType.GCRA.value, store=MemoryStore(options={"MAX_SIZE": MAX_CALLERS})
        )
        self._limiters = {
            kind: (quota.burst, limiter(quota=per_min(quota.minute, burst=quota.burst)))
            for kind, quota in quotas.items()
            if quota.minute
        }

    async def charge(self, caller: Principal | None, *, cost: int) -> None:
        """Take the cost of something to be done for this caller. Raises RateLimited."""
        limited = self._limiters.get(None if caller is None else caller.kind)
        if limited is None:
            return
        burst, limiter = limited
        result = await limiter.limit(limit_key(caller), cost=min(cost, burst))
        if result.limited:
            raise RateLimited(
                f"The {burst} units of cost that may be spent at once are spent. Try again later.",
                retryAfter=math.ceil(max(result.state.retry_after, 1)),
            )

    async def settle(self, caller: Principal | None, *, cost: int) -> None:
        """Take what something has cost beyond its charge; as much as is left."""
        limited = self._limiters.get(None if caller is None else caller.kind)
        if limited is not None and cost > 0:
            left = await self.remaining(caller)
            await limited[1].limit(limit_key(caller), cost=min(cost, left))

    async def remaining(self, caller: Principal | None) -> int:
        """Return what a caller whose rate is limited can still spend at once."""
        _, limiter = self._limiters[None if caller is None else caller.kind]
        return (await limiter.peek(limit_key(caller))).remaining

    async def wait(self, caller: Principal | None, *, cost: int) -> None:
        """Take the cost as soon as the caller's quota allows it."""
        while True:
            try:
                return await self.charge(caller, cost=cost)
            except RateLimited as error:
                await asyncio.sleep(error.extensions["retryAfter"])


class ConcurrencyLimiter:
    """How many things of one sort each caller has open, and the most that it may."""

    def __init__(self, limit: int, *, things: str) -> None:
        self._limit = limit
        self._things = things
        self._open: Counter[str] = Counter()

    def acquire(self, caller: Principal | None) -> None:
        """Count one more, until `release`. Raises RateLimited where the caller has as many as it may."""
        key = limit_key(caller)
        if self._open[key] >= self._limit:
            raise RateLimited(f"At most {self._limit} {self._things} may be open at a time.", retryAfter=1)
        self._open[key] += 1

    def release(self, caller: Principal | None) -> None:
        key = limit_key(caller)
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]


def limit_key(caller: Principal | None) -> str:
    """Return what all credentials of one caller have in common."""
    if caller is None:
        return "anonymous"
    return f"{caller.kind.value}:{caller.application_id}:{caller.account_id}"
