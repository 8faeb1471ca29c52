"""The wheel: with GraphiQL's page where npm's registry can be reached, and without it elsewhere.

Built in a copy of the checkout, since a build without the registry removes the page of another source.
"""

import re
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gateway.transport.graphiql.bundles import FOLDER, NOT_BUILT
from tests.cli.processes import WITHIN_SECONDS, Serving, command, environment, until_ready

ROOT = Path(__file__).parents[2]
BUNDLE = FOLDER.relative_to(ROOT).as_posix()


def built_wheel(folder: Path, *, registry: str | None) -> tuple[Path, str]:
    """Build the wheel of a copy of the checkout; return it, and what the build printed."""
    checkout = folder / "checkout"
    for part in ("gateway", "sql"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / part, checkout)
    if registry is not None:
        shutil.rmtree(checkout / BUNDLE)
    pip = [sys.executable, "-m", "pip", "wheel", "-v", "--no-deps", "--no-build-isolation", "--no-index"]
    completed = subprocess.run(
        [*pip, "--wheel-dir", folder, checkout],
        env=environment(npm_config_registry=registry or "http://127.0.0.1:9"),
        capture_output=True, text=True, timeout=WITHIN_SECONDS, check=False,
    )  # fmt: skip
    assert completed.returncode == 0, completed.stdout + completed.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel, completed.stdout + completed.stderr


@pytest.mark.long
@pytest.mark.skipif(not FOLDER.is_dir(), reason=NOT_BUILT)
def test_wheel_carries_the_page_and_not_its_source(tmp_path: Path) -> None:
    wheel, _ = built_wheel(tmp_path, registry=None)
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"{BUNDLE}/{path.name}" for path in FOLDER.iterdir()} <= set(names)
    assert [name for name in names if "/graphiql/source/" in name or "build_hook" in name] == []
    assert {f"gateway/{path.relative_to(ROOT)}" for path in ROOT.glob("sql/migrations/*.sql")} <= set(names)


@pytest.mark.long
def test_without_the_registry_everything_but_the_page_is_built(directory: Path, log: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    wheel, printed = built_wheel(tmp_path, registry=f"http://127.0.0.1:{closed}")
    assert len(re.findall(r"Built without GraphiQL: npm's registry cannot be reached", printed)) == 1
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as file:
        file.extractall(installed)
    assert not (installed / BUNDLE).exists()
    with served_from(installed, directory, log=log) as served:
        assert NOT_BUILT in served.printed
        page = httpx.get(served.url, headers={"Accept": "text/html"})
        assert (page.status_code, page.text) == (503, f"{NOT_BUILT}\n")
        assert served.data("{ viewer { kind } }", served.keys["platform"]) == {"viewer": {"kind": "PLATFORM"}}


@contextmanager
def served_from(folder: Path, directory: Path, *, log: Path) -> Iterator[Serving]:
    """Serve by an interpreter of its own, whose `-m gateway` imports from this folder."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command(["serve", "--port", "0", "--data", directory]),
            cwd=folder,
            env=environment(PYTHONUNBUFFERED="1"),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            one = Serving(process=process, log=log, printed="".join(until_ready(process.stdout)))
            with one.http:
                yield one
        finally:
            process.terminate()
