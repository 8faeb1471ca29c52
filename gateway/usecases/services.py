"""What every use case works with."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from gateway.domain.errors import BadUserInput
from gateway.storage.database import Database

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

    def require_future(self, expires_at: datetime | None) -> None:
        """Raise BadUserInput where an expiry is past."""
        if expires_at is not None and expires_at <= self.now():
            raise BadUserInput("expiresAt must be in the future.", argument="expiresAt")
