"""The running gateway: what every use case works with."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from gateway.storage.database import Connection, Database, connection, transaction

DEFAULT_FAILURE_LIMIT = 5


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """A database, a clock, a bell, and the limits that the lifecycle depends on."""

    database: Database
    now: Callable[[], datetime]
    """The time, with its zone."""
    notify: Callable[[], None]
    """Called after each commit that may have appended to the log."""
    failure_limit: int = DEFAULT_FAILURE_LIMIT
    """So many connection failures in a row make an installation INACTIVE."""
    new_id: Callable[[], UUID] = uuid4
    """Names what is new."""

    def reading(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection; each statement sees what is committed when it starts."""
        return connection(self.database)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Connection]:
        """Lend a connection inside one transaction, and ring the bell once it is committed."""
        async with transaction(self.database) as lent:
            yield lent
        self.notify()
