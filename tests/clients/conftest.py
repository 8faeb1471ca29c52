"""One gateway process, with its Postgres, for each module."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.clients.scenario import APPLICATIONS
from tests.conftest import copy_cluster, new_data_directory
from tests.live.dataset import Dataset, populated
from tests.live.servers import GatewayProcess, Postgres, running_gateways, running_postgres


@pytest.fixture(scope="module")
def postgres(initialized_cluster: Path) -> Iterator[Postgres]:
    with new_data_directory() as directory:
        copy_cluster(initialized_cluster, directory)
        with running_postgres(directory) as server:
            yield server


@pytest.fixture(scope="module")
async def dataset(postgres: Postgres) -> AsyncIterator[Dataset]:
    async with populated(postgres.url, applications=len(APPLICATIONS), accounts=5) as dataset:
        yield dataset


@pytest.fixture(scope="module")
async def gateway(
    dataset: Dataset,  # noqa: ARG001 - it migrates the database
    postgres: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[GatewayProcess]:
    directory = tmp_path_factory.mktemp("gateway")
    async with running_gateways(postgres.url, count=1, directory=directory) as (gateway,):
        yield gateway
