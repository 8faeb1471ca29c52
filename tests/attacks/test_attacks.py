"""A gateway as a process, attacked within its default limits: others are served, and what it cost is bounded."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.principals import PrincipalKind
from tests.attacks.attacker import Attack, Attacker, gathered
from tests.attacks.connection_attacks import CONNECTIONS
from tests.attacks.dataset import filled
from tests.attacks.measurement import Measured, metering
from tests.attacks.operation_attacks import OPERATIONS
from tests.attacks.request_attacks import REQUESTS
from tests.attacks.websocket_attacks import WEBSOCKETS
from tests.conftest import new_data_directory
from tests.live.servers import Postgres, running_gateways, running_postgres

TABLES = {
    "operation": OPERATIONS,
    "request": REQUESTS,
    "connection": CONNECTIONS,
    "websocket": WEBSOCKETS,
}
USUAL = {
    "aliases of an embedded object beside a failing field",
    "trailers without end and without a key",
    "pings of a megabyte before the initialisation",
}
"""These run with every change, the others with `pytest -m long`."""
EXTENDED = {
    "streams opened and left",
    "many mutations of one row",
    "addresses and methods that are none",
    "chunks of one byte",
    "conflicting lengths",
    "extensions of chunks",
    "files that nobody reads",
    "handshakes of other protocols",
    "long query strings",
    "old http without keeping the connection",
    "pages and metrics",
    "readiness checks",
    "requests that are not http",
    "a huge number in metadata",
    "a type name everywhere",
    "aliases of a type name",
    "aliases of edges",
    "block strings of empty lines",
    "comments and commas",
    "counts by metadata that all have",
    "directives by the hundred",
    "escapes in a document",
    "fields that conflict",
    "fields without aliases",
    "fragments that conflict",
    "huge numbers",
    "huge strings",
    "inline fragments in each other",
    "inline fragments in each other in a row",
    "introspection beside a large page",
    "introspection of one type with long aliases",
    "introspection of the possible types of everything",
    "introspection of the type of everything",
    "introspection sixteen types deep",
    "long keys in each row",
    "many ids in many literals",
    "many long strings in variables",
    "many operations",
    "many pages of events with their installations",
    "many variables",
    "more fields than are compiled",
    "one field written often",
    "searches for long texts",
    "unknown arguments by the hundred",
    "unknown fields by the hundred",
    "unknown fields of an input",
    "unknown variables",
    "values nested in each other",
    "variables nested in each other",
    "wrong values in a long list",
    "bodies nested deeply",
    "bodies of escapes",
    "compressed bodies",
    "one made up key",
    "unknown document ids",
    "more combinations of conditions than are compiled",
    "valid documents that are as long as may be",
    "many short messages",
    "subscriptions completed at once",
}
"""They cost next to nothing, or (the first two) come near a bound; `pytest -m extended` runs them."""
NOT_HELD = {
    "bodies that do not end": "the bodies that are being received may take several times their bound",
    "messages that do not end": "the messages that are being received have no bound in all",
    "many subscriptions from the start of the log": "an event costs less than its delivery takes",
    "many different subscriptions to ones own writes": "an event costs less than its delivery takes",
    "events that nobody reads": "an event costs less than its delivery takes",
    "answers that nobody reads": "the answers that wait for a WebSocket are not counted as unread",
    "subscriptions to a log that hides its beginning": "a subscription costs less than opening it takes",
    "heads that do not end": "the memory of unfinished heads is not given back to the system",
}
"""What the gateway lacks, by the attack that shows it."""
SETTINGS = {
    "GATEWAY_INTROSPECTION": "anyone",  # this and the next two as with the embedded database
    "GATEWAY_GRAPHIQL": "on",
    "GATEWAY_METRICS": "on",
    "GATEWAY_AUTOMATIC_DOCUMENTS": "1000",  # off by default
}


@dataclass(frozen=True, kw_only=True)
class Target:
    postgres: Postgres
    keys: dict[str, str]
    """Of the attacker's callers, and of others."""


@pytest.fixture(scope="module")
async def target() -> AsyncIterator[Target]:
    with new_data_directory() as directory, running_postgres(directory) as postgres:
        async with filled(postgres.url) as dataset:
            application, account = PrincipalKind.APPLICATION, PrincipalKind.ACCOUNT
            keys = {
                "another": await dataset.key(account, account_id=dataset.accounts[1]),
                "another_large": await dataset.key(application, application_id=dataset.applications[-2]),
                "account": await dataset.key(account, account_id=dataset.accounts[0]),
                "hidden": await dataset.key(account, account_id=dataset.accounts[-1]),
                "application": await dataset.key(application, application_id=dataset.applications[0]),
                "large": await dataset.key(application, application_id=dataset.applications[-1]),
            }
        yield Target(postgres=postgres, keys=keys)


async def measured(target: Target, attack: Attack, *, directory: Path) -> Measured:
    """Attack a gateway that has just started: another attack has spent no quota of it, and no memory."""
    keys = {f"{caller}_key": key for caller, key in target.keys.items() if not caller.startswith("another")}
    async with (
        running_gateways(target.postgres.url, count=1, directory=directory, **SETTINGS) as [gateway],
        metering(gateway, target.postgres.postmaster, key=target.keys["another"]) as meter,
    ):
        attacker = Attacker(url=gateway.url, address="127.0.0.66", **keys)
        await usual_work(attacker, target)
        async with meter.measuring() as measurement:
            measurement.outcomes = frozenset(await attack.run(attacker))
    assert measurement.measured is not None
    return measurement.measured


def parameters() -> Iterator[Any]:
    for over, attacks in TABLES.items():
        for each in attacks:
            rare = pytest.mark.extended if each.name in EXTENDED or each.name in NOT_HELD else pytest.mark.long
            marks = [] if each.name in USUAL else [rare]
            if each.name in NOT_HELD:
                marks.append(pytest.mark.xfail(strict=True, raises=AssertionError, reason=NOT_HELD[each.name]))
            yield pytest.param(each, id=f"{over}: {each.name}", marks=marks)


@pytest.mark.parametrize("attack", list(parameters()))
async def test_attack_costs_little_and_others_are_served(target: Target, attack: Attack, tmp_path: Path) -> None:
    found = await measured(target, attack, directory=tmp_path)
    print(f"| {attack.name} | {found} |")  # noqa: T201 - `pytest -s` shows the table
    assert found.excesses() == [], str(found)
    assert found.outcomes <= attack.outcomes | {"RATE_LIMITED"}, str(found)
    assert "Traceback" not in (tmp_path / "gateway-0.log").read_text()


async def usual_work(client: Attacker, target: Target) -> None:
    """Have others do what makes the gateway connect to the database, and fill its memory."""
    page = "{ installations(first: 100) { nodes { id status metadata application { name } account { name } } } }"
    for key in (target.keys["another"], target.keys["another_large"]):
        assert await gathered(*(client.post(page, key=key) for _ in range(5))) == {"OK"}


def test_every_name_is_an_attacks() -> None:
    names = [each.name for attacks in TABLES.values() for each in attacks]
    assert {*USUAL, *EXTENDED, *NOT_HELD} <= {*names}
    assert len({*names}) == len(names)
