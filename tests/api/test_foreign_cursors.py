"""A list accepts only unchanged cursors of the same list in the same order."""

import itertools
from typing import Any
from uuid import UUID, uuid4

import pytest

from gateway.domain.cursors import Position, decode_position, encode_position, keyset_encoder
from tests.api.conftest import Client, Served
from tests.api.marketplace_rows import BEGINNING
from tests.api.test_workflow import run

INSTALLATIONS = """query ($after: String, $before: String, $order: InstallationOrder) {
  installations(first: 1, after: $after, before: $before, orderBy: $order) { edges { cursor } }
}"""
APPLICATIONS = """query ($after: String, $before: String) {
  applications(first: 1, after: $after, before: $before) { edges { cursor } }
}"""
ACCOUNTS, API_KEYS = APPLICATIONS.replace("applications", "accounts"), APPLICATIONS.replace("applications", "apiKeys")
EVENTS = """query ($after: String, $before: String, $direction: OrderDirection) {
  installationEvents(direction: $direction, first: 1, after: $after, before: $before) { edges { cursor } }
}"""
HISTORY = """query ($after: String, $before: String, $direction: OrderDirection) {
  installations {
    nodes { history(direction: $direction, first: 1, after: $after, before: $before) { edges { cursor } } }
  }
}"""
NEW = {"field": "CREATED_AT", "direction": "DESC"}
OLD = {"field": "CREATED_AT", "direction": "ASC"}
CHANGED = {"field": "UPDATED_AT", "direction": "DESC"}

NOT_OF_THIS_LIST = (
    "is not a cursor of `installations` in this order. Give back a cursor of the same list, asked for with the same"
    " order, or leave it out to begin anew."
)
NOT_OF_THE_MARKETPLACE = NOT_OF_THIS_LIST.replace("installations", "applications")
NOT_OF_THE_ACCOUNTS = NOT_OF_THIS_LIST.replace("installations", "accounts")
NOT_OF_THE_KEYS = NOT_OF_THIS_LIST.replace("installations", "apiKeys")
NOT_OF_AN_EVENT = "is not a cursor of an event. Give back an event's `cursor`, or `eventCursor`, as it was given."


async def a_cursor(client: Client, query: str, **asked: Any) -> str:
    (connection,) = (await client.data(query, **asked)).values()
    if "nodes" in connection:
        connection = connection["nodes"][0]["history"]
    cursor: str = connection["edges"][0]["cursor"]
    return cursor


@pytest.fixture
async def platform(served: Served) -> Client:
    """Return a client of a marketplace with two applications, one installation, and its history."""
    client, application, account = await served.platform(), await served.application(), await served.account()
    await served.application("zeta")
    await run(client, "authorizeInstallation", applicationId=str(application.id), accountId=str(account.id))
    return client


async def assert_refused(client: Client, query: str, cursor: str, *, message: str, **asked: Any) -> None:
    for argument in ("after", "before") if "$before" in query else ("after",):
        (error,) = await client.errors(query, **{argument: cursor}, **asked)
        assert error["message"] == f"`{argument}` {message}"
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": argument}


async def test_a_cursor_of_another_list_or_another_order_is_refused(platform: Client) -> None:
    event = await a_cursor(platform, EVENTS)
    new, old, changed = [await a_cursor(platform, INSTALLATIONS, order=order) for order in (NEW, OLD, CHANGED)]
    listed = await a_cursor(platform, APPLICATIONS)
    for order, others in [(None, [old, changed]), (NEW, [old, changed]), (OLD, [new]), (CHANGED, [new, old])]:
        for cursor in [*others, listed, event]:
            await assert_refused(platform, INSTALLATIONS, cursor, message=NOT_OF_THIS_LIST, order=order)
    account, key = await a_cursor(platform, ACCOUNTS), await a_cursor(platform, API_KEYS)
    for query, own, message in [
        (APPLICATIONS, listed, NOT_OF_THE_MARKETPLACE),
        (ACCOUNTS, account, NOT_OF_THE_ACCOUNTS),
        (API_KEYS, key, NOT_OF_THE_KEYS),
    ]:
        for cursor in {new, old, changed, event, listed, account, key} - {own}:
            await assert_refused(platform, query, cursor, message=message)
    for cursor, direction in itertools.product((new, old, changed, listed), ("ASC", "DESC")):
        await assert_refused(platform, EVENTS, cursor, message=NOT_OF_AN_EVENT, direction=direction)
        await assert_refused(platform, HISTORY, cursor, message=NOT_OF_AN_EVENT, direction=direction)


