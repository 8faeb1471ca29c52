"""A run gives the event loop its turns, notices its deadline, and stops where its response becomes too large."""

import asyncio
from dataclasses import dataclass

import pytest
import strawberry

from gateway.execution.documents import Documents
from gateway.execution.errors import OperationTooComplex
from gateway.execution.runner import execute
from gateway.execution.state import ExecutionState
from gateway.schema.scalars import SCALARS, JsonText, JsonValue


@strawberry.type
class Item:
    text: str
    value: JsonValue

    @strawberry.field
    def items(self) -> list["Item"]:
        return ITEMS


@strawberry.type
class Query:
    @strawberry.field
    def items(self) -> list[Item]:
        return ITEMS


ITEMS = [Item(text="x" * 1_000, value=JsonValue(JsonText('{"y": "' + "y" * 1_000 + '"}'))) for _ in range(300)]
SCHEMA = strawberry.Schema(query=Query, config=strawberry.schema.config.StrawberryConfig(scalar_map=SCALARS))


@dataclass
class Ticker:
    """Counts the turns that the event loop gives to another task."""

    ticks: int = 0

    async def run(self) -> None:
        while True:
            self.ticks += 1
            await asyncio.sleep(0)


async def run(document: str, *, max_response_bytes: int = 10**9) -> bytes:
    operation = Documents(SCHEMA).prepare(document)
    values = operation.compiled.variables.coerced({})
    state = ExecutionState(context=None, variable_values=values, max_response_bytes=max_response_bytes)
    return (await execute(operation.compiled.variant(values), state)).body


async def test_others_have_their_turns_while_many_objects_are_completed() -> None:
    ticker = Ticker()
    task = asyncio.create_task(ticker.run())
    body = await run("{ items { items { __typename } } }")
    task.cancel()
    assert body.count(b"Item") == len(ITEMS) ** 2
    assert ticker.ticks > 3


async def test_deadline_is_noticed_while_objects_are_completed() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await run("{ items { items { items { __typename } } } }")


@pytest.mark.parametrize("document", ["{ items { text } }", "{ items { value } }", "{ items { __typename } }"])
async def test_response_that_is_too_large_is_refused(document: str) -> None:
    body = await run(document)
    with pytest.raises(OperationTooComplex) as refused:
        await run(document, max_response_bytes=len(body) - 1)
    assert refused.value.extensions["limit"] == "responseBytes"
    assert await run(document, max_response_bytes=len(body)) == body


async def test_response_that_would_take_all_memory_is_refused_before_it_is_complete() -> None:
    with pytest.raises(OperationTooComplex):
        await run("{ items { items { items { text } } } }", max_response_bytes=1_000_000)
