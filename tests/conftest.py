"""A database for each test: a copy of a migrated template, on a Postgres that lives as long as the session.

The template is made by the README's SQL, with names of the session's own: its tables belong to the role that migrates,
and the tests' gateways serve as the other one. Tests themselves connect as the server's superuser.

With TEST_DATABASE_URL set, that server is used instead of an embedded one; the role it names must be a superuser.
"""

import asyncio
import gc
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import psutil
import pytest
from hypothesis import HealthCheck, settings

from gateway.storage.database import Database, DriverConnection, open_database
from gateway.storage.embedded import embedded_postgres_blocking
from gateway.storage.migrations import migrate
from gateway.storage.postgres_user import find_programs
from tests.roles import OWNER, SERVER, SESSION, as_role, roles_sql

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")  # what is slow is the machine

UNSAFE_BUT_QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "4GB"}
MakeDatabase = Callable[..., AbstractAsyncContextManager[str]]

SKIPPED_BY_DESIGN = "only root can"
"""Part of the reason of a test that is skipped although nothing is missing."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With TESTS_SKIP_NOTHING=1, fail where something is missing that a test needs."""
    report = yield
    demanded = os.environ.get("TESTS_SKIP_NOTHING") == "1"
    if demanded and report.skipped and SKIPPED_BY_DESIGN not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
    return report


def pytest_xdist_auto_num_workers() -> int | None:
    """Start one process more than there are cores: many tests wait for a process, a timer or a page."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return 1 + (psutil.cpu_count(logical=False) or os.cpu_count() or 1)


def pytest_collection_finish() -> None:
    """Leave what was imported out of garbage collections: a full one of all of it takes 0.2 s."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", params=[False, pytest.param(True, marks=pytest.mark.long)], ids=["short", "long"])
def long(request: pytest.FixtureRequest) -> bool:
    """Return whether the test runs in its long form, which `pytest -m long` selects."""
    chosen: bool = request.param
    return chosen


@pytest.fixture
def data_directory() -> Iterator[Path]:
    with new_data_directory() as directory:
        yield directory


@pytest.fixture(scope="session")
def initialized_cluster() -> Iterator[Path]:
    """Yield the files of a stopped Postgres with the gateway's database: copying them takes a tenth of an initdb."""
    with tempfile.TemporaryDirectory(prefix="gateway-", dir=quick_directory()) as directory:
        with embedded_postgres_blocking(Path(directory), exclusive=True):
            """The start initializes it."""
        yield Path(directory) / "postgres"


@pytest.fixture
def initialized_directory(data_directory: Path, initialized_cluster: Path) -> Path:
    """Return a data directory with an initialized Postgres, for tests of what comes after the first start."""
    copy_cluster(initialized_cluster, data_directory)
    return data_directory


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the address of a server on which databases may be made."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="gateway-", dir=quick_directory()) as directory:
        copy_cluster(request.getfixturevalue("initialized_cluster"), Path(directory))
        with embedded_postgres_blocking(Path(directory), exclusive=True, settings=UNSAFE_BUT_QUICK) as url:
            yield url


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """Yield the name of a migrated database without connections."""
    name = f"template_{SESSION}"
    psql = [str(find_programs(Path(tempfile.gettempdir(), "postgres")) / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1"]
    subprocess.run([*psql, server_url], input=roles_sql(database=name), text=True, check=True)
    asyncio.run(migrate(as_role(address(server_url, database=name), OWNER)))
    yield name
    for statement in (f"drop database {name}", f"drop role {OWNER}", f"drop role {SERVER}"):
        asyncio.run(run_on(server_url, statement))


@pytest.fixture(scope="session")
async def make_database(server_url: str, template: str) -> AsyncIterator[MakeDatabase]:
    """Yield a context manager that gives the address of a fresh database, and drops it in the end."""
    async with connected(server_url) as server:

        @asynccontextmanager
        async def make(*, migrated: bool = True) -> AsyncIterator[str]:
            name = f"test_{uuid4().hex}"
            # Files are copied in half of the processor time of logged blocks: 17 ms instead of 34, with the drop.
            await server.execute(f"create database {name} strategy file_copy" + f" template {template}" * migrated)
            yield address(server_url, database=name)
            await server.execute(f"drop database {name} with (force)")

        yield make


@pytest.fixture
async def database_url(make_database: MakeDatabase) -> AsyncIterator[str]:
    """Yield the address of a fresh, migrated database."""
    async with make_database() as url:
        yield url


@pytest.fixture
async def empty_database_url(make_database: MakeDatabase) -> AsyncIterator[str]:
    """Yield the address of a fresh database without any table."""
    async with make_database(migrated=False) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url) as opened:
        yield opened


def copy_cluster(cluster: Path, directory: Path) -> None:
    """Copy the files of a stopped Postgres into a data directory, with their owner."""
    subprocess.run(["cp", "-a", cluster, directory / "postgres"], check=True)


@contextmanager
def new_data_directory() -> Iterator[Path]:
    """Yield an empty directory that Postgres' own system user may pass through, as it may not through pytest's."""
    with tempfile.TemporaryDirectory(prefix="gateway-", dir=quick_directory()) as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


def quick_directory() -> Path | None:
    """Return the memory file system where 2 GiB are free: it copies a database in 15 ms, a disk in up to 400 ms."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 * 2**30
    return memory if usable else None


def address(url: str, *, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()


async def run_on(url: str, statement: str) -> None:
    async with connected(url) as server:
        await server.execute(statement)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[DriverConnection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
