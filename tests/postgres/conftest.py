from collections.abc import AsyncIterator

import pytest

from gateway.feed import Feed
from gateway.storage.database import Database
from tests.postgres.worlds import World, a_world


@pytest.fixture
def world(database: Database) -> World:
    return a_world(database)


@pytest.fixture
async def feed(database: Database, database_url: str) -> AsyncIterator[Feed]:
    async with Feed(database, url=database_url, poll_seconds=0.2) as started:
        yield started
