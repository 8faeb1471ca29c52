"""Logs and errors contain no keys, tokens or metadata."""

import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from gateway.domain.installations import AuthorizationMethod
from tests.api.conftest import Client, Serve, Served

CANARY = "canary-7f3a"
"""Stands in each value of metadata, and in each credential that is made up."""
OF_THE_TEST = ("httpx", "httpcore", "websockets")
"""Loggers of the clients in these tests, which write down what they send."""
CREATE = """mutation ($i: CreateInstallationInput!) {
  createInstallation(input: $i) { __typename ... on Installation { id } } }"""
AUTHORIZE = """mutation ($i: AuthorizeInstallationInput!) {
  authorizeInstallation(input: $i) { __typename ... on Installation { id } } }"""
UPDATE = """mutation ($i: UpdateInstallationMetadataInput!) { updateInstallationMetadata(input: $i) {
  __typename ... on InvalidInput { problems { path code } } } }"""
DELETE = "mutation ($i: DeleteInstallationInput!) { deleteInstallation(input: $i) { __typename } }"


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Log all levels of all loggers."""
    known = [logging.getLogger(name) for name in (None, *logging.root.manager.loggerDict)]
    levels = [(logger, logger.level) for logger in known]
    for logger in known:
        logger.setLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        yield caplog
    for logger, level in levels:
        logger.setLevel(level)


def written(logged: pytest.LogCaptureFixture) -> str:
    formatter = logging.Formatter("%(name)s %(levelname)s %(message)s %(args)s %(extra)s", defaults={"extra": ""})
    records = [record for record in logged.records if not record.name.startswith(OF_THE_TEST)]
    return "\n".join(f"{formatter.format(record)} {sorted(record.__dict__.items(), key=str)}" for record in records)


async def the_workflow(served: Served) -> tuple[Client, Client, str]:
    application = await served.application(method=AuthorizationMethod.API_KEY)
    account, platform = await served.account(), await served.platform()
    itself = await served.of_application(application)
    ids = {"applicationId": str(application.id), "accountId": str(account.id)}
    await platform.data(AUTHORIZE, i=ids)
    created = await itself.data(CREATE, i={"accountId": str(account.id), "metadata": {"token": CANARY}})
    installation_id: str = created["createInstallation"]["id"]
    for change in (
        {"replace": {"a": CANARY, "b": [CANARY]}},
        {"merge": {"c": {"d": CANARY}}},
        {"merge": {"e": CANARY * 2_000}},
        {"replace": CANARY},
        {"replace": {"f": CANARY + "\ud800"}},
    ):
        await itself.data(UPDATE, i={"id": installation_id, "change": change})
    await itself.post("query ($m: JSON) { installations(filter: { metadata: $m }) { totalCount } }", m={"a": CANARY})
    return platform, itself, installation_id


async def failures(served: Served, itself: Client, installation_id: str) -> list[httpx.Response]:
    made_up = [f"igw_aaaaaaaaaaaa_{CANARY}", CANARY, f"Basic {CANARY}", f"a.{CANARY}.c"]
    answers = [await served.client(secret).post("{ viewer { kind } }") for secret in made_up]
    bad = {"id": installation_id, "change": {"merge": {"a": CANARY}}, "expectedVersion": "CANARY"}
    answers.append(await itself.post(UPDATE, i=bad))
    answers.append(await itself.post('{ installation(id: "' + CANARY + '") { id } }'))
    answers.append(await itself.http.get(served.url, params={"query": "{ viewer { kind } }", "key": CANARY}))
    return answers


async def test_secrets_are_not_logged(serve: Serve, logged: pytest.LogCaptureFixture) -> None:
    async with serve() as served:
        platform, itself, installation_id = await the_workflow(served)
        answers = await failures(served, itself, installation_id)
        document = "subscription ($after: String!) { installationEvents(after: $after) { cursor } }"
        after = (await itself.data("{ eventCursor }"))["eventCursor"]
        async with itself.subscription(document, after=after) as subscribed:
            change = {"id": installation_id, "change": {"merge": {"z": CANARY + "!"}}}
            await itself.data(UPDATE, i=change)
            await subscribed.next()
            payload = {"query": UPDATE, "variables": {"i": change}}
            await subscribed.socket.send(json.dumps({"type": "subscribe", "id": "2", "payload": payload}))
            await subscribed.socket.recv()
            await subscribed.socket.send(f'{{"type": "{CANARY}"}}')
            await subscribed.socket.wait_closed()
            assert subscribed.socket.close_code == 4400
        await platform.data(DELETE, i={"id": installation_id})
        log = written(logged)
        for secret in (CANARY, platform.secret, itself.secret):
            assert secret is not None
            assert secret not in log, [line for line in log.splitlines() if secret in line][:3]
        assert all("INTERNAL" not in answer.text for answer in answers)


BROKEN = [
    "alter table installations add constraint breaks_writes check (version < 3) not valid",
    "alter table installation_events rename to moved_away",
]


@pytest.mark.parametrize("break_it", BROKEN)
async def test_unexpected_errors_are_masked_and_logged_without_rows(
    serve: Serve, database_url: str, logged: pytest.LogCaptureFixture, break_it: str
) -> None:
    async with serve() as served:
        _, itself, installation_id = await the_workflow(served)
        connection = await asyncpg.connect(database_url)
        await connection.execute(break_it)
        await connection.close()
        change = {"merge": {str(uuid4())[:8]: CANARY}}
        (error,) = await itself.errors(UPDATE, i={"id": installation_id, "change": change})
        error_id = error["extensions"].pop("errorId")
        assert error == {
            "message": "Internal error.",
            "locations": error["locations"],
            "path": ["updateInstallationMetadata"],
            "extensions": {"code": "INTERNAL"},
        }
        assert [record for record in logged.records if error_id in record.getMessage()]
        log = written(logged)
        assert "Traceback" in log
        assert CANARY not in log, [line for line in log.splitlines() if CANARY in line][:3]


async def test_every_transport_masks_unexpected_errors(serve: Serve, database_url: str) -> None:
    """The table of keys is missing, so every authentication fails unexpectedly."""
    async with serve() as served:
        platform = await served.platform()
        stranger = served.client("igw_abcdefghijkl_" + "a" * 43)
        connection = await asyncpg.connect(database_url)
        await connection.execute("alter table api_keys rename to moved_away")
        await connection.close()
        answers: list[Any] = [await stranger.post("{ viewer { kind } }")]
        stream = {"accept": "text/event-stream", **stranger.headers}
        answers.append(await served.http.post(served.url, json={"query": "{ viewer { kind } }"}, headers=stream))
        for answer in answers:
            assert answer.status_code == 500
            assert "api_keys" not in answer.text
            assert "errorId" in answer.text
        with pytest.raises(Exception, match="1013"):
            async with stranger.subscription("{ viewer { kind } }"):
                pass
        assert platform.secret is not None
