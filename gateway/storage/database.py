"""The handle on Postgres: a pool of connections with limits on everything, and what its failures mean.

`databases` owns the pool, and knows which task holds which connection: a task that asks again gets the one it holds,
its child tasks get others. Statements run on the asyncpg connection beneath.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Self, TypeAlias, TypeVar, cast

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
_UNREACHABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""What the server answers, beside OSError, where no connection can be opened."""
_UNREACHABLE_MESSAGE = "The database cannot be reached. Try again later."
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


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
        except (OSError, *_UNREACHABLE) as error:
            raise Unavailable(_UNREACHABLE_MESSAGE) from error

    def usage(self) -> tuple[int, int]:
        """Tell how many connections the pool has, and how many of them are in use."""
        pool = getattr(self._backend, "_pool", None)
        if pool is None:
            return 0, 0
        return pool.get_size(), pool.get_size() - pool.get_idle_size()

    async def expire_connections(self) -> None:
        """Have the pool open each connection anew before it is used again."""
        await self._backend._pool.expire_connections()  # noqa: SLF001 - it has no public name

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
        init_size=1,
        # With a floor, the pool would open connections on its own while the server is away, and log a traceback for
        # each attempt. What is needed is opened when it is acquired.
        min_size=0,
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


class ConnectionLost(Unavailable):
    """The server closed the connection while it was held: what ran on it may or may not have taken effect."""


async def read(
    database: Database,
    select: Callable[Concatenate[Connection, Arguments], Awaitable[Result]],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Run a select on a connection, and once more on a fresh one where the server had closed the first.

    Raises:
        Unavailable: There is no connection to be had.
        TimedOut: It took too long; that is not tried again.
    """
    try:
        async with connection(database) as held:
            return await select(held, *args, **kwargs)
    except ConnectionLost:
        # A restart or a failover closes all connections at once, and the driver learns it of each one only when it
        # next reads from it: the second attempt has to be made on a connection that is opened now.
        await database.expire_connections()
    async with connection(database) as held:
        return await select(held, *args, **kwargs)


@asynccontextmanager
async def transaction(database: Database) -> AsyncIterator[Connection]:
    """Hold a connection inside one transaction, READ COMMITTED. Raise Unavailable or TimedOut.

    Never repeated where the connection is lost: the server may have committed before.
    The transaction is the driver's: that of `databases` never gives its connection back when the rollback fails, as it
    does whenever the server has gone.
    """
    async with connection(database) as held, held.transaction(isolation="read_committed"):
        yield held


@asynccontextmanager
async def connection(database: Database) -> AsyncIterator[Connection]:
    """Hold a connection; each statement sees its own snapshot. Raise Unavailable, ConnectionLost or TimedOut."""
    holder = database.connection()
    try:
        async with asyncio.timeout(database.acquire_seconds):
            await holder.__aenter__()
    except TimeoutError as error:
        raise Unavailable("All connections to the database are in use. Try again later.") from error
    except (OSError, asyncpg.InterfaceError, *_UNREACHABLE) as error:
        raise Unavailable(_UNREACHABLE_MESSAGE) from error
    held: Connection = holder.raw_connection
    try:
        yield held
    except asyncio.CancelledError:
        _interrupt(held)
        raise
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        translated = _translated(error, held=held)
        if translated is error:
            raise
        raise translated from error
    finally:
        await _release(database, holder=holder)


def _translated(error: Exception, *, held: Connection) -> Exception:
    """Return the GatewayError that a failure on a held connection means, or the failure itself."""
    match error:
        case asyncpg.QueryCanceledError() | asyncpg.LockNotAvailableError() | TimeoutError():
            _interrupt(held)
            return TimedOut("The database took too long.")
        case ConnectionError() | asyncpg.PostgresConnectionError() | asyncpg.OperatorInterventionError():
            return ConnectionLost(_UNREACHABLE_MESSAGE)
        case asyncpg.IdleInTransactionSessionTimeoutError():
            return ConnectionLost(_UNREACHABLE_MESSAGE)
        case asyncpg.InterfaceError() if _is_closed(held):
            return ConnectionLost(_UNREACHABLE_MESSAGE)
        case asyncpg.ReadOnlySQLTransactionError():
            return Unavailable(_UNREACHABLE_MESSAGE)
        case asyncpg.PostgresError():
            _remove_values(error)
    return error


async def _release(database: Database, *, holder: databases.core.Connection) -> None:
    """Give the connection back; a failure is logged only, since the work on it is done."""
    try:
        await holder.__aexit__()
    except BaseException as error:
        # Otherwise this task would be handed the broken holder when it asks again, and `databases` asserts on it.
        database._connection = None  # noqa: SLF001 - there is no public way to forget a holder
        if not isinstance(error, Exception):
            raise
        _logger.warning("A connection broke when it was released: %r", error)


def _interrupt(held: Connection) -> None:
    with suppress(asyncpg.InterfaceError):  # the pool has already taken it back, as it does with those that broke
        cast("_PooledConnection", held).interrupt()


def _is_closed(held: Connection) -> bool:
    try:
        return held.is_closed()
    except asyncpg.InterfaceError:  # the pool has already taken it back, as it does with those that broke
        return True


def _remove_values(error: asyncpg.PostgresError) -> None:
    """Take out of an error what stood in rows and parameters: it may come to be logged, and metadata must not be."""
    error.detail = None
    if isinstance(error, asyncpg.DataError):  # its very message says which value it is
        error.args = ("A value does not fit its type.",)
        error.__cause__ = None
        error.__suppress_context__ = True


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
