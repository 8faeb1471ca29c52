"""graphql-transport-ws: every message and every close code."""

import asyncio
import math
import re
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.domain.errors import Forbidden
from gateway.transport.peers import PeerLimits
from gateway.transport.websocket.connection import WebSocketLimits
from tests.conformance.sample_gateway import KEY, Gateway, served
from tests.conformance.sockets import INIT, acknowledged, opened
from tests.serving import DEADLINE, eventually

TICKS = "subscription { ticks { place } }"


def next_of(identifier: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"type": "next", "id": identifier, "payload": {"data": data}}


async def test_queries_and_mutations_have_one_response(gateway: Gateway) -> None:
    async with acknowledged(gateway) as socket:
        await socket.subscribe("1", "query Q($name: String!) { hello(name: $name) }", variables={"name": "socket"})
        assert await socket.received(2) == [
            next_of("1", {"hello": "Hello, socket!"}),
            {"type": "complete", "id": "1"},
        ]
        await socket.subscribe("1", "mutation { change }", operationName=None, variables=None)
        assert await socket.received(2) == [next_of("1", {"change": 1}), {"type": "complete", "id": "1"}]


async def test_subscription_lasts_until_its_source_ends(gateway: Gateway) -> None:
    async with acknowledged(gateway) as socket:
        await socket.subscribe('a "quoted" id\u2028', "subscription { count(to: 2) }")
        identifier = 'a "quoted" id\u2028'
        assert await socket.received(3) == [
            next_of(identifier, {"count": 0}),
            next_of(identifier, {"count": 1}),
            {"type": "complete", "id": identifier},
        ]


async def test_operations_run_concurrently(gateway: Gateway) -> None:
    async with acknowledged(gateway) as socket:
        await socket.subscribe("slow", "{ gated }")
        await socket.subscribe("quick", "{ hello }")
        assert await socket.received(2) == [
            next_of("quick", {"hello": "Hello, world!"}),
            {"type": "complete", "id": "quick"},
        ]
        gateway.state.gate.set()
        assert await socket.received(2) == [next_of("slow", {"gated": "open"}), {"type": "complete", "id": "slow"}]


async def test_complete_stops_the_source_and_frees_the_id(gateway: Gateway) -> None:
    async with acknowledged(gateway) as socket:
        await socket.subscribe("1", TICKS)
        await eventually(lambda: gateway.state.subscribers == 1)
        await socket.send({"type": "complete", "id": "1"})
        await eventually(lambda: gateway.state.subscribers == 0)
        await gateway.state.tick(1)
        await socket.subscribe("1", "subscription { count(to: 1) }")
        assert await socket.received(2) == [next_of("1", {"count": 0}), {"type": "complete", "id": "1"}]
        await socket.send({"type": "complete", "id": "never heard of"}, {"type": "ping"})
        assert await socket.receive() == {"type": "pong"}
    assert len(gateway.pipeline.shared_subscriptions) == 0


async def test_mutation_is_finished_after_its_client_completes_it(gateway: Gateway) -> None:
    async with acknowledged(gateway) as socket:
        await socket.subscribe("1", "mutation { change(gated: true) }")
        await eventually(lambda: len(gateway.state.prepared) == 1)
        await socket.send({"type": "complete", "id": "1"}, {"type": "ping"})
        assert await socket.receive() == {"type": "pong"}
    gateway.state.gate.set()
    await eventually(lambda: gateway.state.mutations == 1)


@pytest.mark.parametrize(
    ("query", "message", "code"),
    [
        ("{ nothing }", "Cannot query field 'nothing' on type 'Query'.", "GRAPHQL_VALIDATION_FAILED"),
        ("{", "Syntax Error: Expected Name, found <EOF>.", "GRAPHQL_PARSE_FAILED"),
        ("{ forbidden }", "This is not for you.", "FORBIDDEN"),
    ],
)
async def test_refused_operation_gets_an_error_and_no_complete(
    gateway: Gateway, query: str, message: str, code: str
) -> None:
    async with acknowledged(gateway) as socket:
        await socket.subscribe("1", query)
        answer = await socket.receive()
        assert (answer["type"], answer["id"]) == ("error", "1")
        assert [(error["message"], error["extensions"]) for error in answer["payload"]] == [(message, {"code": code})]
        await socket.send({"type": "ping"})
        assert await socket.receive() == {"type": "pong"}


