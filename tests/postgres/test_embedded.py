"""The embedded Postgres under real processes: each user of the directory is one of its own, as each command is."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import psutil
import pytest

from gateway.storage.embedded import embedded_postgres, embedded_postgres_blocking
from gateway.storage.postgres_user import DATA_OF_ROOT, EmbeddedPostgresError, find_programs
from tests.conftest import copy_cluster
from tests.gateway_process import GatewayCommand
from tests.postgres.embedded_user import use

WITHIN_SECONDS = 30


@contextmanager
def user(directory: Path, *, role: str) -> Iterator[tuple[GatewayCommand, str]]:
    """Yield a process that uses the directory, in a process group of its own, and the address that it was given."""
    errors = directory.with_name(f"{directory.name}.{role}.log")
    process = GatewayCommand([directory, role], environment={**os.environ}, errors=errors, run=use)
    try:
        yield process, process.output.readline().strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(WITHIN_SECONDS)


def postmaster(directory: Path) -> psutil.Process:
    return psutil.Process(int((directory / "postgres" / "postmaster.pid").read_text().split()[0]))


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run(url: str, statement: str) -> str:
    async def fetch() -> str:
        session = await asyncpg.connect(url)
        try:
            return str(await session.fetchval(statement))
        finally:
            await session.close()

    return asyncio.run(fetch())


@pytest.fixture
def empty(data_directory: Path) -> Iterator[Path]:
    """Yield a data directory that does not exist yet; where a test fails, its server is stopped."""
    directory = data_directory / "data"
    yield directory
    if (directory / "postgres" / "postmaster.pid").exists():
        with embedded_postgres_blocking(directory, exclusive=False):
            """The last to leave stops it."""


@pytest.fixture
def directory(empty: Path, initialized_cluster: Path) -> Path:
    """Return a data directory with an initialized Postgres."""
    empty.mkdir(mode=0o711)
    copy_cluster(initialized_cluster, empty)
    return empty


def test_data_is_kept_and_the_server_stops(empty: Path) -> None:
    with embedded_postgres_blocking(empty, exclusive=True) as url:
        server = postmaster(empty)
        run(url, "create table kept as select 'data' as it")
        assert run(url, "select current_database() || ' ' || current_setting('timezone')") == "gateway UTC"
    wait_until(lambda: is_gone(server))
    with embedded_postgres_blocking(empty, exclusive=True) as url:
        assert run(url, "select it from kept") == "data"
    log = (empty / "postgres" / "server.log").read_text()
    assert "automatic recovery" not in log, "a stop leaves nothing to recover"


def test_a_second_serve_is_rejected_and_does_no_harm(directory: Path) -> None:
    with user(directory, role="serve") as (first, url):
        with (
            pytest.raises(EmbeddedPostgresError, match=rf"already serves from .* \(process {first.pid}\)"),
            embedded_postgres_blocking(directory, exclusive=True),
        ):
            pytest.fail("two gateways serve from one directory")
        assert run(url, "select 1") == "1"


def test_a_command_uses_the_running_server(directory: Path) -> None:
    with user(directory, role="serve") as (_, url):
        server = postmaster(directory)
        with embedded_postgres_blocking(directory, exclusive=False) as same:
            assert same == url
        assert postmaster(directory) == server
        assert run(url, "select 1") == "1"


def test_the_last_user_stops_the_server(directory: Path) -> None:
    with user(directory, role="command") as (command, url), user(directory, role="serve") as (serve, same):
        server = postmaster(directory)
        command.send_signal(signal.SIGTERM)
        assert (command.wait(WITHIN_SECONDS), same) == (0, url)
        assert run(url, "select 1") == "1"
        serve.send_signal(signal.SIGTERM)
        assert serve.wait(WITHIN_SECONDS) == 0
        wait_until(lambda: is_gone(server))


def test_an_interrupt_from_the_terminal_does_not_reach_the_server(directory: Path) -> None:
    with user(directory, role="serve") as (serve, _):
        server = postmaster(directory)
        assert os.getpgid(server.pid) != os.getpgid(serve.pid)
        assert os.getsid(server.pid) != os.getsid(serve.pid)
        os.killpg(serve.pid, signal.SIGINT)
        assert serve.wait(WITHIN_SECONDS) == 0
        wait_until(lambda: is_gone(server))
    assert "database system is shut down" in (directory / "postgres" / "server.log").read_text()


def test_a_killed_gateways_server_is_taken_over(directory: Path) -> None:
    with user(directory, role="serve") as (serve, url):
        run(url, "create table kept as select 'data' as it")
        server = postmaster(directory)
        serve.send_signal(signal.SIGKILL)
        serve.wait(WITHIN_SECONDS)
    with embedded_postgres_blocking(directory, exclusive=True) as url:
        assert postmaster(directory) == server
        assert run(url, "select it from kept") == "data"
    wait_until(lambda: is_gone(server))


def test_a_gateway_killed_with_its_server_recovers(directory: Path) -> None:
    with user(directory, role="serve") as (serve, url):
        run(url, "create table kept as select 'data' as it")
        for process in (psutil.Process(serve.pid), postmaster(directory)):
            process.kill()
        serve.wait(WITHIN_SECONDS)
    assert (directory / "postgres" / "postmaster.pid").exists()
    with embedded_postgres_blocking(directory, exclusive=True) as url:
        assert run(url, "select it from kept") == "data"


def test_a_stale_pid_that_is_another_process_now_does_not_matter(directory: Path, initialized_cluster: Path) -> None:
    other_directory = directory.parent / "other"
    other_directory.mkdir(mode=0o711)
    copy_cluster(initialized_cluster, other_directory)
    with embedded_postgres_blocking(directory, exclusive=True):
        lines = (directory / "postgres" / "postmaster.pid").read_text().splitlines()
    with user(other_directory, role="serve"):
        other = postmaster(other_directory).pid
        (directory / "postgres" / "postmaster.pid").write_text("\n".join([str(other), *lines[1:], ""]))
        with embedded_postgres_blocking(directory, exclusive=True) as url:
            assert run(url, "select 1") == "1"
            assert postmaster(directory).pid != other
        assert psutil.pid_exists(other)


def test_an_interrupted_initialization_is_repeated(empty: Path) -> None:
    unfinished = empty / "postgres.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    with embedded_postgres_blocking(empty, exclusive=True) as url:
        assert run(url, "select 1") == "1"
    assert not unfinished.exists()


@pytest.mark.parametrize("name", ["x" * 120, 'a, it\'s "so" $HOME ümläut'])
def test_a_data_directory_may_have_any_name(data_directory: Path, name: str) -> None:
    with embedded_postgres_blocking(data_directory / name, exclusive=True) as url:
        assert run(url, "select current_setting('data_directory')") == str(data_directory / name / "postgres")
        sockets = Path(parse_qs(urlsplit(url).query)["host"][0])
        assert sockets.stat().st_mode & 0o077 == 0
    assert sockets == data_directory / name / "postgres" or not sockets.exists()


def test_only_its_owner_reaches_the_server(directory: Path) -> None:
    with embedded_postgres_blocking(directory, exclusive=True) as url:
        assert run(url, "select current_setting('listen_addresses')") == ""
        assert (directory / "postgres").stat().st_mode & 0o077 == 0
        assert (directory / "gateway.lock").stat().st_mode & 0o077 == 0


def test_data_of_another_major_version_is_not_touched(data_directory: Path) -> None:
    (data_directory / "postgres").mkdir()
    (data_directory / "postgres" / "PG_VERSION").write_text("16\n")
    with (
        pytest.raises(EmbeddedPostgresError, match="written by Postgres 16, and this gateway carries Postgres 18"),
        embedded_postgres_blocking(data_directory, exclusive=True),
    ):
        pytest.fail("a server runs on the data of another version")


def test_a_directory_that_is_not_usable_is_rejected(data_directory: Path) -> None:
    (data_directory / "file").touch()
    with (
        pytest.raises(EmbeddedPostgresError, match="cannot be used"),
        embedded_postgres_blocking(data_directory / "file" / "data", exclusive=True),
    ):
        pytest.fail("a server runs in a file")


async def test_a_cancelled_start_leaves_nothing_behind(empty: Path) -> None:
    async def use() -> None:
        async with embedded_postgres(empty, exclusive=True):
            pytest.fail("the start was not cancelled")

    task = asyncio.create_task(use())
    await asyncio.to_thread(wait_until, (empty / "postgres" / "PG_VERSION").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (empty / "postgres" / "postmaster.pid").exists()


ONLY_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def modes(directory: Path) -> dict[Path, int]:
    return {path: path.stat().st_mode for path in (directory, *directory.parents)}


@ONLY_ROOT
def test_directory_that_postgres_cannot_reach_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    closed, below = tmp_path / "closed", tmp_path / "closed" / "below"
    below.mkdir(parents=True)
    closed.chmod(0o700)
    tmp_path.parent.chmod(0o711)
    before = modes(below)
    first = next(path for path in reversed((below, *below.parents)) if not path.stat().st_mode & 0o001)
    message = rf"as the user pgserver, which may not pass through {first}\. Name .* such as --data {DATA_OF_ROOT}\.$"
    with (
        pytest.raises(EmbeddedPostgresError, match=message),
        embedded_postgres_blocking(below / "new" / "data", exclusive=True),
    ):
        pytest.fail("Postgres reached the directory")
    assert modes(below) == before
    assert list(below.iterdir()) == []


@ONLY_ROOT
def test_directories_that_root_makes_are_for_postgres_to_pass(data_directory: Path) -> None:
    former = os.umask(0o077)
    before = modes(data_directory)
    try:
        with embedded_postgres_blocking(data_directory / "new" / "data", exclusive=True) as url:
            assert run(url, "select 1") == "1"
    finally:
        os.umask(former)
    assert modes(data_directory) == before
    assert (data_directory / "new" / "data" / "gateway.lock").stat().st_mode & 0o077 == 0


@ONLY_ROOT
def test_programs_that_postgres_user_cannot_run_are_copied(
    data_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = find_programs(data_directory / "postgres").parents[1]
    for part in (installed, installed.with_suffix(".libs")):
        shutil.copytree(
            part, tmp_path / part.name, symlinks=True, ignore=shutil.ignore_patterns("include", "pginstall")
        )
    tmp_path.chmod(0o700)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = modes(tmp_path / installed.name / "pginstall18" / "bin" / "postgres")
    for _ in range(2):
        with embedded_postgres_blocking(data_directory / "data", exclusive=True) as url:
            assert run(url, "select 1") == "1"
            assert postmaster(data_directory / "data").exe().startswith(f"{data_directory}/data/programs-")
    assert modes(tmp_path / installed.name / "pginstall18" / "bin" / "postgres") == before


ORDINARY_USER = """
import os, sys
from pathlib import Path
from gateway.storage.embedded import embedded_postgres_blocking

os.setgroups([])
os.setgid(65534)
os.setuid(65534)
with embedded_postgres_blocking(Path(sys.argv[1]), exclusive=True) as url:
    print(url)
"""


@ONLY_ROOT
def test_an_ordinary_user_needs_no_preparation(data_directory: Path) -> None:
    data_directory.chmod(0o777)
    command = [sys.executable, "-c", ORDINARY_USER, str(data_directory / "data")]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert printed == f"postgresql://postgres@/gateway?host={data_directory}/data/postgres&port=5432\n"
    assert (data_directory / "data" / "postgres").stat().st_uid == 65534
