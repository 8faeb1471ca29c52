"""Liveness and readiness, also during the drain."""

import asyncio

import pytest

from gateway.transport.http import health
from tests.conformance.sample_gateway import KEY, Gateway
from tests.serving import DEADLINE, eventually, http_client


async def test_readiness_follows_the_check_and_the_drain(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REMEMBERED_SECONDS", 0)
    async with http_client(base_url=gateway.url.removesuffix("/graphql")) as client:

        async def readiness() -> tuple[int, dict[str, str]]:
            response = await client.get("/readyz")
            return response.status_code, response.json()

        assert await readiness() == (200, {"status": "ready"})
        gateway.state.reason = "The database does not answer."
        assert await readiness() == (503, {"status": "not ready", "reason": "The database does not answer."})
        gateway.state.reason = "crash"
        assert await readiness() == (503, {"status": "not ready", "reason": "The check failed; the log says why."})
        gateway.state.reason = None
        gateway.registry.begin_drain()
        assert await readiness() == (503, {"status": "not ready", "reason": "The gateway is stopping."})
        response = await client.get("/healthz")
        assert (response.status_code, response.json()) == (200, {"status": "alive"})


async def test_readiness_is_checked_once_a_second_for_all_who_ask(gateway: Gateway) -> None:
    async with http_client(base_url=gateway.url.removesuffix("/graphql")) as client:
        answers = await asyncio.gather(*(client.get("/readyz") for _ in range(20)))
        assert {response.status_code for response in answers} == {200}
        assert gateway.state.checks == 1


async def test_draining_gateway_finishes_requests_and_rejects_new_ones(gateway: Gateway) -> None:
    async with http_client(headers={"authorization": f"Bearer {KEY}"}) as client:
        running = asyncio.create_task(client.post(gateway.url, json={"query": "mutation { change(gated: true) }"}))
        await eventually(lambda: len(gateway.state.prepared) == 1)
        gateway.registry.begin_drain()
        finished = asyncio.create_task(gateway.registry.until_idle())
        refused = await client.post(gateway.url, json={"query": "{ hello }"})
        (error,) = refused.json()["errors"]
        assert (refused.status_code, error["extensions"]) == (503, {"code": "UNAVAILABLE"})
        assert refused.headers["retry-after"] == "1"
        assert not finished.done()
        gateway.state.gate.set()
        assert (await running).json() == {"data": {"change": 1}}
        async with asyncio.timeout(DEADLINE):
            await finished
