"""Limits per caller: WebSockets, and subscriptions over all transports."""

from gateway.transport.websocket.connection import WebSocketLimits
from tests.conformance.sample_gateway import OTHER_KEY, served
from tests.conformance.sockets import INIT, acknowledged, opened
from tests.serving import eventually, http_client


async def test_websockets_are_limited_per_caller() -> None:
    async with served(websocket_limits=WebSocketLimits(per_caller=2)) as gateway:
        async with acknowledged(gateway), acknowledged(gateway), opened(gateway) as third:
            await third.send(INIT)
            assert await third.close() == (1013, "At most 2 WebSockets may be open at a time.")
        await eventually(lambda: not gateway.registry.connections)
        async with acknowledged(gateway):
            pass


async def test_subscriptions_are_limited_per_caller_over_all_transports() -> None:
    async with served(max_subscriptions=2) as gateway, acknowledged(gateway) as first, acknowledged(gateway) as second:
        await first.subscribe("1", "subscription { ticks { place } }")
        await second.subscribe("1", "subscription { ticks { place } }")
        await eventually(lambda: gateway.state.subscribers == 2)
        await second.subscribe("2", "subscription { ticks { place } }")
        refusal = await second.receive()
        assert (refusal["type"], refusal["payload"]) == (
            "error",
            [
                {
                    "message": "At most 2 subscriptions may be open at a time.",
                    "extensions": {"code": "RATE_LIMITED", "retryAfter": 1},
                }
            ],
        )
        headers = {"authorization": f"Bearer {OTHER_KEY}", "accept": "text/event-stream"}
        async with http_client(headers=headers) as client:
            body = {"query": "subscription { ticks { place } }"}
            answer = await client.post(gateway.url, json=body)
            assert "At most 2 subscriptions" in answer.text, "both keys have the same bounds"
        await first.send({"type": "complete", "id": "1"})
        await eventually(lambda: gateway.state.subscribers == 1)
        await second.subscribe("3", "subscription { count(to: 1) }")
        assert [message["type"] for message in await second.received(2)] == ["next", "complete"]
