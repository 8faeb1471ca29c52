"""Plans: a page is read by an index in its order, with few more rows than it has."""

import hashlib
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from gateway.domain.events import EventKind
from gateway.storage.database import DriverConnection
from gateway.storage.queries import Query, queries

APPLICATIONS, ACCOUNTS = 50, 400
MIDDLE = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROWS = 21
PARENTS = 5

POPULATE = f"""
insert into applications
select gen_random_uuid(), 'application-' || n, 'Application ' || n, '', '{{}}', null, 'OAUTH', false, true, now(), now()
from generate_series(1, {APPLICATIONS}) n;
insert into accounts select gen_random_uuid(), 'Company ' || n from generate_series(1, {ACCOUNTS}) n;
insert into installations (
    id, application_id, account_id, status, reason_code, reason_since, metadata, version, connection_failures,
    created_at, updated_at
)
select
    gen_random_uuid(), pair.application_id, pair.account_id, 'ACTIVATED', 'CONFIGURATION_COMPLETED', now(),
    json_build_object('tenant', pair.n % 1000, 'region', pair.n % 3), 1, 0,
    timestamptz '2026-01-01 00:00Z' + pair.n % 5000 * interval '17 s',
    timestamptz '2026-01-01 00:00Z' + pair.n % 7000 * interval '12 s'
from (
    select a.id as application_id, b.id as account_id, row_number() over (order by md5(a.slug || b.name)) as n
    from applications a cross join accounts b
) as pair
order by pair.n;
analyze;
"""


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[DriverConnection]:
    held = await asyncpg.connect(database_url)
    await held.execute(POPULATE)
    yield held
    await held.close()


def literal(value: Any) -> str:
    match value:
        case None:
            return "null"
        case int():
            return str(value)
        case list():
            kind = "text" if isinstance(value[0], str) else "uuid"
            return f"array[{', '.join(map(literal, value))}]::{kind}[]"
        case _:
            return f"'{value}'"


async def scans(
    connection: DriverConnection, query: Query, values: dict[str, Any], *, mode: str
) -> tuple[set[str], int]:
    """Run a query as a prepared statement; return how it scans installations, and how many rows."""
    await connection.execute(f"set plan_cache_mode = {mode}")
    await connection.execute(f"prepare page as {query.sql.rstrip().rstrip(';')}")
    given = ", ".join(literal(values[parameter]) for parameter in query.parameters)
    text = await connection.fetchval(f"explain (analyze, format json) execute page({given})")
    await connection.execute("deallocate page")
    found = [
        node for node in nodes(json.loads(text)[0]["Plan"]) if "Index Name" in node or node["Node Type"] == "Seq Scan"
    ]
    read = sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in found)
    return {node.get("Index Name", node["Node Type"]) for node in found}, round(read)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_a_page_is_read_by_an_index(connection: DriverConnection, mode: str) -> None:
    """For each principal, order and direction, from the start and from the middle, for one parent and for many."""
    applications: list[UUID] = [row["id"] for row in await connection.fetch("select id from applications")]
    accounts: list[UUID] = [row["id"] for row in await connection.fetch("select id from accounts")]
    lists: list[tuple[str, dict[str, Any], list[UUID | None], str]] = [
        ("", {}, [None], "installations_by"),
        ("application", {"application_id": applications[0]}, [None], "installations_of_application_by"),
        ("account", {"account_id": accounts[0]}, [None], "installations_of_account_by"),
        ("of_application", {}, [*applications[:PARENTS]], "installations_of_application_by"),
        ("of_account", {}, [*accounts[:PARENTS]], "installations_of_account_by"),
    ]
    for (flag, bound, parents, index), column, descending, placed in itertools.product(
        lists, ("created", "updated"), (True, False), (True, False)
    ):
        side = "below" if descending else "above"
        place = {f"{side}_time": MIDDLE, f"{side}_id": applications[0]} if placed else {}
        flags = {flag, f"{column}_{'descending' if descending else 'ascending'}", f"{column}_{side}" if placed else ""}
        query = queries.variant("select_installation_page", flags - {""})
        used, read = await scans(connection, query, {"parents": parents, "limit": ROWS, **bound, **place}, mode=mode)
        assert {name.removesuffix("creation").removesuffix("update") for name in used} == {f"{index}_"}, (flags, mode)
        # An account has one installation for each application: Postgres may also read them all, and sort these few.
        assert read <= (APPLICATIONS if "account" in flag else ROWS) * len(parents), (flags, mode)


async def test_one_application_of_one_account_is_one_row(connection: DriverConnection) -> None:
    some = await connection.fetchrow("select application_id, account_id from installations")
    assert some is not None
    application, account = some
    query = queries.variant("select_installation_page", {"application", "account", "created_descending"})
    values = {"parents": [None], "limit": ROWS, "application_id": application, "account_id": account}
    for mode in ("force_custom_plan", "force_generic_plan"):
        used, read = await scans(connection, query, values, mode=mode)
        assert (used, read) == ({"one_installation_for_an_application_and_an_account"}, 1)


