"""What it costs to run an operation, compiled and by graphql-core: `python -m tests.benchmarks.execution`.

Both run the same documents on the same rows, in turns, 32 at a time; printed is the processor's time for each, without
HTTP. The rows come from an embedded Postgres, and reading them is part of both.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from gateway.execution.documents import Documents
from gateway.execution.encoding import Response
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.requests import GraphQLRequest
from gateway.schema.context import Context
from gateway.schema.schema import build_schema
from gateway.storage.embedded import embedded_postgres
from gateway.usecases.api_keys import ApiKeyCache
from gateway.usecases.batch_loader import BatchLoaders
from tests.benchmarks.feed import show
from tests.generation.graphql_core import execute_by_graphql_core
from tests.live.dataset import PLATFORM, Dataset, populated

_AT_ONCE = 32
_ROUNDS = 9
_SCHEMA = build_schema()
_POINT = """query ($id: ID!) {
  installation(id: $id) { id status metadata createdAt updatedAt application { name slug } account { name } }
}"""
_PAGE = """query ($id: ID!) {
  installations(filter: {accountId: $id}, first: 20) {
    edges { cursor node { id status createdAt application { name } } } pageInfo { hasNextPage endCursor }
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
        self._pipeline = OperationPipeline(Documents(_SCHEMA), make_context=self._make_context)

    async def compiled(self, query: str, variables: dict[str, Any]) -> Response:
        request = GraphQLRequest(query=query, variables=variables)
        return await self._pipeline.execute(await self._pipeline.prepare(request, PLATFORM), request, PLATFORM)

    async def by_graphql_core(self, query: str, variables: dict[str, Any]) -> Response:
        document = self._pipeline.documents.prepare(query).document
        context = self._make_context(caller=PLATFORM)
        return await execute_by_graphql_core(_SCHEMA._schema, document, context=context, variables=variables)


async def microseconds(run: Run, query: str, ids: list[str]) -> float:
    """Run the query for each id; return the processor time of one."""
    began = time.process_time()
    for first in range(0, len(ids), _AT_ONCE):
        answers = await asyncio.gather(*(run(query, {"id": one}) for one in ids[first : first + _AT_ONCE]))
        assert not any(answer.errors for answer in answers)
    return (time.process_time() - began) * 1e6 / len(ids)


async def compare(both: Both, what: str, query: str, ids: list[str]) -> None:
    pairs = [
        (await microseconds(both.by_graphql_core, query, ids), await microseconds(both.compiled, query, ids))
        for _ in range(_ROUNDS)
    ]
    for way, figures in zip(("graphql-core", "compiled"), zip(*pairs, strict=True), strict=True):
        show(f"{what}, {way}", f"{statistics.median(figures):,.0f} µs")
    ratios = sorted(slow / quick for slow, quick in pairs)
    show(f"{what}, that to this: least, median, most", ", ".join(f"{ratios[at]:.1f}" for at in (0, _ROUNDS // 2, -1)))


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


if __name__ == "__main__":
    uvloop.run(main())
