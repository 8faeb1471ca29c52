"""Rows that are requested at about the same time are read by one statement, and shared without being taken away."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from gateway.domain.errors import TimedOut, Unavailable
from gateway.storage.database import Connection, Database
from gateway.usecases.batch_loader import MAX_KEYS, BatchLoader, MappedFuture, RequestCache


class Table:
    """Rows that are their own ids, and the statements that were run for them."""

    def __init__(self) -> None:
        self.statements: list[list[UUID]] = []
        self.missing: set[UUID] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False

    async def select(self, connection: Connection, *, ids: Sequence[UUID]) -> dict[UUID, UUID]:
        self.statements.append(list(ids))
        await connection.fetchval("select 1")
        await self.gate.wait()
        if self.broken:
            raise Unavailable("The database cannot be reached. Try again later.")
        return {each: each for each in ids if each not in self.missing}

    async def until_statements(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.statements) < count:  # noqa: ASYNC110 - the statements are the condition
                await asyncio.sleep(0)


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def loader(database: Database, table: Table) -> BatchLoader[UUID, UUID]:
    return BatchLoader(database, table.select)


def loaded(loader: BatchLoader[UUID, UUID], key: UUID) -> "asyncio.Task[UUID | None]":
    row: MappedFuture[UUID, UUID | None] = MappedFuture(loader.load(key), key)

    async def wait() -> UUID | None:
        return await row

    return asyncio.create_task(wait())


async def test_keys_that_are_requested_together_are_one_statement(
    loader: BatchLoader[UUID, UUID], table: Table
) -> None:
    ids = [uuid4() for _ in range(50)]
    assert await asyncio.gather(*(loaded(loader, each) for each in [*ids, *ids])) == [*ids, *ids]
    assert table.statements == [ids]


async def test_keys_that_are_requested_while_a_statement_runs_share_the_next_one(
    loader: BatchLoader[UUID, UUID], table: Table
) -> None:
    ids = [uuid4() for _ in range(40)]
    table.gate.clear()
    requested = []
    for each in ids:
        requested.append(loaded(loader, each))
        await table.until_statements(1)
    table.gate.set()
    assert await asyncio.gather(*requested) == ids
    assert table.statements == [[ids[0]], ids[1:]]


async def test_every_row_is_read_after_it_was_requested(loader: BatchLoader[UUID, UUID], table: Table) -> None:
    key = uuid4()
    table.missing.add(key)
    assert await loaded(loader, key) is None
    table.missing.clear()
    assert await loaded(loader, key) == key


async def test_a_statement_has_a_limited_number_of_keys(loader: BatchLoader[UUID, UUID], table: Table) -> None:
    ids = [uuid4() for _ in range(MAX_KEYS + 1)]
    assert await asyncio.gather(*(loaded(loader, each) for each in ids)) == ids
    assert [len(statement) for statement in table.statements] == [MAX_KEYS, 1]


async def test_loaders_with_one_limiter_share_its_statements(database: Database, table: Table) -> None:
    limiter = asyncio.Semaphore(1)
    loaders = [BatchLoader(database, table.select, limiter=limiter) for _ in range(3)]
    table.gate.clear()
    ids = [uuid4() for _ in loaders]
    requested = [loaded(loader, each) for loader, each in zip(loaders, ids, strict=True)]
    await table.until_statements(1)
    await asyncio.sleep(0)
    assert table.statements == [[ids[0]]]
    table.gate.set()
    assert await asyncio.gather(*requested) == ids


async def test_a_failure_reaches_every_waiter_and_no_later_request(
    loader: BatchLoader[UUID, UUID], table: Table
) -> None:
    table.broken = True
    failures = await asyncio.gather(loaded(loader, uuid4()), loaded(loader, uuid4()), return_exceptions=True)
    assert [type(failure) for failure in failures] == [Unavailable, Unavailable]
    table.broken = False
    key = uuid4()
    assert await loaded(loader, key) == key


async def test_cancelling_one_waiter_leaves_the_row_to_the_others(
    loader: BatchLoader[UUID, UUID], table: Table
) -> None:
    key = uuid4()
    table.gate.clear()
    leaving, staying = loaded(loader, key), loaded(loader, key)
    await table.until_statements(1)
    leaving.cancel()
    table.gate.set()
    assert await staying == key
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_cancelling_a_loader_ends_its_statements(loader: BatchLoader[UUID, UUID], table: Table) -> None:
    table.gate.clear()
    requested = loaded(loader, uuid4())
    await table.until_statements(1)
    loader.cancel()
    with pytest.raises(TimedOut):
        await requested


async def test_a_cache_loads_each_row_once_and_hides_what_is_not_visible(
    loader: BatchLoader[UUID, UUID], table: Table
) -> None:
    seen, hidden, missing = uuid4(), uuid4(), uuid4()
    table.missing.add(missing)
    cache = RequestCache(loader, visible=lambda row: None if row == hidden else row)
    for _ in range(2):
        assert await cache.load(seen) == seen
        assert await cache.load(seen, str) == str(seen)
        assert await cache.load(hidden, str) is None
        assert await cache.load(missing) is None
    assert table.statements == [[seen], [hidden], [missing]]
