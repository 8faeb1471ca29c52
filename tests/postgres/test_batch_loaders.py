"""Point lookups of many requests go out together."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from gateway.domain.errors import Unavailable
from gateway.usecases.batch_loaders import MOST_IDS, MOST_STATEMENTS, BatchLoader


class Shelf:
    """Rows that are their own ids, and the statements that were run for them."""

    def __init__(self) -> None:
        self.statements: list[list[UUID]] = []
        self.missing: set[UUID] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken = False

    async def select(self, ids: Sequence[UUID]) -> dict[UUID, UUID]:
        self.statements.append(list(ids))
        await self.gate.wait()
        if self.broken:
            raise Unavailable("The database cannot be reached. Try again later.")
        return {one: one for one in ids if one not in self.missing}


def found(lookup: BatchLoader[UUID], row_id: UUID) -> "asyncio.Task[UUID | None]":
    rows = lookup.find(row_id)

    async def row() -> UUID | None:
        return (await asyncio.shield(rows)).get(row_id)

    return asyncio.create_task(row())


async def test_what_is_asked_for_at_a_time_is_one_statement() -> None:
    shelf, ids = Shelf(), [uuid4() for _ in range(50)]
    lookup = BatchLoader(shelf.select)
    assert await asyncio.gather(*(found(lookup, one) for one in [*ids, *ids])) == [*ids, *ids]
    assert shelf.statements == [ids]


async def test_what_is_asked_for_meanwhile_waits_for_the_next_statement() -> None:
    shelf, ids = Shelf(), [uuid4() for _ in range(40)]
    shelf.gate.clear()
    lookup = BatchLoader(shelf.select)
    asked = []
    for one in ids:
        asked.append(found(lookup, one))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert len(shelf.statements) == MOST_STATEMENTS
    shelf.gate.set()
    assert await asyncio.gather(*asked) == ids
    assert len(shelf.statements) <= MOST_STATEMENTS + 2
    assert [one for statement in shelf.statements for one in statement] == ids


async def test_every_answer_is_read_after_it_was_asked_for() -> None:
    shelf, one = Shelf(), uuid4()
    shelf.missing.add(one)
    lookup = BatchLoader(shelf.select)
    assert await found(lookup, one) is None
    shelf.missing.clear()
    assert await found(lookup, one) == one


async def test_a_statement_takes_no_more_ids_than_it_may() -> None:
    shelf, ids = Shelf(), [uuid4() for _ in range(MOST_IDS + 1)]
    lookup = BatchLoader(shelf.select)
    assert await asyncio.gather(*(found(lookup, one) for one in ids)) == ids
    assert [len(statement) for statement in shelf.statements] == [MOST_IDS, 1]


async def test_a_failure_reaches_everybody_and_nobody_later() -> None:
    shelf, one, other = Shelf(), uuid4(), uuid4()
    shelf.broken = True
    lookup = BatchLoader(shelf.select)
    failures = await asyncio.gather(found(lookup, one), found(lookup, other), return_exceptions=True)
    assert [type(failure) for failure in failures] == [Unavailable, Unavailable]
    shelf.broken = False
    assert await found(lookup, one) == one


async def test_who_leaves_takes_nothing_from_the_others() -> None:
    shelf, one = Shelf(), uuid4()
    shelf.gate.clear()
    lookup = BatchLoader(shelf.select)
    leaving, staying = found(lookup, one), found(lookup, one)
    await asyncio.sleep(0)
    leaving.cancel()
    shelf.gate.set()
    assert await staying == one
    with pytest.raises(asyncio.CancelledError):
        await leaving