async def test_failing_source_ends_the_stream_with_a_typed_error(gateway: Gateway) -> None:
    async with acknowledged(gateway) as socket:
        await socket.subscribe("1", "subscription { expiring }")
        assert await socket.received(2) == [
            next_of("1", {"expiring": 1}),
            {
                "type": "error",
                "id": "1",
                "payload": [
                    {"message": "The log begins later.", "extensions": {"code": "CURSOR_EXPIRED", "oldest": "c7"}}
                ],
            },
        ]
        await socket.subscribe("1", "subscription { crashing }")
        _, failure = await socket.received(2)
        (error,) = failure["payload"]
        assert (error["message"], error["extensions"]["code"]) == ("Internal error.", "INTERNAL")


async def test_pings_are_answered_before_the_initialisation(gateway: Gateway) -> None:
    async with opened(gateway) as socket:
        await socket.send({"type": "ping"}, {"type": "ping", "payload": {"at": 1.0}}, {"type": "pong"}, INIT)
        assert await socket.received(3) == [
            {"type": "pong"},
            {"type": "pong", "payload": {"at": 1.0}},
            {"type": "connection_ack"},
        ]


@pytest.mark.parametrize(
    "message",
    [
        "nonsense",
        "[]",
        "null",
        "{}",
        '{"type": "start"}',
        '{"type": "next", "id": "1", "payload": {}}',
        '{"type": "connection_ack"}',
        '{"type": "connection_init", "payload": "secret"}',
        '{"type": "ping", "payload": 1}',
        '{"type": "pong", "payload": []}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{ hello }"}}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{ hello }"}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": null}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ hello }", "variables": []}}',
        '{"type": "complete"}',
        '{"type": {"type": "ping"}}',
        "[" * 50_000,
        b'{"type": "ping"}',
    ],
    ids=lambda message: str(message)[:40],
)
async def test_invalid_message_closes_with_4400(gateway: Gateway, message: str | bytes) -> None:
    async with acknowledged(gateway) as socket:
        await socket.connection.send(message)
        code, reason = await socket.close()
        assert code == 4400
        assert str(reason).startswith("Invalid message received: ")


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (None, "A credential is missing. Send Authorization: Bearer and a key."),
        ({}, "A credential is missing. Send Authorization: Bearer and a key."),
        ({"Authorization": None}, "A credential is missing. Send Authorization: Bearer and a key."),
        ({"Authorization": "Bearer igw_unknown"}, "This key is not known."),
        ({"Authorization": 7}, "The payload's Authorization has to be a string: Bearer, and a key."),
        ({"Authorization": KEY}, "The Authorization has to be Bearer, or Basic with a key as the user name."),
    ],
)
async def test_invalid_credential_closes_with_4401_and_says_why(
    gateway: Gateway, payload: dict[str, Any] | None, message: str
) -> None:
    async with opened(gateway) as socket:
        await socket.send({"type": "connection_init", "payload": payload})
        assert await socket.close() == (4401, f"Unauthorized: {message}")


async def test_missing_credential_closes_with_4401_where_nobody_introspects_without_one() -> None:
    async with served(anonymous_introspection=False) as gateway, opened(gateway) as socket:
        await socket.send({"type": "connection_init"})
        missing = "Unauthorized: A credential is missing. Send Authorization: Bearer and a key."
        assert await socket.close() == (4401, missing)


