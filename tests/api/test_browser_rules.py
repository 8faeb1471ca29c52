"""What pages of other sites can have of the gateway: nothing, unless their origin is on the list."""

from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from gateway.settings import Settings
from tests.api.conftest import Serve, Served

ALLOWED, FOREIGN = "https://app.example", "https://evil.example"
LISTED = Settings(allowed_origins=(ALLOWED,))
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
CORS = "access-control-allow-origin"


async def preflight(served: Served, origin: str, **asked: str) -> httpx.Response:
    return await served.http.options(served.url, headers={"origin": origin, **PREFLIGHT, **asked})


async def test_a_listed_origin_may_send_json_with_a_credential(serve: Serve) -> None:
    async with serve(LISTED) as served:
        asked = await preflight(served, ALLOWED)
        assert (asked.status_code, asked.headers[CORS]) == (200, ALLOWED)
        platform = await served.platform()
        body = {"query": "{ viewer { kind } }"}
        answer = await served.http.post(served.url, json=body, headers={"origin": ALLOWED, **platform.headers})
        assert (answer.status_code, answer.headers[CORS]) == (200, ALLOWED)
        assert "origin" in answer.headers["vary"].lower()
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_listed_origin_may_send_the_headers_of_any_client(serve: Serve) -> None:
    names = (
        "apollo-require-preflight,apollographql-client-name,apollographql-client-version,authorization,baggage,"
        "content-type,last-event-id,traceparent,tracestate,x-apollo-operation-name"
    )
    async with serve(LISTED) as served:
        asked = await preflight(served, ALLOWED, **{"access-control-request-headers": names})
        assert (asked.status_code, asked.headers["access-control-allow-headers"]) == (200, names)
        for method in ("PUT", "DELETE", "PATCH"):
            refused = await preflight(served, ALLOWED, **{"access-control-request-method": method})
            assert (refused.status_code, refused.headers["access-control-allow-methods"]) == (400, "GET, POST")


@pytest.mark.parametrize(
    "origin", [FOREIGN, "http://app.example", "https://app.example:8443", "https://x.app.example", "null"]
)
async def test_no_other_origin_may(serve: Serve, origin: str) -> None:
    async with serve(LISTED) as served:
        asked = await preflight(served, origin)
        assert asked.status_code == 400
        assert CORS not in asked.headers


async def test_other_origins_get_no_cors_headers_by_default(served: Served) -> None:
    asked = await preflight(served, ALLOWED)
    assert asked.status_code == 401
    assert not [name for name in asked.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
async def test_requests_without_a_preflight_are_refused(served: Served, content_type: str) -> None:
    platform = await served.platform()
    headers = {**platform.headers, **({"content-type": content_type} if content_type else {})}
    answer = await served.http.post(served.url, content=b'{"query": "{ viewer { kind } }"}', headers=headers)
    assert answer.status_code == 415


async def test_no_address_redirects_to_the_host_of_its_request(served: Served) -> None:
    for path in ("/", "/graphql/", "/healthz/", "/graphql//", "//evil.example/graphql/"):
        answer = await served.http.get(served.url.replace("/graphql", path), headers={"host": "evil.example"})
        assert answer.status_code == 404
        assert "location" not in answer.headers


async def test_a_url_changes_nothing(served: Served) -> None:
    platform = await served.platform()
    query = 'mutation { registerAccount(input: { name: "A" }) { __typename } }'
    answer = await served.http.get(served.url, params={"query": query}, headers=platform.headers)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def handshake(served: Served, **options: Any) -> int:
    url = served.url.replace("http", "ws", 1)
    try:
        async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None, **options):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_websocket_is_accepted_from_own_origin_listed_origins_and_clients_without_origin(serve: Serve) -> None:
    async with serve(LISTED) as served:
        own = served.url.removesuffix("/graphql")
        assert await handshake(served) == 101
        for origin in (own, ALLOWED):
            assert await handshake(served, origin=Origin(origin)) == 101
        for origin in (FOREIGN, "null", own.replace("127.0.0.1", "localhost"), "https://app.example.evil.example"):
            assert await handshake(served, origin=Origin(origin)) == 403


async def test_every_answer_says_how_browsers_may_use_it(served: Served) -> None:
    root = served.url.removesuffix("/graphql")
    platform = await served.platform()
    answers = [
        await platform.post("{ viewer { kind } }"),
        await platform.post("{"),
        await served.client("wrong").post("{ viewer { kind } }"),
        await served.http.get(f"{root}/healthz"),
        await served.http.get(f"{root}/nowhere"),
        await served.http.put(served.url),
    ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers or answer.headers["server"] == "uvicorn"
        if answer.url == served.url:
            assert answer.headers["vary"] == "Accept, Authorization, Origin"


async def test_introspection_and_suggestions_follow_one_setting(serve: Serve) -> None:
    schema, misspelt = "{ __schema { queryType { name } } }", "{ viewr { kind } }"
    async with serve(Settings(introspection="off")) as served:
        platform = await served.platform()
        codes = {error["extensions"]["code"] for error in await platform.errors(schema)}
        assert codes == {"GRAPHQL_VALIDATION_FAILED"}
        assert [error["message"] for error in await platform.errors(misspelt)] == [
            "Cannot query field 'viewr' on type 'Query'."
        ]
        unused = "query ($k: PrincipalKind) { viewer { kind } }"
        assert await platform.code(unused, k="PLATFRM") == "GRAPHQL_VALIDATION_FAILED"
        assert (await served.client(None).post(schema)).status_code == 401
    async with serve(Settings(introspection="callers")) as served:
        platform = await served.platform()
        assert await platform.data(schema) == {"__schema": {"queryType": {"name": "Query"}}}
        assert "Did you mean 'viewer'?" in (await platform.errors(misspelt))[0]["message"]
        assert (await served.client(None).post(schema)).status_code == 401
    async with serve(Settings(introspection="anyone")) as served:
        assert await served.client(None).data(schema) == {"__schema": {"queryType": {"name": "Query"}}}
