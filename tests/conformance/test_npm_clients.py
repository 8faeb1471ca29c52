"""The clients that people use: graphql-ws and graphql-sse, and the audits of graphql-http, all from npm.

Whatever a client writes to its console fails the test.
"""

import asyncio
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conformance.sample_gateway import KEY, Gateway, served
from tests.npm import node, workspace
from tests.serving import DEADLINE, eventually

SOURCE = Path(__file__).parent / "npm"


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the scripts, and the packages that they use."""
    return workspace(SOURCE, tmp_path_factory.mktemp("npm") / "clients")


@asynccontextmanager
async def script(workshop: Path, name: str, *arguments: str) -> AsyncIterator[asyncio.StreamReader]:
    """Run a script; yields what it prints, to either stream. What the test has not read fails it."""
    process = await asyncio.create_subprocess_exec(node(), name, *arguments, cwd=workshop, stdout=PIPE, stderr=STDOUT)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        unread = await process.stdout.read()
        await process.wait()
    assert unread == b""


async def lines(output: asyncio.StreamReader, count: int) -> list[str]:
    async with asyncio.timeout(DEADLINE):
        return sorted([(await output.readline()).decode().strip() for _ in range(count)])


async def test_every_audit_of_graphql_http_passes(workshop: Path, gateway: Gateway) -> None:
    async with script(workshop, "audits.mjs", gateway.url) as output, asyncio.timeout(30):
        assert await output.read() == b"passed: 61\n"


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


async def test_refused_clients_are_told_why(workshop: Path) -> None:
    missing = "A credential is missing. Send Authorization: Bearer and a key."
    body = f'{{"errors":[{{"message":"{missing}","extensions":{{"code":"UNAUTHENTICATED"}}}}]}}'
    async with (
        served(anonymous_introspection=False) as gateway,
        script(workshop, "refused.mjs", gateway.url) as output,
    ):
        assert await lines(output, 3) == [
            f"events {missing}",
            f"events-at-last Server responded with 401: Unauthorized {body}",
            f"socket 4401 Unauthorized: {missing}",
        ]