async def test_rare_metadata_is_found_by_its_index_in_every_run(
    connection: DriverConnection,
) -> None:
    """A plan for any object would read the whole list in its order."""
    query = queries.variant("select_installation_page", {"metadata", "created_descending"})
    values = {"parents": [None], "limit": ROWS, "metadata": '{"tenant": 7}'}
    for _ in range(10):
        rows = await query.fetch_with_custom_plan(connection, **values)
        assert len(rows) == APPLICATIONS * ACCOUNTS // 1000
    settled = "select count(*) from pg_prepared_statements where statement = $1 and generic_plans > 0"
    assert await connection.fetchval(settled, query.sql) == 0
    assert await scans(connection, query, values, mode="force_custom_plan") == ({"installations_by_metadata"}, 20)


EVENTS = 40_000
LOG = f"""
insert into installation_events (
    xid, occurred_at, actor_kind, installation_id, application_id, account_id, version, kind, change
)
select
    number / 3, now(), 'PLATFORM', md5('installation' || number % 3)::uuid, md5('application' || number % 3)::uuid,
    md5('account')::uuid, 1,
    case when number % {EVENTS // 4} = 0 then 'STATUS_CHANGED' else 'METADATA_UPDATED' end, '{{}}'
from generate_series(1, {EVENTS}) as number;
insert into installation_events (
    xid, occurred_at, actor_kind, installation_id, application_id, account_id, version, kind, change
)
select
    {EVENTS} / 3 + number, now(), 'PLATFORM', md5('rare')::uuid, md5('rare')::uuid, md5('account')::uuid, 1,
    'METADATA_UPDATED', '{{}}'
from generate_series(1, 5) as number;
update event_log set xid_offset = {EVENTS};
analyze installation_events;
"""
"""Nearly all events are of one account and of one kind, which is the worst case for a plan that filters."""


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_events_that_are_hidden_or_not_asked_for_are_not_read(database_url: str, mode: str) -> None:
    """A page reads at most its size for each of its kinds, whatever else the log has."""
    held = await asyncpg.connect(database_url)
    account, rare, frequent = (as_uuid(name) for name in ("account", "rare", "installation1"))
    seen = [kind.value for kind in EventKind if kind is not EventKind.METADATA_UPDATED]
    one, of_account = {"kinds": [""]}, {"account_id": account, "kinds": seen}
    of_one = {"installation_id": frequent, "kinds": seen}
    pages: list[tuple[set[str], dict[str, Any], str]] = [
        (set(), one, "events_in_order"),
        ({"status_changes"}, one, "status_changes_in_order"),
        ({"account"}, of_account, "events_of_account"),
        ({"account", "application"}, {**of_account, "application_id": rare}, "events_of_account_and_application"),
        ({"installation", "owner_account"}, {**of_one, "owner_account_id": account}, "events_of_installation"),
        ({"installation", "owner_application"}, {**of_one, "owner_application_id": rare}, "events_of_installation"),
        ({"of_installation"}, {"parents": [frequent, rare], "kinds": seen}, "events_of_installation"),
        ({"application"}, {"application_id": rare, "kinds": ["STATUS_CHANGED"]}, "events_of_application"),
        ({"application"}, {"application_id": rare, "kinds": [*seen, "METADATA_UPDATED"]}, "events_of_application"),
    ]
    try:
        await held.execute(LOG)
        for (flags, given, index), direction in itertools.product(pages, ("forward", "backward")):
            edge = {"after_xid": 1, "after_id": 1} if direction == "forward" else {"before_xid": EVENTS, "before_id": 1}
            for placed in ({}, edge):
                side = {name.partition("_")[0] for name in placed}
                by_kind = {"by_kind"} if given is not one else set()
                query = queries.variant("select_event_page", {*flags, *by_kind, direction, *side})
                values = {"parents": [None], "limit": ROWS, "after_at": None, "before_at": None, **given, **placed}
                used, read = await scans(held, query, values, mode=mode)
                assert used <= {"Seq Scan", "events_in_order", "events_of_installation", index}, (flags, used)
                assert index in used, (flags, used)
                assert read <= ROWS * len(values["kinds"]) + 5, (flags, read)
    finally:
        await held.close()


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_inserting_an_event_reads_one_earlier_event_of_each_kind(database_url: str, mode: str) -> None:
    """Also where a third of the log is of the same application and account."""
    held = await asyncpg.connect(database_url)
    values = {
        "occurred_at": MIDDLE, "actor_kind": "PLATFORM", "actor_id": None, "actor_label": None, "version": 1,
        "installation_id": as_uuid("installation1"), "application_id": as_uuid("application1"),
        "account_id": as_uuid("account"), "kind": "METADATA_UPDATED", "change": "{}",
    }  # fmt: skip
    try:
        await held.execute(LOG)
        used, read = await scans(held, queries.insert_event, values, mode=mode)
    finally:
        await held.close()
    assert used == {"Seq Scan", "events_of_account_and_application"}  # the scan is of the one row of event_log
    assert read <= len(EventKind) + 1


def as_uuid(name: str) -> UUID:
    return UUID(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest())
