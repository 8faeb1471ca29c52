"""What every use case works with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from gateway.domain.input_checks import InputCheck
from gateway.domain.input_problems import BrokenRule, InputProblemCode
from gateway.storage.database import Database
from gateway.usecases.write_batcher import WriteBatcher

DEFAULT_FAILURE_LIMIT = 5
utc_now: Final = partial(datetime.now, UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """The database, the clock, the notifier, and the limits that the lifecycle depends on."""

    database: Database
    now: Callable[[], datetime] = utc_now
    """The time, with its zone."""
    notify: Callable[[], None]
    """Called after each commit that appended to the event log; must not block."""
    failure_limit: int = DEFAULT_FAILURE_LIMIT
    """This many connection failures in a row make an installation INACTIVE."""
    longest_sync: timedelta = timedelta(days=1)
    """How long one synchronisation may take in all, however often its lease is renewed."""
    new_id: Callable[[], UUID] = uuid4
    """Makes the ids of new rows."""
    batch_writes: bool = True
    """False: each change has a transaction of its own, or is part of the one that its task holds."""
    write_batcher: WriteBatcher = field(init=False)

    def __post_init__(self) -> None:
        batcher = WriteBatcher(self.database, now=self.now, notify=self.notify)
        object.__setattr__(self, "write_batcher", batcher)

    def check_expiry(self, check: InputCheck, expires_at: datetime | None) -> None:
        """Report an `expiresAt` that is past."""
        if expires_at is not None and expires_at <= self.now():
            check.report(("expiresAt",), BrokenRule(InputProblemCode.NOT_IN_FUTURE, "Must be in the future."))
