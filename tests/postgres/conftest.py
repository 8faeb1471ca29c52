import pytest

from gateway.storage.database import Database
from tests.postgres.worlds import World, a_world


@pytest.fixture
def world(database: Database) -> World:
    return a_world(database)