async def test_a_cursor_that_was_mangled_is_refused(platform: Client) -> None:
    for query, message in [
        (INSTALLATIONS, NOT_OF_THIS_LIST),
        (APPLICATIONS, NOT_OF_THE_MARKETPLACE),
        (ACCOUNTS, NOT_OF_THE_ACCOUNTS),
        (API_KEYS, NOT_OF_THE_KEYS),
        (EVENTS, NOT_OF_AN_EVENT),
        (HISTORY, NOT_OF_AN_EVENT),
    ]:
        cursor = await a_cursor(platform, query)
        turned = cursor[:5] + ("B" if cursor[5] == "A" else "A") + cursor[6:]
        for mangled in (
            cursor[:-1],
            cursor[1:],
            cursor + "=",
            f" {cursor}",
            turned,
            "",
            "0",
            "é",
            "\0",
            "\ud800",
            "x" * 9999,
        ):
            await assert_refused(platform, query, mangled, message=message)


async def test_the_history_and_the_log_share_their_cursors(platform: Client) -> None:
    cursor = await a_cursor(platform, EVENTS)
    assert await a_cursor(platform, HISTORY) == cursor
    assert await platform.data(HISTORY, after=cursor) == {"installations": {"nodes": [{"history": {"edges": []}}]}}
    assert await platform.data(EVENTS, after=cursor) == {"installationEvents": {"edges": []}}


async def test_the_cursors_of_a_log_serve_both_directions(platform: Client) -> None:
    """The log has one event: it precedes nothing and follows nothing, in either direction."""
    cursor = await a_cursor(platform, EVENTS, direction="DESC")
    assert cursor == await a_cursor(platform, EVENTS, direction="ASC")
    for direction, argument in itertools.product(("ASC", "DESC"), ("after", "before")):
        asked = {"direction": direction, argument: cursor}
        assert await platform.data(EVENTS, **asked) == {"installationEvents": {"edges": []}}


async def test_a_cursor_of_another_log_has_expired(platform: Client) -> None:
    elsewhere = encode_position(Position(epoch=1, xid=1, id=1))
    for direction, argument in itertools.product(("ASC", "DESC"), ("after", "before")):
        asked = {"direction": direction, argument: elsewhere}
        assert await platform.code(EVENTS, **asked) == "CURSOR_EXPIRED"
        assert await platform.code(HISTORY, **asked) == "CURSOR_EXPIRED"
    node = "query ($id: ID!) { node(id: $id) { id } }"
    assert await platform.data(node, id=elsewhere) == {"node": None}
    cursor = await a_cursor(platform, EVENTS)
    position = decode_position(cursor, argument="after")
    for other in (position._replace(id=position.id + 1), position._replace(time=position.time + 1)):
        assert await platform.data(node, id=encode_position(other)) == {"node": None}
    assert await platform.data(node, id=encode_position(position._replace(time=0))) == {"node": {"id": cursor}}


@pytest.mark.parametrize("value", [BEGINNING, "a\0b", "", "z" * 50_000])
async def test_a_forged_cursor_is_refused_or_a_place_like_any_other(platform: Client, value: Any) -> None:
    """The format of cursors is public, so a forged one must neither reveal a row nor cause another error."""
    for query, connection, order in [
        (INSTALLATIONS, "installations", "CREATED_AT DESC"),
        (APPLICATIONS, "applications", "NAME ASC"),
        (ACCOUNTS, "accounts", "NAME ASC"),
        (API_KEYS, "apiKeys", "CREATED_AT DESC"),
    ]:
        for identifier in (UUID(int=0), uuid4()):
            forged = keyset_encoder(connection, order)(value, identifier)
            answer = (await platform.post(query, after=forged)).json()
            codes = {error["extensions"]["code"] for error in answer.get("errors", [])}
            assert codes <= {"BAD_USER_INPUT"}
