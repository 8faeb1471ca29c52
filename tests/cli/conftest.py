"""Data directories that leave no Postgres behind, and databases with the example data."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from gateway.cli import commands
from gateway.cli.log_throttle import LOGGERS
from gateway.demo.loading import load_example_data
from gateway.demo.scenarios import PLATFORM
from gateway.domain.principals import PrincipalKind
from gateway.storage.database import open_database
from gateway.storage.embedded import embedded_postgres_blocking
from gateway.usecases.api_keys import issue_key
from gateway.usecases.services import Services
from tests.cli.processes import Finished, environment
from tests.conftest import address, copy_cluster, run_on

Run = Callable[..., Finished]


@pytest.fixture
def directory(data_directory: Path) -> Iterator[Path]:
    """Yield a data directory that does not exist yet; stop what a failing test leaves running in it."""
    directory = data_directory / "data"
    yield directory
    if (directory / "postgres" / "postmaster.pid").exists():
        with embedded_postgres_blocking(directory, exclusive=False):
            """The last user to leave stops it."""


@pytest.fixture
def initialized(directory: Path, initialized_cluster: Path) -> Path:
    """Return a data directory with an initialized Postgres, and nothing else of a gateway yet."""
    directory.mkdir(mode=0o711)
    copy_cluster(initialized_cluster, directory)
    return directory


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "errors.log"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, which takes a tenth of the time of a process of its own."""

    def run_command(*arguments: str | Path, **variables: str) -> Finished:
        with monkeypatch.context() as patched:
            patched.setattr(os, "environ", environment(**variables))
            for name in LOGGERS:  # `serve` adds filters, and other tests of this process count the lines
                patched.setattr(logging.getLogger(name), "filters", [])
            with pytest.raises(SystemExit) as ended:
                commands.main([*map(str, arguments)])
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Finished(status=ended.value.code, output=captured.out, errors=captured.err)

    return run_command


@dataclass(frozen=True, kw_only=True)
class Demo:
    """The name of a database with the example data, and a platform's key in it."""

    name: str
    secret: str


@pytest.fixture(scope="session")
def demo(server_url: str, template: str) -> Iterator[Demo]:
    name = f"demo_{uuid4().hex}"
    asyncio.run(run_on(server_url, f"create database {name} template {template}"))
    yield Demo(name=name, secret=asyncio.run(_load(address(server_url, database=name))))
    asyncio.run(run_on(server_url, f"drop database {name}"))


async def _load(url: str) -> str:
    async with open_database(url, pool_size=2) as database:
        services = Services(database=database, notify=lambda: None)
        await load_example_data(services)
        issued = await issue_key(
            services, PLATFORM, kind=PrincipalKind.PLATFORM,
            application_id=None, account_id=None, label="tests", expires_at=None,
        )  # fmt: skip
    return issued.secret


@pytest.fixture
async def demo_url(server_url: str, demo: Demo) -> AsyncIterator[str]:
    """Yield the address of a fresh database with the example data; `secret` is a key in it."""
    name = f"test_{uuid4().hex}"
    await run_on(server_url, f"create database {name} template {demo.name} strategy file_copy")
    yield address(server_url, database=name)
    await run_on(server_url, f"drop database {name} with (force)")


@pytest.fixture
def secret(demo: Demo) -> str:
    return demo.secret
