"""The pool of connections to Postgres, with limits on everything, and what its errors mean.

`databases` opens, owns and closes the pool. Connections are taken from the asyncpg pool beneath, and statements run on
them. A task in a transaction that asks again gets the connection of its transaction, its child tasks get others.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeAlias, TypeVar, cast

import asyncpg
import databases
from asyncpg.connect_utils import SessionAttribute
from asyncpg.pool import PoolConnectionProxy

from gateway.domain.errors import TimedOut, Unavailable

if TYPE_CHECKING:
    DriverConnection: TypeAlias = asyncpg.Connection[asyncpg.Record]
    Connection: TypeAlias = DriverConnection | PoolConnectionProxy[asyncpg.Record]
else:  # asyncpg's classes are generic in their stubs only
    DriverConnection = asyncpg.Connection
    Connection = asyncpg.Connection | PoolConnectionProxy

_logger = logging.getLogger(__name__)

_STATEMENTS = 500
"""Prepared statements that a connection caches: more than there are named queries and variants."""
_SESSION = {"jit": "off", "plan_cache_mode": "force_generic_plan", "timezone": "UTC"}
"""Left to itself, Postgres plans each page anew: of events, planning takes 0.5 ms and running 0.2 (2026-11-26)."""
_CONNECT_SECONDS = 10
_CLIENT_GRACE_SECONDS = 5
"""How much longer than statement_timeout the client waits, which matters only where the server does not answer."""
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
_TRANSLATED = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
_UNREACHABLE_MESSAGE = "The database cannot be reached. Try again later."
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class _PooledConnection(DriverConnection):
    """A connection that is not reset when it is released.

    asyncpg's reset costs a round trip, a third of a point query. It clears a session's state, of which nothing here
    leaves any: settings are local or reset, advisory locks are of a transaction, no cursor is `with hold`, LISTEN has
    its own connections. An open transaction is rolled back nevertheless.

    After an error or a cancellation (`interrupted`) a statement resets it: between preparing and running one, asyncpg
    sends no sync, without which locks are held and statement_timeout runs; and custom plans may have been left on.
    """

    interrupted = False

    def interrupt(self) -> None:
        """Have the next release reset the connection."""
        self.interrupted = True

    def get_reset_query(self) -> str:
        interrupted, self.interrupted = self.interrupted, False
        return "reset plan_cache_mode" if interrupted else ""


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

    @property
    def pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        """The pool, while it is open. Raises Unavailable."""
        pool: asyncpg.Pool[asyncpg.Record] | None = self._backend._pool  # noqa: SLF001 - there is no public access to it
        if pool is None:
            raise Unavailable("The gateway does not run, or has stopped.")
        return pool

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
        await self.pool.expire_connections()
        for holder in self.pool._holders:  # type: ignore[attr-defined]  # noqa: SLF001 - there is no public access
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
        timeout=_CONNECT_SECONDS,
        command_timeout=statement_seconds + _CLIENT_GRACE_SECONDS,
        connection_class=_PooledConnection,
        target_session_attrs=SessionAttribute.read_write,  # a standby is behind, and refuses what the gateway writes
        statement_cache_size=_STATEMENTS,
        server_settings={
            "application_name": application_name,
            "statement_timeout": f"{statement_seconds * 1000:.0f}",
            "lock_timeout": f"{lock_seconds * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{idle_in_transaction_seconds * 1000:.0f}",
            **_SESSION,
        },
    )
    database.acquire_seconds = acquire_seconds
    return database


@dataclass(slots=True)
class StatementMeter:
    """The time that an operation's reading statements have taken, and the units that it owes for what they found."""

    seconds: float = 0.0
    units: int = 0


METER: ContextVar[StatementMeter | None] = ContextVar("METER", default=None)
"""Counts the statements of this task and of those that it creates."""


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
            started = perf_counter()
            try:
                return await select(held, *args, **kwargs)
            finally:
                if meter is not None:
                    meter.seconds += perf_counter() - started
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
        token = _transaction.set((database, asyncio.current_task(), held))
        try:
            yield held
        finally:
            _transaction.reset(token)


_transaction: ContextVar[tuple[Database, asyncio.Task[Any] | None, Connection] | None] = ContextVar(
    "_transaction", default=None
)
"""The connection of the transaction that this task, or the one that has started it, is in."""


@dataclass(slots=True, eq=False)
class connection:  # noqa: N801 - it is used as a function
    """Hold a connection; each statement sees its own snapshot. Raise Unavailable, ConnectionLost or TimedOut.

    A class takes 40 us where a generator, its exit stack and the connection of `databases` took 72 (2026-11-26).
    """

    _database: Database
    _held: Connection = field(init=False)
    _outer: bool = field(init=False)
    """Whether it is that of the transaction that the task is in."""
    _share: AbstractAsyncContextManager[None] | None = field(init=False)

    async def __aenter__(self) -> Connection:
        outer = _transaction.get()
        self._outer = outer is not None and outer[:2] == (self._database, asyncio.current_task())
        if outer is not None and self._outer:
            self._held = outer[2]
            return self._held
        take = connection_share.get()
        self._share = share = None if take is None else take()
        if share is not None:
            await share.__aenter__()
        try:
            async with asyncio.timeout(self._database.acquire_seconds):
                self._held = await self._database.pool.acquire()
        except BaseException as error:
            if share is not None:
                await share.__aexit__(None, None, None)
            if isinstance(error, TimeoutError):
                raise Unavailable("All connections to the database are in use. Try again later.") from error
            if isinstance(error, (OSError, asyncpg.InterfaceError, *_UNREACHABLE)):
                raise Unavailable(_UNREACHABLE_MESSAGE) from error
            raise
        return self._held

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._outer:
            return
        held = self._held
        if isinstance(error, asyncio.CancelledError):
            _interrupt(held)
        try:
            translated = _translated(error, held=held) if isinstance(error, _TRANSLATED) else error
        finally:
            try:
                await self._database.pool.release(held)  # type: ignore[arg-type]  # what `acquire` returned
            except Exception as broken:  # noqa: BLE001 - it is logged only, since the work on the connection is done
                _logger.warning("A connection broke when it was released: %r", broken)
            finally:
                if self._share is not None:
                    await self._share.__aexit__(None, None, None)
        if translated is not error:
            raise cast("Exception", translated) from error


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
            _interrupt(held)
            _remove_values(error)
    return error


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
