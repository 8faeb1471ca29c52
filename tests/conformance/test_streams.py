"""Server-sent events (graphql-sse) and multipart: framing, resumption, keep-alives, and how streams end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from gateway.domain.errors import Unauthenticated
from gateway.transport.http.streaming import KEEP_ALIVE_SECONDS
from gateway.transport.peers import PeerLimits
from tests.conformance.sample_gateway import KEY, Gateway
from tests.serving import DEADLINE, eventually, http_client

EVENT_STREAM = {"authorization": f"Bearer {KEY}", "accept": "text/event-stream"}
MULTIPART = {
    "authorization": f"Bearer {KEY}",
    "accept": 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0",application/json',
}
TICKS = "subscription { ticks { place } }"


class Stream:
    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._chunks = response.aiter_text()
        self.text = ""

    async def until(self, text: str) -> str:
        """Read on until `text` has come."""
        async with asyncio.timeout(DEADLINE):
            while text not in self.text:
                self.text += await anext(self._chunks)
        return self.text

    async def rest(self) -> str:
        async with asyncio.timeout(DEADLINE):
            async for chunk in self._chunks:
                self.text += chunk
        return self.text


@asynccontextmanager
async def streamed(
    gateway: Gateway, query: str, headers: dict[str, str] = EVENT_STREAM, **parameters: Any
) -> AsyncIterator[Stream]:
    body = {"query": query, **parameters}
    async with (
        http_client(headers=headers) as client,
        client.stream("POST", gateway.url, json=body) as response,
    ):
        yield Stream(response)


async def test_events_are_framed_with_their_cursors(gateway: Gateway) -> None:
    await gateway.state.tick(7, 8)
    async with streamed(gateway, TICKS) as stream:
        text = await stream.until('"place":8}}}\n\n')
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.response.headers["cache-control"] == "no-cache, no-transform"
    assert text == (
        ":\n\n"
        'id: c7\nevent: next\ndata: {"data":{"ticks":{"place":7}}}\n\n'
        'id: c8\nevent: next\ndata: {"data":{"ticks":{"place":8}}}\n\n'
    )
    await eventually(lambda: gateway.state.subscribers == 0)
    await eventually(lambda: not gateway.registry.connections)
    assert len(gateway.pipeline.shared_subscriptions) == 0


async def test_stream_ends_with_a_completion_frame(gateway: Gateway) -> None:
    async with streamed(gateway, "subscription { count(to: 1) }") as stream:
        assert await stream.rest() == (':\n\nevent: next\ndata: {"data":{"count":0}}\n\nevent: complete\ndata:\n\n')


async def test_stream_may_be_requested_by_get(gateway: Gateway) -> None:
    async with http_client(headers=EVENT_STREAM) as client:
        response = await client.get(gateway.url, params={"query": "subscription { count(to: 1) }"})
    assert response.text.endswith('data: {"data":{"count":0}}\n\nevent: complete\ndata:\n\n')


async def test_queries_and_mutations_may_be_streamed(gateway: Gateway) -> None:
    for query, data in (("{ hello }", {"hello": "Hello, world!"}), ("mutation { change }", {"change": 1})):
        async with streamed(gateway, query) as stream:
            text = json.dumps({"data": data}, separators=(",", ":"))
            assert await stream.rest() == f":\n\nevent: next\ndata: {text}\n\nevent: complete\ndata:\n\n"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{", "Syntax Error: Expected Name, found <EOF>."),
        ("subscription { nothing }", "Cannot query field 'nothing' on type 'Subscription'."),
        ("subscription Q($to: Int!) { count(to: $to) }", "Variable '$to' has invalid value: "),
        ("{ forbidden }", "This is not for you."),
    ],
)
async def test_refused_operation_is_reported_by_an_event(gateway: Gateway, query: str, message: str) -> None:
    async with streamed(gateway, query) as stream:
        text = await stream.rest()
    assert stream.response.status_code == 200
    opening, event, complete, end = text.split("\n\n")
    assert (opening, complete, end) == (":", "event: complete\ndata:", "")
    name, _, data = event.partition("\ndata: ")
    (error,) = json.loads(data)["errors"]
    assert name == "event: next"
    assert error["message"].startswith(message)


async def test_failing_source_ends_the_stream_with_a_typed_error(gateway: Gateway) -> None:
    async with streamed(gateway, "subscription { expiring }") as stream:
        text = await stream.rest()
    error = '{"message":"The log begins later.","extensions":{"code":"CURSOR_EXPIRED","oldest":"c7"}}'
    assert text.endswith(f'event: next\ndata: {{"errors":[{error}]}}\n\nevent: complete\ndata:\n\n')
    async with streamed(gateway, "subscription { crashing }") as stream:
        text = await stream.rest()
    assert '"message":"Internal error."' in text
    assert "secret" not in text


async def test_client_resumes_after_last_event_id_unless_after_is_given(gateway: Gateway) -> None:
    await gateway.state.tick(0, 1, 2)
    resuming = {**EVENT_STREAM, "last-event-id": "c2"}
    async with streamed(gateway, TICKS, resuming) as stream:
        assert '"place":2' in await stream.until("id: c2")
        assert '"place":1' not in stream.text
    async with streamed(gateway, "subscription { ticks(after: 1) { place } }", resuming) as stream:
        assert '"place":0' not in await stream.until("id: c1")


async def test_quiet_stream_sends_keep_alives(gateway: Gateway) -> None:
    async with streamed(gateway, TICKS) as stream:
        for opening_and_keep_alives in (":\n\n", ":\n\n:\n\n", ":\n\n:\n\n:\n\n"):
            assert await stream.until(opening_and_keep_alives) == opening_and_keep_alives
            gateway.advance(KEEP_ALIVE_SECONDS)
        await gateway.state.tick(1)
        await stream.until("id: c1")
    async with streamed(gateway, TICKS, MULTIPART, variables={}) as stream:
        await stream.until("--graphql")
        gateway.advance(KEEP_ALIVE_SECONDS)
        await stream.until("\r\n\r\n{}\r\n--graphql")


@asynccontextmanager
async def raw(gateway: Gateway, query: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Ask for a stream, and leave it to the test whether it is read."""
    body = json.dumps({"query": query})
    headers = {**EVENT_STREAM, "host": "test", "content-type": "application/json", "content-length": len(body)}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    reader, writer = await asyncio.open_connection(*gateway.address, limit=1_000)
    writer.write(f"POST /graphql HTTP/1.1\r\n{head}\r\n{body}".encode())
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_client_that_reads_nothing_is_dropped(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    gateway.registry.peers.limits = PeerLimits(stalled_seconds=0.1, bytes_per_second=100_000_000)
    await gateway.state.tick(*range(200))
    async with raw(gateway, "subscription { ticks { place padding(size: 100000) } }") as (reader, _):
        await eventually(lambda: gateway.state.subscribers == 1)
        await eventually(lambda: gateway.state.subscribers == 0)
        await eventually(lambda: not gateway.registry.connections)
        text = await reader.read()
    assert b"id: c0\n" in text
    assert b"id: c199\n" not in text
    assert not text.endswith(b"0\r\n\r\n")
    assert caplog.records == []


async def test_client_that_disconnects_leaves_nothing_behind(gateway: Gateway) -> None:
    async with raw(gateway, TICKS) as (_, writer):
        await eventually(lambda: gateway.state.subscribers == 1)
        writer.transport.abort()
        await eventually(lambda: gateway.state.subscribers == 0)
    await eventually(lambda: not gateway.registry.connections)


async def test_mutation_is_finished_after_its_client_disconnects(gateway: Gateway) -> None:
    async with streamed(gateway, "mutation { change(gated: true) }") as stream:
        await stream.until(":\n\n")
        await eventually(lambda: len(gateway.state.prepared) == 1)
    await eventually(lambda: not gateway.registry.connections)
    gateway.state.gate.set()
    await eventually(lambda: gateway.state.mutations == 1)


async def test_revoked_credential_ends_the_stream_with_a_typed_error(gateway: Gateway) -> None:
    async with streamed(gateway, TICKS) as stream:
        await stream.until(":\n\n")
        gateway.registry.close_unauthorized(
            lambda principal: principal.id == "first", Unauthenticated("The key was revoked.")
        )
        assert await stream.rest() == (
            ":\n\nevent: next\n"
            'data: {"errors":[{"message":"The key was revoked.","extensions":{"code":"UNAUTHENTICATED"}}]}\n\n'
            "event: complete\ndata:\n\n"
        )


async def test_draining_gateway_ends_streams_without_a_completion_frame(gateway: Gateway) -> None:
    async with streamed(gateway, TICKS) as stream, streamed(gateway, TICKS, MULTIPART) as parts:
        await stream.until(":\n\n")
        gateway.registry.begin_drain()
        assert await stream.rest() == ":\n\nretry: 1000\n\n"
        assert await parts.rest() == "--graphql--\r\n"
        async with asyncio.timeout(DEADLINE):
            await gateway.registry.until_idle()


async def test_subscription_may_be_multipart(gateway: Gateway) -> None:
    async with streamed(gateway, "subscription { expiring }", MULTIPART) as stream:
        text = await stream.rest()
    assert stream.response.headers["content-type"] == 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0"'
    error = '{"message":"The log begins later.","extensions":{"code":"CURSOR_EXPIRED","oldest":"c7"}}'
    parts = ['{"payload":{"data":{"expiring":1}}}', f'{{"payload":null,"errors":[{error}]}}']
    framed = [
        f"\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {len(part)}\r\n\r\n{part}\r\n--graphql"
        for part in parts
    ]
    assert text == "--graphql" + "".join(framed) + "--\r\n"


async def test_only_a_subscription_may_be_multipart(gateway: Gateway) -> None:
    async with streamed(gateway, "{ hello }", MULTIPART) as stream:
        assert await stream.rest() == '{"data":{"hello":"Hello, world!"}}'
        assert stream.response.headers["content-type"] == "application/json; charset=utf-8"
