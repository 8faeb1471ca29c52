"""One caller takes a part of the pool at most: others find a connection, whatever it runs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from gateway.settings import Settings
from tests.api.conftest import NO_RATES, Serve
from tests.serving import DEADLINE

LIST = """{
  installations(first: 1, filter: {authorizationExpiresBefore: "2100-01-01T00:00:00Z"}) { nodes { id } }
}"""
"""Read by a statement of its own."""
SEVERAL = "{" + " ".join(f"a{n}: installations(first: 1) {{ nodes {{ id }} }}" for n in range(10)) + "}"
OTHER = "{ applications { nodes { slug } } }"
WAITING = """
select count(*) from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock' and pid <> pg_backend_pid()
"""


@asynccontextmanager
async def locked(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("lock table installations in access exclusive mode")
            yield connection
    finally:
        await connection.close()


async def waiting(holder: "asyncpg.Connection[asyncpg.Record]") -> None:
    async with asyncio.timeout(DEADLINE):
        while await holder.fetchval(WAITING) < 2:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("document", [LIST, SEVERAL], ids=["many operations", "many fields"])
async def test_caller_with_many_slow_statements_leaves_connections_to_others(
    serve: Serve, database_url: str, document: str
) -> None:
    async with serve(Settings(pool_size=4)) as served:
        busy = await served.of_account(await served.account())
        other = await served.platform()
        await asyncio.gather(busy.data(OTHER), other.data(OTHER))
        async with locked(database_url) as holder:
            running = [asyncio.create_task(busy.data(document)) for _ in range(20)]
            await waiting(holder)
            async with asyncio.timeout(DEADLINE):
                assert await other.data(OTHER) == {"applications": {"nodes": []}}
                assert (await served.http.get(served.url.replace("/graphql", "/readyz"))).status_code == 200
            assert await holder.fetchval(WAITING) <= 3, "the share, and the clock that expires installations"
        await asyncio.gather(*running)


async def test_statements_that_wait_for_the_callers_share_are_limited(
    serve: Serve, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.operations.running.MAX_WAITING", 3)
    patient = NO_RATES.model_copy(update={"pool_size": 4, "statement_seconds": 120})
    async with serve(patient) as served:
        busy = await served.of_account(await served.account())
        await asyncio.gather(*(busy.data(LIST) for _ in range(5)))
        async with locked(database_url):
            running = [asyncio.create_task(busy.post(LIST)) for _ in range(20)]
            async with asyncio.timeout(DEADLINE):
                while sum(task.done() for task in running) < 15:  # noqa: ASYNC110 - of 20, 2 run and 3 wait
                    await asyncio.sleep(0.02)
        answers = [(await task).json() for task in running]
        codes = Counter(answer["errors"][0]["extensions"]["code"] for answer in answers if "errors" in answer)
        assert codes == {"RATE_LIMITED": 15}
        assert await busy.data(LIST) == {"installations": {"nodes": []}}
