"""Places for a gateway's data that leave no server behind."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.cli import commands
from gateway.storage.embedded import embedded_postgres_blocking
from tests.cli.processes import Finished, environment

Here = Callable[..., Finished]


@pytest.fixture
def directory(data_directory: Path) -> Iterator[Path]:
    """Yield a data directory that is not there yet; what a failing test leaves running in it is stopped."""
    data_directory.chmod(0o711)  # what the gateway would do where it is root, and warn of
    directory = data_directory / "data"
    yield directory
    if (directory / "postgres" / "postmaster.pid").exists():
        with embedded_postgres_blocking(directory, exclusive=False):
            """The last to leave stops it."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "errors.log"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """Run a command in this process: a tenth of the time, for what it says more than for how it lives."""

    def run(*arguments: str | Path, **variables: str) -> Finished:
        monkeypatch.setattr(os, "environ", environment(**variables))
        with pytest.raises(SystemExit) as ended:
            commands.main([*map(str, arguments)])
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Finished(status=ended.value.code, output=captured.out, errors=captured.err)

    return run