async def test_operation_before_the_acknowledgement_closes_with_4401(gateway: Gateway) -> None:
    async with opened(gateway) as socket:
        await socket.subscribe("1", "{ hello }")
        assert await socket.close() == (4401, "Unauthorized: send connection_init first")


async def test_credential_may_be_sent_with_the_upgrade(gateway: Gateway) -> None:
    async with opened(gateway, additional_headers={"authorization": f"Bearer {KEY}"}) as socket:
        await socket.send({"type": "connection_init"})
        assert await socket.receive() == {"type": "connection_ack"}
        await socket.subscribe("1", "{ caller }")
        assert await socket.receive() == next_of("1", {"caller": "first"})


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("igw_unlucky", r"The database does not answer\."),
        ("igw_crashing", r"Try again later: Internal error\. [0-9a-f]{32}"),
    ],
)
async def test_failed_authentication_closes_with_a_code_that_clients_retry(
    gateway: Gateway, key: str, reason: str
) -> None:
    async with opened(gateway) as socket:
        await socket.send({"type": "connection_init", "payload": {"authorization": f"Bearer {key}"}})
        code, said = await socket.close()
        assert code == 1013
        assert re.fullmatch(reason, str(said))


async def test_revoked_credential_closes_with_4403(gateway: Gateway) -> None:
    async with acknowledged(gateway) as concerned, opened(gateway) as other:
        other_key = {"Authorization": "Bearer igw_second"}
        await other.send({"type": "connection_init", "payload": other_key})
        await other.receive()
        await concerned.subscribe("1", TICKS)
        await eventually(lambda: gateway.state.subscribers == 1)
        gateway.registry.close_unauthorized(
            lambda principal: principal.id == "first", Forbidden("The key was revoked.")
        )
        assert await concerned.close() == (4403, "Forbidden: The key was revoked.")
        await other.send({"type": "ping"})
        assert await other.receive() == {"type": "pong"}
    await eventually(lambda: gateway.state.subscribers == 0)


async def test_another_subprotocol_closes_with_4406(gateway: Gateway) -> None:
    async with opened(gateway, subprotocol="graphql-ws") as socket:
        assert socket.connection.subprotocol is None
        assert await socket.close() == (4406, "Subprotocol not acceptable: offer graphql-transport-ws")


async def test_missing_initialisation_closes_with_4408() -> None:
    async with served(websocket_limits=WebSocketLimits(initialisation=0.1)) as gateway:
        async with opened(gateway) as silent, opened(gateway) as hanging:
            await hanging.send({"type": "connection_init", "payload": {"Authorization": "Bearer igw_hanging"}})
            assert await silent.close() == (4408, "Connection initialisation timeout")
            assert await hanging.close() == (4408, "Connection initialisation timeout")
        await eventually(lambda: not gateway.registry.connections)


async def test_id_in_use_closes_with_4409(gateway: Gateway) -> None:
    async with acknowledged(gateway) as socket:
        await socket.subscribe("x" * 200, TICKS)
        await socket.subscribe("x" * 200, TICKS)
        assert await socket.close() == (4409, ("Subscriber for " + "x" * 200)[:123])
    await eventually(lambda: gateway.state.subscribers == 0)


async def test_second_initialisation_closes_with_4429(gateway: Gateway) -> None:
    async with acknowledged(gateway) as socket:
        await socket.send(INIT)
        assert await socket.close() == (4429, "Too many initialisation requests")


async def test_frame_beyond_the_limit_closes_with_1009() -> None:
    async with served(ws_max_size=1_000) as gateway, acknowledged(gateway) as socket:
        await socket.subscribe("1", "#" * 1_000)
        assert (await socket.close())[0] == 1009


