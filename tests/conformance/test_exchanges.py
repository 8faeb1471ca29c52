"""A POST to the endpoint is answered without ASGI, in the same bytes as over ASGI, where its URL has a query."""

import asyncio
import json
import re

import pytest

from gateway.transport.http.endpoint import HttpLimits
from tests.conformance.sample_gateway import KEY, Gateway, served
from tests.conformance.wire import connection
from tests.serving import DEADLINE

SUBSCRIBE = "subscription { count(to: 2) }"
GRAPHQL_RESPONSE = "application/graphql-response+json"
LARGE = "#" * 2_000
REQUESTS: dict[str, tuple[str, dict[str, str | None]]] = {
    "query": ("{ hello }", {}),
    "GraphQL's media type": ("{ hello }", {"accept": GRAPHQL_RESPONSE}),
    "no accept": ("{ hello }", {"accept": None}),
    "two of a header": ("{ hello }", {"Accept": "application/json\r\naccept: image/png"}),
    "unacceptable": ("{ hello }", {"accept": "image/png"}),
    "events": (SUBSCRIBE, {"accept": "text/event-stream"}),
    "parts": (SUBSCRIBE, {"accept": 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0"'}),
    "events of an error": ("{ nothing }", {"accept": "text/event-stream"}),
    "subscription in JSON": (SUBSCRIBE, {}),
    "invalid": ("{ nothing }", {"accept": GRAPHQL_RESPONSE}),
    "no key": ("{ hello }", {"authorization": None}),
    "unknown key": ("{ hello }", {"authorization": "Bearer igw_unknown"}),
    "unavailable": ("{ hello }", {"authorization": "Bearer igw_unlucky"}),
    "not ASCII": ("{ hello }", {"authorization": "Bearer igw_ä"}),
    "media type": ("{ hello }", {"content-type": "text/plain"}),
    "too large": (LARGE, {}),
    "announced as too large": ("{ hello }", {"content-length": "2000"}),
    "expecting to continue": ("{ hello }", {"expect": "100-continue"}),
}
"""Documents, and the headers that differ from the usual ones; None: not sent."""


def parts(target: str, query: str, headers: dict[str, str | None]) -> tuple[bytes, bytes]:
    """Return the head and the body of a request after whose answer the connection closes."""
    body = json.dumps({"query": query}).encode()
    usual = {
        "authorization": f"Bearer {KEY}",
        "accept": "application/json",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
    }
    given = {name: value for name, value in (usual | headers).items() if value is not None}
    lines = [f"POST {target} HTTP/1.1", "host: x", *(f"{name}: {value}" for name, value in given.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1"), body


async def answer_to(gateway: Gateway, *sent: bytes) -> bytes:
    """Send the parts of a request one after the other; return the whole answer without its date."""
    async with connection(gateway) as (reader, writer), asyncio.timeout(DEADLINE):
        for part in sent:
            writer.write(part)
            await asyncio.sleep(0.01)
        answer = await reader.read()
    return re.sub(rb"date: [^\r]*\r\n", b"", answer)


@pytest.mark.parametrize("name", REQUESTS)
async def test_answer_equals_that_of_asgi(name: str) -> None:
    async with served(http_limits=HttpLimits(body_bytes=1_000)) as gateway:
        expected = await answer_to(gateway, *parts("/graphql?asgi", *REQUESTS[name]))
        head, body = parts("/graphql", *REQUESTS[name])
        assert expected.startswith(b"HTTP/1.1 ")
        assert b"\r\nx-content-type-options: nosniff\r\n" in expected
        assert await answer_to(gateway, head, body) == expected
        # A client whose body came with its head has not waited for permission to send it.
        assert await answer_to(gateway, head + body) == expected.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")


@pytest.mark.parametrize("target", ["/graphql", "/graphql?asgi"])
async def test_body_in_many_small_chunks_is_read(target: str) -> None:
    async with served() as gateway:
        body = json.dumps({"query": "query ($v: JSON!) { echo(value: $v) }", "variables": {"v": "x" * 90_000}}).encode()
        head = parts(target, "", {"content-length": None, "transfer-encoding": "chunked"})[0]
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        answer = await answer_to(gateway, head, chunks)
        assert answer.endswith(b'{"data":{"echo":"' + b"x" * 90_000 + b'"}}')
