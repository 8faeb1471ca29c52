"""npm's graphql-ws and graphql-sse resume by cursor at the successor of their server."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from gateway.domain.cursors import encode_position
from gateway.usecases.installations import merge_into_metadata
from tests.live.dataset import PLATFORM, Dataset, populated
from tests.live.npm import SOURCE, npm_client
from tests.live.servers import GatewayProcess, Postgres, running_gateways


async def change(dataset: Dataset, count: int) -> list[tuple[str, int]]:
    """Change the first installation `count` times; return its versions."""
    one = dataset.installations[0]
    changed = [
        await merge_into_metadata(
            dataset.services,
            PLATFORM,
            installation_id=one.id,
            patch={"at": str(dataset.services.now())},
            expected_version=None,
        )
        for _ in range(count)
    ]
    return [(str(installation.id), installation.version) for installation in changed]


KILL_THEN_TERMINATE = (GatewayProcess.kill, GatewayProcess.terminate)


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        pytest.param("graphql-ws", [GatewayProcess.terminate], id="graphql-ws"),
        pytest.param("graphql-sse", [GatewayProcess.kill], id="graphql-sse", marks=pytest.mark.long),
        pytest.param("graphql-ws", KILL_THEN_TERMINATE, id="graphql-ws-twice", marks=pytest.mark.long),
        pytest.param("graphql-sse", KILL_THEN_TERMINATE, id="graphql-sse-twice", marks=pytest.mark.long),
    ],
)
async def test_npm_client_resumes_by_cursor_after_a_restart(
    name: str, ends: Sequence[Callable[[GatewayProcess], Awaitable[object]]], postgres: Postgres, tmp_path: Path
) -> None:
    async with (
        populated(postgres.url, applications=1, accounts=1) as dataset,
        running_gateways(postgres.url, count=1, directory=tmp_path) as (services,),
    ):
        cursor = encode_position(await dataset.feed.position())
        missed_before = await change(dataset, 3)
        async with npm_client(name, url=services.url, secret=dataset.secret, cursor=cursor) as client:
            assert await client.next("connected") is False
            assert await client.events(3) == missed_before
            for end in ends:
                live = await change(dataset, 5)
                assert await client.events(5) == live
                await end(services)
                missed = await change(dataset, 20)
                await services.start()
                assert await client.next("connected") is True
                assert await client.events(20) == missed
            closings = [said["closed"] for said in client.said if "closed" in said]
            refused = [code for code in closings if code not in {1006, 1012}]
            assert refused == []
            assert (1012 in closings) == (name == "graphql-ws")


def test_lock_file_has_digests_and_no_registry() -> None:
    lock = (SOURCE / "package-lock.json").read_text()
    assert lock.count('"integrity": "sha512-') == lock.count('"node_modules/')
    assert '"resolved"' not in lock