async def test_operations_beyond_the_limit_are_refused() -> None:
    limits = WebSocketLimits(operations=2)
    async with served(websocket_limits=limits) as gateway, acknowledged(gateway) as socket:
        for identifier in ("1", "2", "3"):
            await socket.subscribe(identifier, TICKS)
        answer = await socket.receive()
        assert (answer["type"], answer["id"]) == ("error", "3")
        assert answer["payload"][0]["extensions"] == {"code": "RATE_LIMITED", "retryAfter": 1}
        await socket.send({"type": "complete", "id": "1"})
        await socket.subscribe("3", "{ hello }")
        assert await socket.receive() == next_of("3", {"hello": "Hello, world!"})


async def test_client_that_answers_no_ping_is_dropped(gateway: Gateway) -> None:
    async with acknowledged(gateway) as lively, acknowledged(gateway) as dead:
        await dead.subscribe("1", TICKS)
        await eventually(lambda: gateway.state.subscribers == 1)
        for _ in range(3):
            gateway.advance(WebSocketLimits().ping)
            assert await lively.receive() == {"type": "ping"}
            await lively.send({"type": "pong"}, {"type": "ping"})
            assert await lively.receive() == {"type": "pong"}
        assert await dead.close() == (1006, "")
        await lively.subscribe("1", "{ hello }")
        assert await lively.receive() == next_of("1", {"hello": "Hello, world!"})
    await eventually(lambda: gateway.state.subscribers == 0)


async def test_client_that_reads_nothing_is_dropped_and_delays_no_other() -> None:
    limits = WebSocketLimits(ping=math.inf)
    query = "subscription { ticks { place padding(size: 100000) } }"

    async with (
        served(websocket_limits=limits) as gateway,
        acknowledged(gateway) as reading,
        acknowledged(gateway, max_queue=1) as stuck,
    ):
        gateway.registry.peers.limits = PeerLimits(stalled_seconds=2, bytes_per_second=100_000_000)
        await stuck.subscribe("1", query)
        await reading.subscribe("1", query)
        await eventually(lambda: gateway.state.subscribers == 2)
        await gateway.state.tick(*range(100))
        messages = await reading.received(100)
        assert [message["payload"]["data"]["ticks"]["place"] for message in messages] == list(range(100))
        await eventually(lambda: gateway.state.subscribers == 1)
        with pytest.raises(ConnectionClosed):
            await stuck.received(101)
        assert stuck.connection.close_code == 1006


async def test_client_that_disconnects_leaves_nothing_behind(gateway: Gateway) -> None:
    async with acknowledged(gateway) as socket:
        for number in range(10):
            await socket.subscribe(str(number), TICKS)
        await eventually(lambda: gateway.state.subscribers == 10)
        socket.connection.transport.abort()
        await eventually(lambda: gateway.state.subscribers == 0)
    await eventually(lambda: not gateway.registry.connections)
    assert len(gateway.pipeline.shared_subscriptions) == 0


async def test_websockets_close_with_1012_after_their_responses(gateway: Gateway) -> None:
    async with acknowledged(gateway) as idle, acknowledged(gateway) as busy:
        await idle.subscribe("1", TICKS)
        await busy.subscribe("1", TICKS)
        await busy.subscribe("2", "{ gated }")
        await busy.subscribe("3", "mutation { change(gated: true) }")
        await eventually(lambda: len(gateway.state.prepared) == 4)
        gateway.registry.begin_drain()
        assert await idle.close() == (1012, "Service restart")
        await eventually(lambda: gateway.state.subscribers == 0)
        assert len(gateway.registry.connections) == 1
        gateway.state.gate.set()
        answers = await busy.received(4)
        assert next_of("2", {"gated": "open"}) in answers
        assert next_of("3", {"change": 1}) in answers
        assert await busy.close() == (1012, "Service restart")
        async with asyncio.timeout(DEADLINE):
            await gateway.registry.until_idle()
        async with opened(gateway) as late:
            assert await late.close() == (1012, "Service restart")


async def test_other_paths_have_no_websocket(gateway: Gateway) -> None:
    gateway.url += "/other"
    with pytest.raises(InvalidStatus):
        async with opened(gateway):
            pass
