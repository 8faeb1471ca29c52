"""What a caller may spend: on one operation, in a minute, and how much it may have open at a time.

They are counted by bounds, not by credentials: a caller gets no more by using several keys, or by renewing a token.
They are this process's own. Rates are GCRA's, which lets a minute's worth be spent at once and then as it comes back.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from throttled.asyncio import RateLimiterType, Throttled
from throttled.asyncio.rate_limiter import per_min
from throttled.asyncio.store import MemoryStore

from gateway.domain.principals import Principal, PrincipalKind
from gateway.execution.errors import OperationTooComplex, RateLimited

MOST_CALLERS = 100_000
"""So many callers' rates are remembered; beyond, those that were not seen for longest start anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """What one caller may spend, in units of cost."""

    operation: int = 10_000
    minute: int | None = None
    """None: as much as it likes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quotas:
    """What callers may spend by their kind; nobody in particular spends from one purse."""

    kinds: Mapping[PrincipalKind, Quota] = field(default_factory=dict)
    nobody: Quota = field(default_factory=Quota)

    def of(self, caller: Principal | None) -> Quota:
        return self.nobody if caller is None else self.kinds.get(caller.kind, Quota())


class RateLimiter:
    """What callers have left."""

    def __init__(self, allowances: Quotas) -> None:
        self._allowances = allowances
        self._store = MemoryStore(options={"MAX_SIZE": MOST_CALLERS})
        self._limiters: dict[int, Throttled] = {}

    def allowed(self, caller: Principal | None) -> int:
        """Return what one operation of this caller may cost."""
        return self._allowances.of(caller).operation

    async def spend(self, caller: Principal | None, *, cost: int) -> None:
        """Take the cost of one operation before it runs. Raises OperationTooComplex and RateLimited."""
        allowance = self._allowances.of(caller)
        if cost > allowance.operation:
            raise OperationTooComplex(
                f"The operation would cost {cost}; at most {allowance.operation} are allowed. Ask for shorter pages,"
                " or for less of each item.",
                limit="cost",
                allowed=allowance.operation,
                cost=cost,
            )
        await self.charge(caller, cost=cost)

    async def charge(self, caller: Principal | None, *, cost: int) -> None:
        """Take the cost of anything that is done for this caller. Raises RateLimited."""
        per_minute = self._allowances.of(caller).minute
        if per_minute is not None:
            await self._charge(caller, cost=min(cost, per_minute), per_minute=per_minute)

    async def _charge(self, caller: Principal | None, *, cost: int, per_minute: int) -> None:
        limiter = self._limiters.get(per_minute)
        if limiter is None:
            quota = per_min(per_minute, burst=per_minute)
            limiter = Throttled(using=RateLimiterType.GCRA.value, quota=quota, store=self._store)
            self._limiters[per_minute] = limiter
        result = await limiter.limit(_purse(caller), cost=cost)
        if result.limited:
            raise RateLimited(
                f"All of {per_minute} units of cost a minute are spent. Try again later.",
                retry_after=math.ceil(max(result.state.retry_after, 1)),
            )


class ConcurrencyLimiter:
    """How much of one thing is open for each caller, and the most that may be."""

    def __init__(self, most: int, *, called: str) -> None:
        self._most = most
        self._called = called
        self._taken: Counter[Hashable] = Counter()

    @contextmanager
    def taken(self, caller: Principal | None) -> Iterator[None]:
        """Take a place while the context lasts. Raises RateLimited where there is none left."""
        self.take(caller)
        try:
            yield
        finally:
            self.leave(caller)

    def take(self, caller: Principal | None) -> None:
        """Take a place, to be given back by `leave`. Raises RateLimited where there is none left."""
        purse = _purse(caller)
        if self._taken[purse] >= self._most:
            raise RateLimited(f"At most {self._most} {self._called} may be open at a time.", retry_after=1)
        self._taken[purse] += 1

    def leave(self, caller: Principal | None) -> None:
        purse = _purse(caller)
        self._taken[purse] -= 1
        if not self._taken[purse]:
            del self._taken[purse]


def _purse(caller: Principal | None) -> str:
    if caller is None:
        return "nobody"
    return f"{caller.kind.value}:{caller.application_id}:{caller.account_id}"
