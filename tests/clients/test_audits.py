"""The audits of graphql-http on the real gateway, with a key."""

import asyncio
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

from tests.clients.pages import ROOT
from tests.live.dataset import Dataset
from tests.live.servers import GatewayProcess
from tests.npm import node, workspace

AUDIT_SECONDS = 60


async def test_every_audit_of_graphql_http_passes(dataset: Dataset, gateway: GatewayProcess, tmp_path: Path) -> None:
    folder = workspace(ROOT / "tests/conformance/npm", tmp_path / "audits")
    process = await asyncio.create_subprocess_exec(
        node(), "audits.mjs", gateway.url, dataset.secret, cwd=folder, stdout=PIPE, stderr=STDOUT
    )
    async with asyncio.timeout(AUDIT_SECONDS):
        output, _ = await process.communicate()
    assert output == b"passed: 61\n"
