"""The handle on Postgres: a pool of connections with limits on everything, and what its failures mean.

`databases` owns the pool, and knows which task holds which connection: a task that asks again gets the one it holds,
its child tasks get others. Statements run on the asyncpg connection beneath.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Self, TypeAlias, cast

import asyncpg
import databases
from asyncpg.pool import PoolConnectionProxy

from gateway.domain.errors import TimedOut, Unavailable

if TYPE_CHECKING:
    DriverConnection: TypeAlias = asyncpg.Connection[asyncpg.Record]
    Connection: TypeAlias = DriverConnection | PoolConnectionProxy[asyncpg.Record]
else:  # the driver's classes are generic in their stubs alone
    DriverConnection = asyncpg.Connection
    Connection = asyncpg.Connection | PoolConnectionProxy

_logger = logging.getLogger(__name__)

_STATEMENTS = 500
"""How many prepared statements a connection keeps: more than there are named queries and variants of them."""
_CLIENT_GRACE_SECONDS = 5
"""How much later than the server the client gives up on a statement: only where the server no longer answers."""
_CLOSE_SECONDS = 2
"""For how long the pool waits, when it closes, for connections that are in use."""
_TOO_LONG = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, TimeoutError)
_LOST = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)


class _PooledConnection(DriverConnection):
    """A connection that is handed on as it is.

    The driver's reset at each release costs a round trip, a third of a point query. It undoes what a session keeps,
    and nothing here leaves any of that: settings are `set local`, advisory locks are the transaction's, cursors have
    no hold, and nobody listens on a pooled connection. An open transaction is rolled back all the same.

    One that was interrupted is the exception: between preparing a statement and running it the driver sends no sync,
    and until then the statement's locks are held, and its time runs.
    """

    interrupted = False

    def interrupt(self) -> None:
        """Have the next release end whatever is left open on the server."""
        self.interrupted = True

    def get_reset_query(self) -> str:
        interrupted, self.interrupted = self.interrupted, False
        return "select" if interrupted else ""


class Database(databases.Database):
    """A `databases.Database` whose waiting for a connection is bounded. Made by open_database."""

    acquire_seconds: float

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def connect(self) -> None:
        """Open the pool. Raise Unavailable, or ValueError where the address makes no sense."""
        try:
            await super().connect()
        except (OSError, *_LOST) as error:
            raise _unreachable() from error

    def usage(self) -> tuple[int, int]:
        """Tell how many connections the pool has, and how many of them are in use."""
        pool = getattr(self._backend, "_pool", None)
        if pool is None:
            return 0, 0
        return pool.get_size(), pool.get_size() - pool.get_idle_size()

    async def disconnect(self) -> None:
        """Close the pool: connections that somebody still works on are given a moment, then they are cut."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await super().disconnect()
        except TimeoutError:
            _logger.warning("Connections to the database were cut, since they were in use")


def open_database(
    url: str,
    *,
    pool_size: int = 10,
    acquire_seconds: float = 5,
    connect_seconds: float = 10,
    statement_seconds: float = 10,
    lock_seconds: float = 5,
    idle_in_transaction_seconds: float = 10,
    application_name: str = "gateway",
) -> Database:
    """Make the handle; `async with` opens it. `url` is read as libpq reads it, `sslmode` and its like included."""
    database = Database(
        # asyncpg reads the address itself: of what stands behind its "?", `databases` would pass on only few words.
        "postgresql://",
        dsn=url,
        database=None,
        min_size=1,
        max_size=pool_size,
        timeout=connect_seconds,
        command_timeout=statement_seconds + _CLIENT_GRACE_SECONDS,
        connection_class=_PooledConnection,
        statement_cache_size=_STATEMENTS,
        server_settings={
            "application_name": application_name,
            "statement_timeout": _milliseconds(statement_seconds),
            "lock_timeout": _milliseconds(lock_seconds),
            "idle_in_transaction_session_timeout": _milliseconds(idle_in_transaction_seconds),
            "jit": "off",
            "timezone": "UTC",
        },
    )
    database.acquire_seconds = acquire_seconds
    return database


@asynccontextmanager
async def connection(database: Database) -> AsyncIterator[Connection]:
    """Hold a connection, for reads: each statement sees its own snapshot. Raise Unavailable or TimedOut."""
    holder = await _acquired(database)
    held: Connection = holder.raw_connection
    try:
        yield held
    except asyncio.CancelledError:
        _interrupt(held)
        raise
    except _TOO_LONG as error:
        _interrupt(held)
        raise TimedOut("The database took too long.") from error
    except _LOST as error:
        raise _unreachable() from error
    except asyncpg.InterfaceError as error:
        if _is_gone(held):
            raise _unreachable() from error
        raise
    except asyncpg.PostgresError as error:
        _forget_values(error)
        raise
    finally:
        await _release(database, holder=holder)


@asynccontextmanager
async def transaction(database: Database) -> AsyncIterator[Connection]:
    """Hold a connection inside one transaction, READ COMMITTED. Raise Unavailable or TimedOut.

    The transaction is the driver's: that of `databases` never gives its connection back when the rollback fails, as it
    does whenever the server has gone.
    """
    async with connection(database) as held, held.transaction(isolation="read_committed"):
        yield held


async def _acquired(database: Database) -> databases.core.Connection:
    holder = database.connection()
    try:
        async with asyncio.timeout(database.acquire_seconds):
            return await holder.__aenter__()
    except TimeoutError as error:
        raise Unavailable("All connections to the database are in use. Try again later.") from error
    except (OSError, asyncpg.InterfaceError, *_LOST) as error:
        raise _unreachable() from error


async def _release(database: Database, *, holder: databases.core.Connection) -> None:
    """Give the connection back; that it broke is no news to somebody whose work is done."""
    try:
        await holder.__aexit__()
    except BaseException as error:
        # Otherwise this task would be handed the broken holder when it asks again, and `databases` asserts on it.
        database._connection = None  # noqa: SLF001 - there is no public way to forget a holder
        if not isinstance(error, Exception):
            raise
        _logger.warning("A connection broke when it was given back: %r", error)


def _interrupt(held: Connection) -> None:
    with suppress(asyncpg.InterfaceError):  # the pool has already taken it back, as it does with those that broke
        cast("_PooledConnection", held).interrupt()


def _is_gone(held: Connection) -> bool:
    try:
        return held.is_closed()
    except asyncpg.InterfaceError:  # the pool has already taken it back, as it does with those that broke
        return True


def _forget_values(error: asyncpg.PostgresError) -> None:
    """Take out of an error what stood in rows and parameters: it may come to be logged, and metadata must not be."""
    error.detail = None
    if isinstance(error, asyncpg.DataError):  # its very message says which value it is
        error.args = ("A value does not fit its type.",)
        error.__cause__ = None
        error.__suppress_context__ = True


def _unreachable() -> Unavailable:
    return Unavailable("The database cannot be reached. Try again later.")


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
