"""A Postgres for each test of the live feed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.servers import Postgres, running_postgres

LONG = os.environ.get("TESTS_LONG") == "1"


@pytest.fixture
def postgres(data_directory: Path) -> Iterator[Postgres]:
    with running_postgres(data_directory) as server:
        yield server
