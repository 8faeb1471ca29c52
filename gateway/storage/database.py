"""The pool of connections to Postgres, with limits on everything, and what its errors mean.

`databases` owns the pool, and knows which task holds which connection: a task that asks again gets the connection that
it holds, its child tasks get others. Statements run on the asyncpg connection beneath.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, Self, TypeAlias, TypeVar, cast
from weakref import WeakValueDictionary

import asyncpg
import databases
from asyncpg.connect_utils import SessionAttribute
from asyncpg.pool import PoolConnectionProxy

from gateway.domain.errors import RateLimited, TimedOut, Unavailable

if TYPE_CHECKING:
    DriverConnection: TypeAlias = asyncpg.Connection[asyncpg.Record]
    Connection: TypeAlias = DriverConnection | PoolConnectionProxy[asyncpg.Record]
else:  # asyncpg's classes are generic in their stubs only
    DriverConnection = asyncpg.Connection
    Connection = asyncpg.Connection | PoolConnectionProxy

_logger = logging.getLogger(__name__)

_STATEMENTS = 500
"""Prepared statements that a connection caches: more than there are named queries and variants."""
_CLIENT_GRACE_SECONDS = 5
"""How much longer than statement_timeout the client waits, which matters only where the server does not answer."""
MAX_WAITING = 1_000
"""Statements of one caller that wait for its share of the pool: a few pages with a list of its own for each row."""
_CLOSE_SECONDS = 2
"""How long closing the pool waits for connections that are in use."""
_UNREACHABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.TargetServerAttributeNotMatched,
)
"""The errors, besides OSError, where no connection can be opened."""
_CLOSED_BY_SERVER = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
_UNREACHABLE_MESSAGE = "The database cannot be reached. Try again later."
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class _PooledConnection(DriverConnection):
    """A connection that is not reset when it is released.

    asyncpg's reset costs a round trip, a third of a point query. It clears a session's state, of which nothing here
    leaves any: settings are `set local`, advisory locks belong to a transaction, no cursor is `with hold`, and LISTEN
    has its own connections. An open transaction is rolled back nevertheless.

    After a cancellation or a timeout (`interrupted`) it is reset by an empty statement: between preparing a statement
    and running it asyncpg sends no sync, and until there is one its locks are held, and its statement_timeout runs.
    """

    interrupted = False

    def interrupt(self) -> None:
        """Have the next release reset the connection."""
        self.interrupted = True

    def get_reset_query(self) -> str:
        interrupted, self.interrupted = self.interrupted, False
        return "select" if interrupted else ""


class Database(databases.Database):
    """A `databases.Database` that bounds the wait for a connection. open_database makes one."""

    acquire_seconds: float

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def connect(self) -> None:
        """Open the pool. Raise Unavailable, or ValueError for an invalid URL."""
        try:
            await super().connect()
        except (OSError, *_UNREACHABLE) as error:
            raise Unavailable(_UNREACHABLE_MESSAGE) from error

    def usage(self) -> tuple[int, int]:
        """Return how many connections the pool has, and how many of them are in use."""
        pool = getattr(self._backend, "_pool", None)
        if pool is None:
            return 0, 0
        return pool.get_size(), pool.get_size() - pool.get_idle_size()

    async def expire_connections(self) -> None:
        """Have the pool open new connections: those in use are closed when they are released.

        The idle ones are cut here. asyncpg would say goodbye to each, and log a traceback where it is dead.
        """
        pool = self._backend._pool  # noqa: SLF001 - there is no public access to the pool
        await pool.expire_connections()
        for holder in pool._holders:  # noqa: SLF001 - nor to its connections
            if holder.is_idle():
                holder.terminate()

    async def disconnect(self) -> None:
        """Close the pool; connections still in use after _CLOSE_SECONDS are cut."""
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
    """Make a Database, which `async with` opens. `url` is as libpq takes it: several hosts, `sslmode` and the like."""
    database = Database(
        # asyncpg parses the URL itself: `databases` would pass on only some of the options after its "?".
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
        target_session_attrs=SessionAttribute.read_write,  # a standby is behind, and refuses what the gateway writes
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


@dataclass(slots=True)
class StatementMeter:
    """How long the reading statements of one operation have taken, in seconds."""

    seconds: float = 0.0

    async def measure(self, statement: Awaitable[Result]) -> Result:
        """Await a statement, and add the time that it takes."""
        started = perf_counter()
        try:
            return await statement
        finally:
            self.seconds += perf_counter() - started


METER: ContextVar[StatementMeter | None] = ContextVar("METER", default=None)
"""Counts the statements of this task and of those that it creates."""


class ConnectionShares:
    """The parts of the pool that each caller may take at a time, so that others always find a connection.

    Beyond its share, a caller's statements wait in its own queue. Lookups by id are not counted: those of all callers
    are gathered.
    """

    def __init__(self, *, most: int) -> None:
        self.most: Final = most
        """Of one caller."""
        self._free: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()
        self._waiting: Counter[Hashable] = Counter()

    @asynccontextmanager
    async def taken(self, caller: Hashable) -> AsyncIterator[None]:
        """Take one more connection as soon as the caller may. Raises RateLimited where too many statements wait.

        What begins meanwhile takes its connections from the whole pool: it may not wait for what waits for it.
        """
        free = self._free.get(caller)
        if free is None:
            free = self._free[caller] = asyncio.Semaphore(self.most)
        if free.locked() and self._waiting[caller] >= MAX_WAITING:
            raise RateLimited(
                f"{MAX_WAITING} statements wait for the {self.most} connections that you may use at a time.",
                retryAfter=1,
            )
        self._waiting[caller] += 1
        try:
            await free.acquire()
        finally:
            self._waiting[caller] -= 1
            if not self._waiting[caller]:
                del self._waiting[caller]
        token = connection_share.set(None)
        try:
            yield
        finally:
            connection_share.reset(token)
            free.release()


connection_share: ContextVar[Callable[[], AbstractAsyncContextManager[None]] | None] = ContextVar(
    "connection_share", default=None
)
"""Takes a part of the pool, from which this task and those that it starts take connections; None: all of it."""


class ConnectionLost(Unavailable):
    """The server closed the connection while it was held: what ran on it may have been committed or not."""


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
    meter = METER.get()
    try:
        async with connection(database) as held:
            statement = select(held, *args, **kwargs)
            return await (statement if meter is None else meter.measure(statement))
    except ConnectionLost:
        # A restart or a failover closes all connections at once, but asyncpg notices it only when it next reads from
        # each of them: without this, the second attempt could be given another closed one.
        await database.expire_connections()
    async with connection(database) as held:
        return await select(held, *args, **kwargs)


@asynccontextmanager
async def transaction(database: Database) -> AsyncIterator[Connection]:
    """Hold a connection in one READ COMMITTED transaction. Raise Unavailable or TimedOut.

    It is not repeated where the connection is lost, since the server may have committed it. asyncpg's transaction is
    used, since that of `databases` does not release its connection where the rollback fails.
    """
    async with connection(database) as held, held.transaction(isolation="read_committed"):
        yield held


@asynccontextmanager
async def connection(database: Database) -> AsyncIterator[Connection]:
    """Hold a connection; each statement sees its own snapshot. Raise Unavailable, ConnectionLost or TimedOut."""
    take = connection_share.get()
    async with AsyncExitStack() as share:
        if take is not None:
            await share.enter_async_context(take())
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
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
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
        case _ if isinstance(error, _CLOSED_BY_SERVER):
            return ConnectionLost(_UNREACHABLE_MESSAGE)
        case asyncpg.InterfaceError() if _is_closed(held):
            return ConnectionLost(_UNREACHABLE_MESSAGE)
        case asyncpg.InternalClientError():  # the server's last message came between two steps of a statement
            held.terminate()
            return ConnectionLost(_UNREACHABLE_MESSAGE)
        case asyncpg.ReadOnlySQLTransactionError():  # a standby, or the server is about to become one
            held.terminate()
            return Unavailable(_UNREACHABLE_MESSAGE)
        case asyncpg.PostgresError():
            _remove_values(error)
    return error


async def _release(database: Database, *, holder: databases.core.Connection) -> None:
    """Give the connection back; a failure is logged only, since the work on it is done."""
    try:
        await holder.__aexit__()
    except BaseException as error:
        # Otherwise `databases` would hand this task the broken holder again, and fail an assertion on it.
        database._connection = None  # noqa: SLF001 - there is no public way
        if not isinstance(error, Exception):
            raise
        _logger.warning("A connection broke when it was released: %r", error)


def _interrupt(held: Connection) -> None:
    with suppress(asyncpg.InterfaceError):  # the pool has taken a broken connection back already
        cast("_PooledConnection", held).interrupt()


def _is_closed(held: Connection) -> bool:
    try:
        return held.is_closed()
    except asyncpg.InterfaceError:  # the pool has taken it back already
        return True


def _remove_values(error: asyncpg.PostgresError) -> None:
    """Remove the values of rows and parameters from an error: it may be logged, and metadata must not be."""
    error.detail = None
    if isinstance(error, asyncpg.DataError):  # its message quotes the value
        error.args = ("A value does not fit its type.",)
        error.__cause__ = None
        error.__suppress_context__ = True


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
