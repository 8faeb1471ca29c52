"""A root field that fails leaves the others their results: of mutations that were committed, and of a page's lists."""

import json
from typing import Any

import pytest
import websockets

from tests.api.conftest import Client, Served
from tests.api.test_workflow import run

TRANSPORTS = ("http", "sse", "websocket")


async def answer_over(transport: str, client: Client, query: str, **variables: Any) -> Any:
    """Return the response of an operation, data and errors."""
    body = {"query": query, "variables": variables}
    if transport == "websocket":
        address, protocol = client.url.replace("http", "ws", 1), websockets.Subprotocol("graphql-transport-ws")
        async with websockets.connect(address, subprotocols=[protocol]) as socket:
            await socket.send(json.dumps({"type": "connection_init", "payload": client.headers}))
            assert json.loads(await socket.recv())["type"] == "connection_ack"
            await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": body}))
            return json.loads(await socket.recv())["payload"]
    accept = {"Accept": "text/event-stream"} if transport == "sse" else {}
    response = await client.http.post(client.url, json=body, headers=client.headers | accept)
    if transport == "http":
        return response.json()
    (data,) = [line for line in response.text.splitlines() if line.startswith("data:") and line != "data:"]
    return json.loads(data.removeprefix("data:"))


MUTATION = """mutation ($one: ID!, $two: ID!, $three: ID!) {
  a: deleteInstallation(input: {id: $one}) { __typename }
  b: activateInstallation(input: {id: $two}) { __typename }
  c: deleteInstallation(input: {id: $two}) { __typename }
  d: deleteInstallation(input: {id: $one}) { __typename }
  e: deleteInstallation(input: {id: $three}) { __typename }
}"""
"""An account's user may delete installations, and not activate them."""


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_mutations_around_one_that_fails_are_answered(served: Served, transport: str) -> None:
    account, platform = await served.account(), await served.platform()
    ids = {}
    for name in ("one", "two", "three"):
        application = await served.application(name, requires_configuration=True)
        pair = {"applicationId": str(application.id), "accountId": str(account.id)}
        ids[name] = (await run(platform, "authorizeInstallation", **pair))["id"]
    answer = await answer_over(transport, await served.of_account(account), MUTATION, **ids)
    assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [(["b"], "FORBIDDEN")]
    deleted = {"__typename": "DeletedInstallation"}
    missing = {"__typename": "InstallationNotFound"}
    assert answer["data"] == {"a": deleted, "b": None, "c": deleted, "d": missing, "e": deleted}
    assert await platform.data("{ installations { totalCount } }") == {"installations": {"totalCount": 0}}


QUERY = """query ($cursor: String) {
  a: installations(first: 1) { totalCount nodes { version history(after: $cursor) { nodes { version } } } }
  b: applications(first: 1) { totalCount }
  c: installations(first: 1, after: $cursor) { totalCount }
  d: installationEvents(first: 1) { nodes { version } }
  e: applications(first: 2) { nodes { slug installations(after: $cursor) { totalCount } } }
}"""


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_lists_around_one_with_a_mangled_cursor_are_answered(served: Served, transport: str) -> None:
    platform, application, account = await served.platform(), await served.application("one"), await served.account()
    await run(platform, "authorizeInstallation", applicationId=str(application.id), accountId=str(account.id))
    answer = await answer_over(transport, platform, QUERY, cursor="mangled")
    codes = {tuple(error["path"]): error["extensions"] for error in answer["errors"]}
    refused = {"code": "BAD_USER_INPUT", "argument": "after"}
    places = [("a", "nodes", 0, "history"), ("c",), ("e", "nodes", 0, "installations")]
    assert codes == dict.fromkeys(places, refused)
    assert answer["data"] == {
        "a": {"totalCount": 1, "nodes": [{"version": 1, "history": None}]},
        "b": {"totalCount": 1},
        "c": None,
        "d": {"nodes": [{"version": 1}]},
        "e": {"nodes": [{"slug": "one", "installations": None}]},
    }
