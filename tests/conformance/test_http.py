"""POST and GET by the GraphQL-over-HTTP specification: media types, statuses and rejected requests."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest

from gateway.transport.http.endpoint import HttpLimits
from tests.conformance.sample_gateway import KEY, Gateway, served
from tests.serving import DEADLINE, http_client

GRAPHQL_RESPONSE = "application/graphql-response+json; charset=utf-8"
JSON = "application/json; charset=utf-8"


def only_error(response: httpx.Response) -> tuple[str, str]:
    (error,) = response.json()["errors"]
    return error["message"], error["extensions"]["code"]


async def post(
    client: httpx.AsyncClient, query: str, *, accept: str | None = None, **parameters: Any
) -> httpx.Response:
    headers = {} if accept is None else {"accept": accept}
    return await client.post("/graphql", json={"query": query, **parameters}, headers=headers)


async def test_query_is_answered_in_the_preferred_media_type(client: httpx.AsyncClient) -> None:
    forms = {
        "application/graphql-response+json": GRAPHQL_RESPONSE,
        "application/json": JSON,
        "*/*": JSON,
        "application/json, application/graphql-response+json": JSON,
        "application/json;q=0.5, application/graphql-response+json": GRAPHQL_RESPONSE,
        "*/*;q=0.1, application/graphql-response+json;q=0.2": GRAPHQL_RESPONSE,
        "text/html, application/graphql-response+json;q=0.9": GRAPHQL_RESPONSE,
        'multipart/mixed;boundary="graphql";subscriptionSpec="1.0",application/json': JSON,
        "": GRAPHQL_RESPONSE,
    }
    for accept, form in forms.items():
        response = await post(client, "{ hello }", accept=accept)
        assert (accept, response.status_code, response.headers["content-type"]) == (accept, 200, form)
        assert response.json() == {"data": {"hello": "Hello, world!"}}


@pytest.mark.parametrize("accept", ["image/png", "application/json;q=0", "text/html", "application/json;q=many"])
async def test_accept_header_without_a_known_media_type_gets_406(client: httpx.AsyncClient, accept: str) -> None:
    response = await post(client, "{ hello }", accept=accept)
    assert response.status_code == 406
    assert only_error(response)[1] == "BAD_USER_INPUT"


PARSE_FAILED, VALIDATION_FAILED = {"code": "GRAPHQL_PARSE_FAILED"}, {"code": "GRAPHQL_VALIDATION_FAILED"}
WRONG_NAME = {"code": "BAD_USER_INPUT", "argument": "name"}
HELLO = "query Q($name: String!) { hello(name: $name) }"


@pytest.mark.parametrize(
    ("query", "parameters", "message", "extensions"),
    [
        ("{ hello ", {}, "Syntax Error: Expected Name, found <EOF>.", PARSE_FAILED),
        ("{ nothing }", {}, "Cannot query field 'nothing' on type 'Query'.", VALIDATION_FAILED),
        ("{ hello(name: 1) }", {}, "String cannot represent a non string value: 1", VALIDATION_FAILED),
        ("{ hello }", {"operationName": "B"}, "The document has no operation 'B'.", {"code": "BAD_USER_INPUT"}),
        ("subscription { count(to: 1) }", {}, "A subscription is a stream", {"code": "BAD_USER_INPUT"}),
        (HELLO, {"variables": {"name": 1}}, "Variable '$name' has invalid value: String cannot", WRONG_NAME),
        (HELLO, {}, "Variable '$name' has invalid value: Expected a value of non-null type", WRONG_NAME),
    ],
)
async def test_invalid_operation_gets_400_in_the_graphql_media_type_and_200_in_plain_json(
    client: httpx.AsyncClient, query: str, parameters: dict[str, Any], message: str, extensions: dict[str, str]
) -> None:
    for accept, status in (("application/graphql-response+json", 400), ("application/json", 200)):
        response = await post(client, query, accept=accept, **parameters)
        (error,) = response.json()["errors"]
        assert (response.status_code, error["extensions"]) == (status, extensions)
        assert error["message"].startswith(message)
        assert "data" not in response.json()


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b'{"query":',
        b'"{ hello }"',
        b"null",
        b'{"qeury": "{ hello }"}',
        b'{"query": 1}',
        b'{"query": ["{ hello }"]}',
        b'{"query": "{ hello }", "variables": [7]}',
        b'{"query": "{ hello }", "variables": "{}"}',
        b'{"query": "{ hello }", "operationName": 7}',
        b'{"query": "{ hello }", "extensions": "none"}',
        b'{"query": "{ hello }"\xff}',
        b'\xff\xfe{"query": "{ hello }"}',
        b"[" * 100_000,
        b'{"query": "{ hello }", "variables": ' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}",
    ],
    ids=lambda body: repr(body[:40]),
)
async def test_malformed_request_gets_400(client: httpx.AsyncClient, body: bytes, accept: str) -> None:
    headers = {"content-type": "application/json", "accept": accept}
    response = await client.post("/graphql", content=body, headers=headers)
    assert (response.status_code, only_error(response)[1]) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize("name", ["operationName", "variables", "extensions"])
async def test_null_parameter_counts_as_absent(client: httpx.AsyncClient, name: str) -> None:
    response = await post(client, "{ hello }", **{name: None})
    assert response.json() == {"data": {"hello": "Hello, world!"}}


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; Charset=UTF-8", 200),
        ("application/json; charset=latin-1", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/graphql", 415),
        ("", 415),
    ],
)
async def test_body_has_to_be_json_in_utf_8(client: httpx.AsyncClient, content_type: str, status: int) -> None:
    response = await client.post("/graphql", content=b'{"query": "{ hello }"}', headers={"content-type": content_type})
    assert response.status_code == status


async def test_numbers_and_surrogates_are_preserved(client: httpx.AsyncClient) -> None:
    value = rb'{"a":1.0,"b":"\ud800","c":123456789012345678901234567890,"d":' + b"1" * 5000 + b"}"
    body = b'{"query": "query($v: JSON!) { echo(value: $v) }", "variables": {"v": ' + value + b"}}"
    response = await client.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert response.content == b'{"data":{"echo":' + value + b"}}"


async def test_response_may_be_nested_deeper_than_orjson_allows(client: httpx.AsyncClient) -> None:
    value = "[" * 260 + "]" * 260
    body = '{"query": "query($v: JSON!) { echo(value: $v) }", "variables": {"v": ' + value + "}}"
    response = await client.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert response.text == '{"data":{"echo":' + value + "}}"


async def test_body_is_read_no_further_than_its_limit() -> None:
    async def endless() -> Any:
        while True:
            yield b" " * 1_000

    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    limits = HttpLimits(body_bytes=10_000)

    async def refused(content: Any) -> bool:
        try:
            return (await client.post(gateway.url, content=content)).status_code == 413
        except httpx.NetworkError:  # the connection was closed while this client was still busy with sending
            return True

    async with served(http_limits=limits) as gateway, http_client(headers=headers) as client:
        fitting = json.dumps({"query": "{ hello }"}).ljust(10_000)
        assert (await client.post(gateway.url, content=fitting)).status_code == 200
        response = await client.post(gateway.url, content=fitting + " ")
        assert (response.status_code, only_error(response)) == (
            413,
            ("The request's body is larger than 10000 bytes.", "BAD_USER_INPUT"),
        )
        assert await refused(endless())


async def test_body_that_does_not_arrive_times_out() -> None:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    limits = HttpLimits(body_seconds=0.1)
    async with served(http_limits=limits) as gateway:
        host, port = gateway.address
        reader, writer = await asyncio.open_connection(host, port)
        head = "\r\n".join(f"{name}: {value}" for name, value in {**headers, "content-length": "50"}.items())
        writer.write(f'POST /graphql HTTP/1.1\r\nhost: test\r\n{head}\r\n\r\n{{"query":'.encode())
        async with asyncio.timeout(DEADLINE):
            answer = await reader.readline()
        assert answer.startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_query_may_be_sent_by_get(client: httpx.AsyncClient) -> None:
    parameters = {
        "query": "query A { hello } query B($name: String!) { hello(name: $name) }",
        "operationName": "B",
        "variables": '{"name": "GET"}',
        "extensions": "",
    }
    response = await client.get("/graphql", params=parameters)
    assert (response.status_code, response.json()) == (200, {"data": {"hello": "Hello, GET!"}})
    response = await client.get("/graphql", params={"query": "{ hello }", "operationName": ""})
    assert response.json() == {"data": {"hello": "Hello, world!"}}


@pytest.mark.parametrize("parameters", [{}, {"query": "{ hello }", "variables": "{"}, {"query": "{"}])
async def test_malformed_get_gets_400(client: httpx.AsyncClient, parameters: dict[str, str]) -> None:
    assert (await client.get("/graphql", params=parameters)).status_code == 400


async def test_long_header_or_url_is_refused_before_it_is_read(client: httpx.AsyncClient) -> None:
    ranges = "application/json" + ",*/*" * 500
    assert (await post(client, "{ hello }", accept=ranges)).status_code == 406
    content_type = "application/json;charset=utf-8" + ";a=1" * 10_000
    answer = await client.post("/graphql", content='{"query": "{ hello }"}', headers={"content-type": content_type})
    assert answer.json() == {"data": {"hello": "Hello, world!"}}
    response = await client.get("/graphql?query=%7Bhello%7D" + "&a=1" * 20)
    assert only_error(response) == ("A URL has at most 20 parameters.", "BAD_USER_INPUT")


async def test_mutation_by_get_gets_405_and_changes_nothing(gateway: Gateway, client: httpx.AsyncClient) -> None:
    for accept in ("application/graphql-response+json", "application/json", "text/event-stream"):
        response = await client.get("/graphql", params={"query": "mutation { change }"}, headers={"accept": accept})
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert gateway.state.mutations == 0


async def test_other_methods_get_405(client: httpx.AsyncClient) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        response = await client.request(method, "/graphql", json={"query": "{ hello }"})
        assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


async def test_browser_gets_a_page(gateway: Gateway) -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    async with http_client(headers={"accept": accept}) as browser:
        assert (await browser.get(gateway.url)).text == "<title>A page</title>"
        assert (await browser.get(gateway.url, params={"query": "{ hello }"})).text == "<title>A page</title>"
        assert (await browser.get(gateway.url, headers={"accept": "*/*"})).status_code == 400


async def test_browser_gets_json_where_there_is_no_page() -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    async with served(page=False) as gateway, http_client(headers={"accept": accept}) as browser:
        response = await browser.get(gateway.url, params={"query": "{ __typename }"})
        assert response.json() == {"data": {"__typename": "Query"}}
        assert (await browser.get(gateway.url, headers={"accept": "text/html"})).status_code == 406


async def test_unexpected_errors_are_masked_and_logged(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await post(client, "{ broken unavailable hello }")
    broken, unavailable = response.json()["errors"]
    error_id = broken["extensions"].pop("errorId")
    assert response.status_code == 200
    assert response.json()["data"] == {"broken": None, "unavailable": None, "hello": "Hello, world!"}
    assert broken == {
        "message": "Internal error.",
        "locations": [{"line": 1, "column": 3}],
        "path": ["broken"],
        "extensions": {"code": "INTERNAL"},
    }
    assert unavailable == {
        "message": "The database does not answer.",
        "locations": [{"line": 1, "column": 10}],
        "path": ["unavailable"],
        "extensions": {"code": "UNAVAILABLE"},
    }
    (record,) = [record for record in caplog.records if record.name == "gateway.errors"]
    assert error_id in record.getMessage()
    assert record.exc_info is not None


async def test_operation_whose_data_is_null_gets_200(client: httpx.AsyncClient) -> None:
    response = await post(client, "{ required }")
    assert (response.status_code, response.json()["data"]) == (200, None)


async def test_context_is_prepared_with_the_root_fields_and_may_refuse(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    document = """
        query { ...F ... on Query { caller } __typename }
        fragment F on Query { hi: hello ...G }
        fragment G on Query { self { hello } }
    """
    await post(client, document)
    response = await post(client, "{ hello forbidden }")
    assert (response.status_code, only_error(response)) == (403, ("This is not for you.", "FORBIDDEN"))
    assert gateway.state.prepared == [
        frozenset({"hello", "self", "caller", "__typename"}),
        frozenset({"hello", "forbidden"}),
    ]


async def test_bearer_and_basic_authenticate(gateway: Gateway) -> None:
    basic = base64.b64encode(f"{KEY}:".encode()).decode()
    async with http_client() as client:
        for authorization in (f"Bearer {KEY}", f"bearer  {KEY}", f"Basic {basic}"):
            headers = {"authorization": authorization}
            response = await client.post(gateway.url, json={"query": "{ caller }"}, headers=headers)
            assert response.json() == {"data": {"caller": "first"}}


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer unknown",
        KEY,
        "Digest a",
        "Basic ???",
        "Basic " + base64.b64encode(f"{KEY}:password".encode()).decode(),
        "Basic " + base64.b64encode(b"\xff\xff").decode(),
        "Basic " + base64.b64encode(b":").decode(),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json", "text/event-stream"])
async def test_invalid_credential_gets_401(gateway: Gateway, authorization: str | None, accept: str) -> None:
    headers = {"accept": accept}
    if authorization is not None:
        headers["authorization"] = authorization
    async with http_client() as client:
        response = await client.post(gateway.url, json={"query": "{ hello }"}, headers=headers)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert only_error(response)[1] == "UNAUTHENTICATED"


async def test_anonymous_callers_may_only_introspect(gateway: Gateway) -> None:
    async with http_client() as client:
        for query in (
            "{ __typename }",
            "{ __schema { queryType { name } } }",
            "{ ...F } fragment F on Query { __typename }",
        ):
            assert (await client.post(gateway.url, json={"query": query})).status_code == 200
        for query in ("{ __typename hello }", "{ __typename ...F } fragment F on Query { hello }"):
            assert (await client.post(gateway.url, json={"query": query})).status_code == 401


async def test_anonymous_introspection_can_be_disabled() -> None:
    async with served(anonymous_introspection=False) as gateway, http_client() as client:
        assert (await client.post(gateway.url, json={"query": "{ __typename }"})).status_code == 401


async def test_failed_authentication_differs_from_an_invalid_key(gateway: Gateway) -> None:
    async with http_client() as client:
        for key, status in (("igw_unlucky", 503), ("igw_crashing", 500)):
            headers = {"authorization": f"Bearer {key}"}
            response = await client.post(gateway.url, json={"query": "{ hello }"}, headers=headers)
            assert response.status_code == status
            assert "secret" not in response.text


async def test_suggestions_can_be_hidden() -> None:
    for hidden, message in (
        (False, "Cannot query field 'helo' on type 'Query'. Did you mean 'hello' or 'self'?"),
        (True, "Cannot query field 'helo' on type 'Query'."),
    ):
        async with served(hide_suggestions=hidden) as gateway, http_client() as client:
            headers = {"authorization": f"Bearer {KEY}"}
            response = await client.post(gateway.url, json={"query": "{ helo }"}, headers=headers)
            assert only_error(response) == (message, "GRAPHQL_VALIDATION_FAILED")


async def test_hostile_documents_never_cause_internal_errors(client: httpx.AsyncClient) -> None:
    documents = [
        "{ self " * 600 + "{ hello }" + "}" * 600,
        "{ self " * 300 + "{ hello }" + "}" * 300,
        "{" * 20_000,
        "{ " + " ".join(f"a{number}: hello" for number in range(3_000)) + " }",
        "query($a: String = " + "[" * 2_000 + "]" * 2_000 + ") { hello(name: $a) }",
        "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
        "{ hello } " * 100,
        "#" * 20_000 + "\n{ hello }",
        "#\n" * 20_000 + "{ hello }",
        "{ hello @include(if: true) " + "@skip(if: false) " * 500 + "}",
        '{ hello(name: "\\ud800") }',
        "\ufeff{ hello }",
        "",
        "\x00",
        "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }",
    ]
    expected = {"GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "QUERY_TOO_COMPLEX", "BAD_USER_INPUT"}
    for document in documents:
        response = await client.post("/graphql", json={"query": document}, timeout=20)
        codes = {error["extensions"]["code"] for error in response.json().get("errors", ())}
        assert (document[:40], response.status_code, codes - expected) == (
            document[:40],
            400 if codes else 200,
            set(),
        )
