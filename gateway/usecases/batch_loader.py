"""Loading rows by key, many at a time: keys that are requested at about the same time share one statement.

Measured on 2026-11-22: 32 requests that look up the same kind of row cost 8 us each by one statement, 127 us each by
their own. Loaders gather and do not cache: every row is read after it was requested. A `RequestCache` remembers, for
one operation.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator, Hashable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any, Final, Generic, Protocol, TypeVar, cast, overload
from uuid import UUID

from asyncpg import Record

from gateway.domain.cursors import Keyset
from gateway.domain.errors import TimedOut
from gateway.domain.pages import InstallationList, Window
from gateway.storage.applications import select_accounts, select_applications
from gateway.storage.database import METER, Connection, Database, StatementMeter, read
from gateway.storage.installation_pages import Parts, select_installation_pages
from gateway.storage.installations import select_installations_with_names

Answer = TypeVar("Answer")
Key = TypeVar("Key")
Row = TypeVar("Row")
Row_co = TypeVar("Row_co", covariant=True)

MAX_KEYS: Final = 500
"""The most keys of one statement."""
MAX_PAGES: Final = 16
"""The most pages of one statement that several operations share: what it takes delays all of them."""
MAX_PAGE_STATEMENTS: Final = 4
"""The most such statements at a time: an operation has one of them, others of its lists are read by its own."""
_MAX_PAGE_LOADERS: Final = 100
MAX_STATEMENTS: Final = 2
"""The most statements that all loaders of one operation run at a time: no operation takes all connections of the pool.

Of a loader that all operations share one runs at a time. What is requested meanwhile waits for the next: with 32
connections over HTTP, a point query then takes 414 us of CPU instead of 673."""


@dataclass(slots=True, eq=False)
class Batch(Generic[Key, Row]):
    """The keys that one statement reads, and their rows once it is done; any number of operations wait for it."""

    keys: dict[Key, None] = field(default_factory=dict)
    meters: list[StatementMeter] = field(default_factory=list)
    """Of the operations that the statement's time counts for, each with an equal part."""
    done: bool = False
    found: Mapping[Key, Row] = field(default_factory=dict)
    error: BaseException | None = None
    """Unavailable or TimedOut, which the statement raised; there are no rows then."""
    _waiting: list["asyncio.Future[None]"] = field(default_factory=list)

    async def wait(self) -> None:
        """Wait until it is done. Cancelling one that waits leaves the statement running for the others."""
        if not self.done:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    def finish(self, found: Mapping[Key, Row], error: BaseException | None = None) -> None:
        self.found, self.error, self.done = found, error, True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()


@dataclass(slots=True, eq=False)
class MappedFuture(Generic[Key, Answer]):
    """A row that a batch reads, and what is answered of it. Awaiting it is optional once its batch is done.

    Compiled execution waits for the batches of many of these at once, without a task for each.
    """

    batch: Batch[Key, Any]
    key: Key
    visible: Callable[[Any], Any] | None = None
    """See RequestCache, and its `load`."""
    transform: Callable[[Any], Any] | None = None

    def answer(self) -> Answer:
        """Return the answer, once the batch is done. Raises the batch's error, and what `transform` raises."""
        batch = self.batch
        if batch.error is not None:
            raise batch.error
        row: Any = batch.found.get(self.key)
        if self.visible is not None:
            row = self.visible(row)
        return cast("Answer", row if row is None or self.transform is None else self.transform(row))

    def __await__(self) -> Generator[Any, None, Answer]:
        if not self.batch.done:
            yield from self.batch.wait().__await__()
        return self.answer()


class Select(Protocol[Key, Row_co]):
    """Reads rows by their keys; keys without a row are left out."""

    def __call__(self, connection: Connection, *, ids: list[Key]) -> Coroutine[Any, Any, Mapping[Key, Row_co]]:
        """Run the statement."""


