"""Hostile operations and values: each is answered, none by an internal error, and others are served meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.api.conftest import Client, Served
from tests.serving import DEADLINE, eventually

BIG = "9" * 5_000
ID = "018f0000-0000-4000-8000-000000000001"
UPDATE = f"""mutation ($c: MetadataChange!) {{ updateInstallationMetadata(input: {{ id: "{ID}", change: $c }})
  {{ __typename ... on InvalidInput {{ problems {{ code path }} }} }} }}"""
LIST = "query ($first: Int, $after: String, $filter: InstallationFilter) "
LIST += "{ installations(first: $first, after: $after, filter: $filter) { totalCount } }"
EVENTS = "query ($after: String, $first: Int) { installationEvents(after: $after, first: $first) { nodes { id } } }"
STEPS = """mutation ($steps: [SyncStepInput!]!) {
  reportInstallationSyncProgress(input: { id: "a", steps: $steps }) { __typename } }"""
REGISTER = "mutation ($i: RegisterApplicationInput!) { registerApplication(input: $i) { __typename } }"
SLUG = {"slug": "fine", "name": "Fine", "authorizationMethod": "OAUTH"}


def body(query: str, variables: str = "null", extensions: str = "null") -> bytes:
    return f'{{"query": {json.dumps(query)}, "variables": {variables}, "extensions": {extensions}}}'.encode()


def given(query: str, **variables: Any) -> bytes:
    return body(query, json.dumps(variables))


HOSTILE: dict[str, bytes] = {
    "deep selections": body("{ viewer" * 5_000 + "}" * 5_000),
    "deep lists": body("{ nodes(ids: " + "[" * 3_000 + "]" * 3_000 + ") { id } }"),
    "deep variables": body(LIST, '{"filter": {"metadata": ' + '{"a":' * 50_000 + "1" + "}" * 50_000 + "}}"),
    "deep arrays": body(LIST, '{"first": ' + "[" * 100_000 + "]" * 100_000 + "}"),
    "many aliases": body("{" + " ".join(f"a{n}: viewer {{ kind }}" for n in range(400)) + "}"),
    "fragment bomb": body(
        "{ ...F0 }"
        + "".join(f"fragment F{n} on Query {{ a: viewer {{ kind }} ...F{n + 1} ...F{n + 1} }}" for n in range(99))
        + "fragment F99 on Query { viewer { kind } }"
    ),
    "cyclic fragments": body("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"),
    "a fragment in itself": body(
        "{ viewer { account { ...A } } } fragment A on Account { installations { nodes { account { ...A } } } }"
    ),
    "huge integer literal": body(f"{{ installations(first: {BIG}) {{ totalCount }} }}"),
    "huge integer": body(LIST, f'{{"first": {BIG}}}'),
    "huge exponent": body(LIST, '{"first": 1e999999999}'),
    "huge negative exponent": body(LIST, '{"first": 1e-999999999}'),
    "huge float literal": body("{ installations(first: 1e999999999) { totalCount } }"),
    "metadata with huge numbers": body(
        UPDATE, f'{{"c": {{"replace": {{"a": {BIG}, "b": 1e999999, "c": -1e-999999}}}}}}'
    ),
    "metadata literal with huge numbers": body(
        f'mutation {{ updateInstallationMetadata(input: {{ id: "{ID}", change: {{ merge: {{ a: {BIG} }} }} }})'
        " { __typename } }"
    ),
    "not a number": body(UPDATE, '{"c": {"replace": {"a": NaN, "b": Infinity}}}'),
    "metadata with lone surrogates and NUL": body(
        UPDATE, r'{"c": {"merge": {"a\ud800": "\u0000", "\u0000": "\udfff"}}}'
    ),
    "long strings": given(REGISTER, i={**SLUG, "name": "n" * 90_000}),
    "longer strings": given(REGISTER, i={**SLUG, "name": "n" * 900_000}),
    "strings that no table holds": body(REGISTER, json.dumps({"i": {**SLUG, "name": "x\ud800\u0000"}})),
    "long slug": given(REGISTER, i={**SLUG, "slug": "s" * 50_000 + "!"}),
    "slug made to be slow": given(REGISTER, i={**SLUG, "slug": "a-" * 40_000}),
    "long id": given("query ($id: ID!) { installation(id: $id) { id } }", id="1" * 99_000),
    "id that is a number": body("query ($id: ID!) { installation(id: $id) { id } }", f'{{"id": {BIG}}}'),
    "id with a NUL": given("query ($id: ID!) { installation(id: $id) { id } }", id="\u0000" * 36),
    "a hundred thousand ids": given("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=["x"] * 100_000),
    "many statuses": given(LIST, filter={"statuses": ["ACTIVATED"] * 19_000}),
    "many steps": given(STEPS, steps=[{"name": "x", "done": 1}] * 6_000),
    "cursor of nonsense": given(LIST, after="A" * 90_000),
    "cursor in other letters": given(EVENTS, after="☃" * 1_000),
    "cursor with a lone surrogate": body(EVENTS, r'{"after": "\ud800"}'),
    "times beyond time": given(LIST, filter={"updatedSince": "9999-12-31T23:59:59-23:59"}),
    "time of nonsense": given(LIST, filter={"updatedSince": "T" * 50_000}),
    "search for everything": given(
        "query ($s: String) { applications(filter: { search: $s }) { totalCount } }", s="%" * 50_000
    ),
    "search for NUL": given("query ($s: String) { applications(filter: { search: $s }) { totalCount } }", s="\u0000"),
    "many directives": body("{ viewer { kind " + "@skip(if: false) " * 500 + "} }"),
    "unknown directives": body("{ viewer { kind " + "@x " * 1_900 + "} }"),
    "many variables": body("query (" + " ".join(f"$v{n}: Int" for n in range(900)) + ") { viewer { kind } }"),
    "many operations": body(" ".join(f"query Q{n} {{ viewer {{ kind }} }}" for n in range(400))),
    "one field 490 times": body("{ viewer {" + " account { name }" * 240 + "} }"),
    "much introspection": body("{" + " ".join(f"a{n}: __schema {{ types {{ name }} }}" for n in range(30)) + "}"),
    "deep introspection": body("{ __schema { types" + " { fields { type" * 40 + " { name }" + " } }" * 40 + "} }"),
    "deep type references": body(
        "{ __schema { types { fields { type" + " { ofType" * 100 + " { name }" + "}" * 100 + " } } } }"
    ),
    "name of a million letters": body("query " + "Q" * 900_000 + " { viewer { kind } }"),
    "comments without end": body("#\n" * 100_000 + "{ viewer { kind } }"),
    "commas without end": body("," * 190_000 + "{ viewer { kind } }"),
    "strings without end": body('{ installation(id: "' + "a" * 190_000),
    "block strings": body('{ installation(id: """' + "\n " * 90_000 + '""") { id } }'),
    "escapes": body('{ installation(id: "' + "\\u{0001F600}" * 10_000 + '") { id } }'),
    "names that are no names": body("{ ❄ }"),
    "variables of other types": body(LIST, '{"first": {"a": [true]}, "after": 3, "filter": ["x"]}'),
    "variables with strange names": body(LIST, '{"": 1, "__proto__": 2, "first\\u0000": 3}'),
    "extensions of nonsense": body("{ viewer { kind } }", "null", '{"cost": {"a": [1]}, "persistedQuery": 4}'),
    "an operation's name of nonsense": b'{"query": "{ viewer { kind } }", "operationName": "' + b"x" * 100_000 + b'"}',
    "nothing": b"",
    "no JSON": b"\x00" * 1_000,
    "invalid UTF-8": b'{"query": "{ viewer { kind } } #\xff\xfe"}',
    "UTF-16": '{"query": "{ viewer { kind } }"}'.encode("utf-16"),
    "a list": b"[" * 100_000,
    "a list of operations": b'[{"query": "{ viewer { kind } }"}]',
    "duplicate members": b'{"query": "{ viewer { kind } }", "query": 3}',
}  # fmt: skip


ENDS_A_SOCKET = {
    "deep variables",
    "deep arrays",
    "an operation's name of nonsense",
    "duplicate members",
    "invalid UTF-8",
}
"""Messages that the protocol has no answer for but the end."""


@asynccontextmanager
async def another_caller(client: Client) -> AsyncIterator[Callable[[], int]]:
    """Run queries of another caller one after the other; yield a function that returns how many were answered."""
    answered = 0

    async def ask() -> None:
        nonlocal answered
        while True:
            assert await client.data("{ viewer { kind } }") == {"viewer": {"kind": "ACCOUNT"}}
            answered += 1

    asking = asyncio.create_task(ask())
    try:
        yield lambda: answered
        assert not asking.done(), "the other caller is no longer served"
    finally:
        asking.cancel()


async def test_hostile_requests_are_answered_and_others_served_meanwhile(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    platform = await served.platform()
    headers = {"content-type": "application/json", "accept": "application/graphql-response+json", **platform.headers}
    async with another_caller(await served.of_account(await served.account())) as answered:
        for name, content in HOSTILE.items():
            before = answered()
            answer = await served.http.post(served.url, content=content, headers=headers, timeout=DEADLINE)
            await eventually(lambda: answered() > before)  # noqa: B023 - called at once
            assert answer.status_code < 500, (name, answer.text[:500])
            assert "INTERNAL" not in answer.text, name
            assert len(answer.content) < 100_000, name
            assert isinstance(answer.json(), dict) or name == "a list of operations", name
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_hostile_requests_are_answered_over_websocket(served: Served) -> None:
    platform = await served.platform()
    async with platform.subscription("subscription { installationEvents { id } }") as subscribed:
        for number, (name, content) in enumerate(HOSTILE.items(), start=2):
            if not content.startswith(b'{"query"') or name in ENDS_A_SOCKET:
                continue
            message = f'{{"type": "subscribe", "id": "{number}", "payload": {content.decode()}}}'
            await subscribed.socket.send(message)
            async with asyncio.timeout(20):
                answer = json.loads(await subscribed.socket.recv())
                assert answer["id"] == str(number), (name, answer)
                assert "INTERNAL" not in json.dumps(answer), (name, answer)
                if answer["type"] == "next":
                    assert json.loads(await subscribed.socket.recv()) == {"type": "complete", "id": str(number)}
