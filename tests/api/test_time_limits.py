"""An operation that exceeds its time answers TIMEOUT, and its statements are cancelled in Postgres."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from gateway.settings import Settings
from tests.api.conftest import Serve

QUICKLY = Settings(operation_seconds=2)
"""What follows the timeout has as long: less would not do on a busy machine."""
LIST = "{ installations(first: 1) { nodes { id } } }"
POINT = '{ installation(id: "018f0000-0000-4000-8000-000000000001") { id } }'
CHANGE = """mutation {
  registerApplication(input: { slug: "slow-one", name: "Slow One", authorizationMethod: OAUTH }) { __typename }
}"""
WAITING = """
select count(*) from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock' and pid <> pg_backend_pid()
"""


@asynccontextmanager
async def locked(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Hold locks that everything else has to wait for."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("lock table installations, applications in access exclusive mode")
            yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("operation", [LIST, CHANGE])
async def test_timed_out_operation_cancels_its_statements(serve: Serve, database_url: str, operation: str) -> None:
    async with serve(QUICKLY) as served:
        platform = await served.platform()
        async with locked(database_url) as holder:
            answer = await platform.post(operation)
            async with asyncio.timeout(5):
                while await holder.fetchval(WAITING):  # noqa: ASYNC110 - the server has no event for it
                    await asyncio.sleep(0.02)
        assert (answer.status_code, answer.json()) == (
            504,
            {
                "errors": [
                    {
                        "message": "The operation was stopped after 2 seconds.",
                        "extensions": {"code": "TIMEOUT"},
                    }
                ]
            },
        )
        assert await platform.data("{ applications { nodes { slug } } }") == {"applications": {"nodes": []}}


async def test_shared_lookup_survives_the_timeout_of_one_caller(serve: Serve, database_url: str) -> None:
    async with serve(QUICKLY) as served:
        platform = await served.platform()
        async with locked(database_url):
            assert await platform.code(POINT) == "TIMEOUT"
        assert await platform.data(POINT) == {"installation": None}


async def test_websocket_gets_the_timeout_error_and_stays_open(serve: Serve, database_url: str) -> None:
    async with serve(QUICKLY) as served:
        platform = await served.platform()
        async with locked(database_url), platform.subscription(LIST) as subscribed:
            message = json.loads(await subscribed.socket.recv())
            assert (message["type"], message["payload"][0]["extensions"]) == ("error", {"code": "TIMEOUT"})
            await subscribed.socket.send(
                json.dumps({"type": "subscribe", "id": "2", "payload": {"query": "{ viewer { kind } }"}})
            )
            message = json.loads(await subscribed.socket.recv())
            assert message["payload"] == {"data": {"viewer": {"kind": "PLATFORM"}}}
