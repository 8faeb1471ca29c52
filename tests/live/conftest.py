"""A Postgres for each test of the live feed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.servers import Postgres, running_postgres


@pytest.fixture
def postgres(initialized_directory: Path) -> Iterator[Postgres]:
    with running_postgres(initialized_directory) as server:
        yield server
