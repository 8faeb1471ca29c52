"""What runs for a client that has gone."""

import asyncio

import httpx

from tests.conformance.sample_gateway import Gateway
from tests.conformance.wire import request
from tests.serving import eventually


async def test_mutation_is_finished_after_its_client_disconnects(gateway: Gateway, client: httpx.AsyncClient) -> None:
    query = "mutation { change(gated: true) }"
    gateway.state.gate.set()
    await client.post("/graphql", json={"query": query})  # the second time its document is kept
    gateway.state.gate.clear()
    _, writer = await asyncio.open_connection(*gateway.address)
    writer.write(request(query))
    await eventually(lambda: len(gateway.state.prepared) == 2)
    writer.transport.abort()
    await asyncio.sleep(0.05)
    assert gateway.registry.requests == 1
    gateway.state.gate.set()
    await eventually(lambda: gateway.state.mutations == 2)
    await gateway.registry.until_idle()
