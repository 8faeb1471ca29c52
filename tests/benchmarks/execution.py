"""What it costs to run an operation, compiled and by graphql-core: `python -m tests.benchmarks.execution`.

Both run the same documents on the same rows, in turns, 32 at a time; printed is the processor's time for each, without
HTTP. The rows come from an embedded Postgres, and reading them is part of both. So are three steps left out in turn:
direct writers, pages that several operations read together, and columns that are read only where they are shown.
"""

import asyncio
import math
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import uvloop

from gateway.execution import resolvers, state
from gateway.execution.documents import Documents
from gateway.execution.encoding import Response
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.requests import GraphQLRequest
from gateway.schema import context
from gateway.schema.context import Context
from gateway.schema.schema import build_schema
from gateway.storage.embedded import embedded_postgres
from gateway.storage.installation_pages import ACCOUNT_NAMES, APPLICATION_NAMES, WHOLE
from gateway.usecases.api_keys import ApiKeyCache
from gateway.usecases.batch_loader import BatchLoaders
from tests.benchmarks.feed import show
from tests.generation.graphql_core import execute_by_graphql_core
from tests.live.dataset import PLATFORM, Dataset, populated

_AT_ONCE = 32
_ROUNDS = 7
_SCHEMA = build_schema()
_POINT = """query ($id: ID!) {
  installation(id: $id) { id status metadata createdAt updatedAt application { name slug } account { name } }
}"""
_PAGE = """query ($id: ID!) {
  installations(filter: {accountIds: [$id]}, first: 20) {
    edges { cursor node { id status createdAt application { name } } } pageInfo { hasNextPage endCursor }
  }
}"""
_NESTED = """query ($first: Int) {
  accounts(first: 20) {
    nodes { id name installations(first: $first) { nodes { id status createdAt application { name } } } }
  }
}"""

Run = Callable[[str, dict[str, Any]], Awaitable[Response]]


class Both:
    """The two ways to run an operation."""

    def __init__(self, world: Dataset) -> None:
        self._make_context = partial(
            Context,
            services=world.services,
            feed=world.feed,
            api_key_cache=ApiKeyCache(world.services),
            batch_loaders=BatchLoaders(world.services.database),
        )
        self.forget()

    def forget(self) -> None:
        """Compile every document anew."""
        self._pipeline = OperationPipeline(Documents(_SCHEMA), make_context=self._make_context)

    async def compiled(self, query: str, variables: dict[str, Any]) -> Response:
        request = GraphQLRequest(query=query, variables=variables)
        return await self._pipeline.execute(await self._pipeline.prepare(request, PLATFORM), request, PLATFORM)

    async def by_graphql_core(self, query: str, variables: dict[str, Any]) -> Response:
        document = self._pipeline.documents.prepare(query).document
        own = self._make_context(caller=PLATFORM)
        return await execute_by_graphql_core(_SCHEMA._schema, document, context=own, variables=variables)


async def microseconds(run: Run, query: str, ids: list[str]) -> float:
    """Run the query for each id; return the processor time of one."""
    began = time.process_time()
    for first in range(0, len(ids), _AT_ONCE):
        answers = await asyncio.gather(*(run(query, {"id": one, "first": 10}) for one in ids[first : first + _AT_ONCE]))
        assert not any(answer.errors for answer in answers)
    return (time.process_time() - began) * 1e6 / len(ids)


def as_it_is(both: Both) -> AbstractContextManager[object]:
    both.forget()
    return nullcontext()


def without_direct_writers(both: Both) -> AbstractContextManager[object]:
    both.forget()
    return patch.object(state, "RUNS_BEFORE", math.inf)


def without_shared_pages(_both: Both) -> AbstractContextManager[object]:
    return patch.object(context, "as_account_list", lambda *_: None)


def without_fewer_columns(both: Both) -> AbstractContextManager[object]:
    both.forget()
    return patch.object(resolvers, "needed_parts", lambda *_: WHOLE | APPLICATION_NAMES | ACCOUNT_NAMES)


WAYS: dict[str, Callable[[Both], AbstractContextManager[object]]] = {
    "without direct writers": without_direct_writers,
    "without shared pages": without_shared_pages,
    "without fewer columns": without_fewer_columns,
    "as it is": as_it_is,
}


async def compare(both: Both, what: str, query: str, ids: list[str]) -> None:
    rounds: list[list[float]] = []
    for _ in range(_ROUNDS):
        figures = [await microseconds(both.by_graphql_core, query, ids)]
        for left_out in WAYS.values():
            with left_out(both):
                await microseconds(both.compiled, query, ids[:_AT_ONCE])  # compiles it
                figures.append(await microseconds(both.compiled, query, ids))
        rounds.append(figures)
    for way, found in zip(("by graphql-core", *WAYS), zip(*rounds, strict=True), strict=True):
        ratios = sorted(figure / figures[-1] for figure, figures in zip(found, rounds, strict=True))
        shown = ", ".join(f"{ratios[at]:.2f}" for at in (0, _ROUNDS // 2, -1))
        show(f"{what}, {way}", f"{statistics.median(found):,.0f} µs, to the last: {shown}")


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="gateway-") as directory:
        async with (
            embedded_postgres(Path(directory), exclusive=True) as url,
            populated(url, applications=25, accounts=20) as world,
        ):
            both = Both(world)
            points = [str(one.id) for one in world.installations] * 2
            await compare(both, "one installation, with its ends", _POINT, points)
            await compare(
                both, "a page of 20, each with its application", _PAGE, [str(one.id) for one in world.accounts] * 8
            )
            await compare(both, "20 accounts, 10 installations each", _NESTED, ["each"] * 16)


if __name__ == "__main__":
    uvloop.run(main())