class BatchLoader(Generic[Key, Row]):
    """Loads rows of one kind by their keys."""

    __slots__ = ("_context", "_database", "_limiter", "_max_keys", "_metered", "_open_batch", "_select", "_tasks")

    def __init__(
        self,
        database: Database,
        select: Select[Key, Row],
        *,
        limiter: asyncio.Semaphore | None = None,
        max_keys: int = MAX_KEYS,
        metered: bool = False,
    ) -> None:
        """Load by `select`, one statement at a time; loaders with the same `limiter` share its number of statements.

        The statements run in the context where the loader is made: they are for several callers, or for one operation.
        `metered`: their time counts for the operations that have requested their rows.
        """
        self._database: Final = database
        self._select: Final = select
        self._limiter: Final = limiter or asyncio.Semaphore(1)
        self._max_keys: Final = max_keys
        self._metered: Final = metered
        self._context: Final = copy_context()
        self._open_batch: Batch[Key, Row] | None = None
        """The batch that still takes keys: its statement has not begun."""
        self._tasks: set[asyncio.Task[None]] = set()

    def load(self, key: Key) -> Batch[Key, Row]:
        """Request a row; return the batch that reads it, and which counts its time for the running operation."""
        batch = self._open_batch
        if batch is None or len(batch.keys) >= self._max_keys:
            batch = self._open_batch = Batch()
            task = asyncio.get_running_loop().create_task(self._run(batch), context=self._context.copy())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._metered and (meter := METER.get()) is not None:
            batch.meters.append(meter)
        batch.keys[key] = None
        return batch

    async def _run(self, batch: Batch[Key, Row]) -> None:
        """Read a batch as soon as a statement may begin; until then it takes further keys."""
        try:
            async with self._limiter:
                if self._open_batch is batch:
                    self._open_batch = None
                started = perf_counter()
                try:
                    found = await read(self._database, self._select, ids=list(batch.keys))
                finally:
                    for meter in batch.meters:
                        meter.seconds += (perf_counter() - started) / len(batch.meters)
        except Exception as error:  # noqa: BLE001 - all that wait for a row get it
            batch.finish({}, error)
        except BaseException:
            batch.finish({}, TimedOut("The lookup was cancelled."))
            raise
        else:
            batch.finish(found)

    def cancel(self) -> None:
        """Cancel the running statements, for a loader whose operation has ended."""
        for task in self._tasks:
            task.cancel()


@dataclass(slots=True, eq=False)
class RequestCache(Generic[Key, Row]):
    """The rows that one operation has requested: each is loaded once, and stays the same while the operation runs."""

    loader: BatchLoader[Key, Row]
    visible: Callable[[Row | None], Row | None] | None = None
    """Returns the row, or None where the caller may not see it; without it the caller sees every row."""
    _batches: dict[Key, Batch[Key, Row]] = field(default_factory=dict)

    def request_all(self, keys: Sequence[Key]) -> None:
        """Request rows, those that were not."""
        batches, load = self._batches, self.loader.load
        for key in keys:
            if key not in batches:
                batches[key] = load(key)

    async def rows(self, keys: Sequence[Key]) -> list[Row | None]:
        """Return rows that were requested, as soon as they are read; None for what the caller does not see."""
        batches = [self._batches[key] for key in keys]
        for batch in dict.fromkeys(batches):
            await batch.wait()
            if batch.error is not None:
                raise batch.error
        rows = [batch.found.get(key) for batch, key in zip(batches, keys, strict=True)]
        return rows if self.visible is None else [self.visible(row) for row in rows]

    @overload
    def load(self, key: Key) -> MappedFuture[Key, Row | None]: ...
    @overload
    def load(self, key: Key, transform: Callable[[Row], Answer]) -> MappedFuture[Key, Answer | None]: ...
    def load(self, key: Key, transform: Callable[[Row], Any] | None = None) -> MappedFuture[Key, Any]:
        """Return the row, or what `transform` makes of it; None where there is none that the caller may see."""
        batch = self._batches.get(key)
        if batch is None:
            batch = self._batches[key] = self.loader.load(key)
        return MappedFuture(batch, key, self.visible, transform)


class BatchLoaders:
    """The loaders that all operations of a process share. They load by id; visibility is decided by the caller."""

    def __init__(self, database: Database) -> None:
        self.applications: Final = BatchLoader(database, select_applications)
        self.accounts: Final = BatchLoader(database, select_accounts)
        self.installations: Final = BatchLoader(database, select_installations_with_names)
        self._database: Final = database
        self._limiter: Final = asyncio.Semaphore(MAX_PAGE_STATEMENTS)
        self._pages: Final[dict[Hashable, BatchLoader[UUID, list[Record]]]] = {}
        """The latest lists: an LRUCache would hash and compare its keys, which are large, four times."""

    def pages(
        self, listed: InstallationList, window: Window[Keyset], *, parts: Parts
    ) -> BatchLoader[UUID, list[Record]]:
        """Return the loader of one page of the installations of an application or account, by its id.

        Read alone, a page of 20 takes 1.7 times the CPU (2026-11-26, `python -m tests.benchmarks.execution`).
        """
        key = (listed, window, parts)
        loader = self._pages.get(key)
        if loader is None:
            if len(self._pages) == _MAX_PAGE_LOADERS:
                del self._pages[next(iter(self._pages))]
            select = partial(select_installation_pages, listed=listed, window=window, parts=parts)
            loader = self._pages[key] = BatchLoader(
                self._database, select, limiter=self._limiter, max_keys=MAX_PAGES, metered=True
            )
        return loader
