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

from gateway.domain.installations import InstallationStatus, StatusReasonCode
from gateway.domain.pages import InstallationFilter
from gateway.storage.database import DriverConnection
from gateway.storage.events import store_event_span
from gateway.storage.installation_pages import _states
from gateway.storage.queries import Query, queries
from tests.conftest import MakeDatabase

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
    authorization_expires_at, created_at, updated_at
)
select
    gen_random_uuid(), pair.application_id, pair.account_id,
    case when pair.n % 5000 < 4990 then 'ACTIVATED' else 'INACTIVE' end,
    case when pair.n % 5000 < 4990 then 'CONFIGURATION_COMPLETED' else 'NOT_ENTITLED' end, now(),
    json_build_object('tenant', pair.n % 1000, 'region', pair.n % 3), 1, 0,
    timestamptz '2026-01-01 00:00Z' + nullif(pair.n % 4000, 1) * interval '1 hour',
    timestamptz '2026-01-01 00:00Z' + pair.n % 5000 * interval '17 s',
    timestamptz '2026-01-01 00:00Z' + pair.n % 7000 * interval '12 s'
from (
    select a.id as application_id, b.id as account_id, row_number() over (order by md5(a.slug || b.name)) as n
    from applications a cross join accounts b
) as pair
order by pair.n;
analyze;
"""


@pytest.fixture(scope="module")
async def populated_url(make_database: MakeDatabase) -> AsyncIterator[str]:
    """Fill a database once; tests read its installations, and may add other rows."""
    async with make_database() as url:
        held = await asyncpg.connect(url)
        await held.execute(POPULATE)
        await held.close()
        yield url


@pytest.fixture
async def connection(populated_url: str) -> AsyncIterator[DriverConnection]:
    held = await asyncpg.connect(populated_url)
    yield held
    await held.close()


def literal(value: Any) -> str:
    match value:
        case None:
            return "null"
        case int():
            return str(value)
        case list():
            kind = {str: "text", int: "bigint"}.get(type(value[0]), "uuid")
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
    text = await connection.fetchval(f"explain (analyze, buffers, format json) execute page({given})")
    await connection.execute("deallocate page")
    plan = json.loads(text)[0]["Plan"]
    found = [node for node in nodes(plan) if "Index Name" in node or node["Node Type"] == "Seq Scan"]
    read = sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in found)
    if query.name == "select_event_page":  # what an index scan passes without fetching it does not count as a row
        probes = sum(node["Actual Loops"] for node in found)
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= 20 + 2 * read + 4 * probes, query.sql
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
        place = {f"{side}_value": MIDDLE, f"{side}_id": applications[0]} if placed else {}
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


async def test_states_are_told_apart_as_the_index_does(connection: DriverConnection) -> None:
    """By a few letters of each, in Python and in SQL."""
    everything = InstallationFilter(statuses=frozenset(InstallationStatus), reasons=frozenset(StatusReasonCode))
    rows = await connection.fetch(
        "select state_of(status, reason) from unnest($1::text[]) as status, unnest($2::text[]) as reason",
        [each.value for each in InstallationStatus], [each.value for each in StatusReasonCode],
    )  # fmt: skip
    states = {row["state_of"] for row in rows}
    assert len(states) == len(rows)
    assert states == set(_states(everything) or ())


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_filtered_page_reads_one_page_of_each_range(connection: DriverConnection, mode: str) -> None:
    """Of each application, account or state; what is INACTIVE stands at the end of the list by creation."""
    applications = [row["id"] for row in await connection.fetch("select id from applications limit 8")]
    accounts = [row["id"] for row in await connection.fetch("select id from accounts limit 8")]
    inactive = _states(InstallationFilter(statuses=frozenset({InstallationStatus.INACTIVE}))) or []
    lists: list[tuple[set[str], dict[str, Any], list[UUID | None], str, int]] = [
        ({"each_application"}, {"application_ids": applications}, [None], "installations_of_application_by", 8),
        ({"each_account"}, {"account_ids": accounts}, [None], "installations_of_account_by", 8),
        ({"each_state"}, {"states": inactive}, [None], "installations_by_state_and", 1),
        (
            {"each_state", "application"}, {"states": inactive, "application_id": applications[0]}, [None],
            "installations_of_application_by_state_and", 1,
        ),
        (
            {"each_state", "of_application"}, {"states": inactive}, [*applications],
            "installations_of_application_by_state_and", 8,
        ),
        (
            {"each_state", "each_application"}, {"states": inactive, "application_ids": applications}, [None],
            "installations_of_application_by_state_and", 8,
        ),
    ]  # fmt: skip
    for (flags, bound, parents, index, ranges), column, direction in itertools.product(
        lists, ("created", "updated"), ("ascending", "descending")
    ):
        merged = {"merged", f"merged_{column}", f"merged_{direction}", f"{column}_{direction}"}
        query = queries.variant("select_installation_page", flags | merged)
        used, read = await scans(connection, query, {"parents": parents, "limit": ROWS, **bound}, mode=mode)
        name = f"{index}_{'creation' if column == 'created' else 'update'}"
        assert used - {"installations_pkey"} == {name}, (flags, column, mode)
        # An account has one installation for each application: Postgres may also read them all, and sort these few.
        assert read <= max(ROWS, APPLICATIONS if "each_account" in flags else 0) * ranges + ROWS * len(parents), flags


async def test_filter_by_another_time_than_the_order_has_an_index(connection: DriverConnection) -> None:
    soon, early = datetime(2026, 1, 1, 3, tzinfo=UTC), datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
    cases: list[tuple[set[str], dict[str, Any], str]] = [
        (
            {"authorization_expires_before"}, {"authorization_expires_before": soon},
            "installations_by_end_of_authorization",
        ),
        ({"updated_before", "created_before"}, {"updated_before": early}, "installations_by_update"),
    ]  # fmt: skip
    for (flags, given, index), direction in itertools.product(cases, ("ascending", "descending")):
        query = queries.variant("select_installation_page", {*flags, f"created_{direction}"})
        values = {"parents": [None], "limit": ROWS, **given}
        used, read = await scans(connection, query, values, mode="force_custom_plan")
        assert index in used, (flags, used)
        assert read <= 500, (flags, read)


async def test_accounts_and_keys_are_listed_by_their_indexes(connection: DriverConnection) -> None:
    """And accounts found by parts of their names, where the list's order would read them all."""
    await connection.execute(
        "insert into accounts select gen_random_uuid(), 'Zebra ' || n from generate_series(1, 20000) n;"
        "insert into api_keys (id, prefix, digest, kind, label, created_at)"
        " select gen_random_uuid(), n, '', 'PLATFORM', '', now() - n * interval '1 s' from generate_series(1, 5000) n;"
        "analyze accounts; analyze api_keys"
    )
    account = await connection.fetchval("select id from accounts limit 1")
    most_frequent = ACCOUNTS + ROWS  # all others precede it
    cases: list[tuple[str, set[str], dict[str, Any], str, int]] = [
        ("select_account_page", set(), {}, "accounts_by_name", ROWS),
        ("select_account_page", {"above"}, {"above_value": "Company 7", "above_id": account}, "accounts_by_name", ROWS),
        ("select_account_page", {"search", "search_by_parts"}, {"search": "bra 7777"}, "accounts_by_parts_of_name", 20),
        ("select_account_page", {"search", "search_by_parts"}, {"search": "zebra"}, "accounts_by_name", most_frequent),
        ("select_account_page", {"search"}, {"search": "z"}, "accounts_by_name", most_frequent),
        ("select_api_key_page", set(), {}, "api_keys_by_creation", ROWS),
        ("select_api_key_page", {"kind"}, {"kind": "ACCOUNT"}, "api_keys_by_kind", 0),
        ("select_api_key_page", {"account"}, {"account_id": account}, "api_keys_of_account", 0),
    ]  # fmt: skip
    for name, flags, given, index, most in cases:
        query = queries.variant(name, {*flags, "ascending"})
        used, read = await scans(connection, query, {"limit": ROWS, **given}, mode="force_custom_plan")
        assert (used, read <= most) == ({index}, True), (name, given, used, read)


EVENTS = 40_000
LOG = f"""
insert into installation_events (
    xid, occurred_at, actor_kind, installation_id, application_id, account_id, version, kind, change
)
select
    number / 3, timestamptz '2026-01-01 00:00Z' + number * interval '1 s', 'PLATFORM',
    md5('installation' || number % 3)::uuid, md5('application' || number % 3)::uuid, md5('account')::uuid, 1,
    case when number % {EVENTS // 4} = 0 then 'STATUS_CHANGED' else 'METADATA_UPDATED' end, '{{"after": "ACTIVATED"}}'
from generate_series(1, {EVENTS}) as number;
insert into installation_events (
    xid, occurred_at, actor_kind, installation_id, application_id, account_id, version, kind, change
)
select
    {EVENTS} / 3 + number, timestamptz '2026-01-02 00:00Z', 'PLATFORM', md5('rare')::uuid, md5('rare')::uuid,
    md5('account')::uuid, 1, 'METADATA_UPDATED', '{{}}'
from generate_series(1, 5) as number;
update event_log set xid_offset = {EVENTS};
analyze installation_events;
"""
"""Nearly all events are of one account and of one kind, which is the worst case for a plan that filters."""
SEEN = ["S", "SAU", "SAC", "SIN", "SPE", "SY", "CO", "AU"]
"""The codes of the events that an account sees."""
LOW, HIGH = (0, 0), (EVENTS, 0)


def an_id(name: str) -> UUID:
    return UUID(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest())


def event_pages() -> list[tuple[set[str], dict[str, Any], str, int]]:
    """Return for each index of the log the flags and values of pages, and the number of ranges that each merges."""
    account, rare, frequent = (an_id(name) for name in ("account", "rare", "installation1"))
    one, many = {"codes": ["SAC"]}, {"codes": SEEN}
    several = [an_id(f"other {number}") for number in range(9)]
    of_account, of_both = {"account_ids": [account, *several]}, {"application_ids": [rare, *several]}
    of_one = {"installation_ids": [frequent, *several]}
    return [
        (set(), {}, "events_in_order", 1),
        ({"by_code", "unowned"}, one, "events_by_code", 1),
        ({"by_code", "unowned"}, {"codes": ["ME", "SAC"]}, "events_by_code", 2),
        ({"by_code", "owned", "accounts"}, many | {"account_ids": [account]}, "events_of_account", 8),
        ({"by_code", "owned", "accounts"}, many | of_account, "events_of_account", 80),
        ({"by_code", "owned", "accounts"}, one | of_account, "events_of_account", 10),
        ({"by_code", "owned", "accounts", "applications"}, many | of_account | of_both,
         "events_of_account_and_application", 800),
        ({"by_code", "owned", "installations", "owner_accounts"}, many | of_one | {"owner_account_ids": [account]},
         "events_of_installation", 80),
        ({"by_code", "owned", "installations", "owner_applications"}, many | of_one | {"owner_application_ids": [rare]},
         "events_of_installation", 80),
        ({"by_code", "owned", "installations"}, many | {"parents": [frequent, rare]}, "events_of_installation", 16),
        ({"by_code", "owned", "applications"}, one | {"application_ids": [rare]}, "events_of_application", 1),
        ({"by_code", "owned", "applications"}, {"application_ids": [rare], "codes": [*SEEN, "ME"]},
         "events_of_application", 9),
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_events_that_are_hidden_or_not_asked_for_are_not_read(database_url: str, mode: str) -> None:
    """A page reads at most its size for each of its ranges, whatever else the log has, in both directions."""
    held = await asyncpg.connect(database_url)
    try:
        await held.execute(LOG)
        for (flags, given, index, ranges), direction in itertools.product(event_pages(), ("forward", "backward")):
            for low, high in ((LOW, HIGH), ((EVENTS // 6, 0), HIGH), (LOW, (EVENTS // 6, 0))):
                values: dict[str, Any] = {
                    "parents": [None], "installation_ids": [None], "limit": ROWS, "low_xids": [low[0]],
                    "low_ids": [low[1]], "high_xids": [high[0]], "high_ids": [high[1]], **given,
                }  # fmt: skip
                query = queries.variant("select_event_page", {*flags, direction})
                used, read = await scans(held, query, values, mode=mode)
                assert used <= {"Seq Scan", "events_in_order", "events_of_installation", index}, (flags, used)
                assert index in used, (flags, used)
                found = 2 + sum(len(ids) for name, ids in given.items() if name in {"installation_ids", "parents"})
                assert read <= ROWS * min(ranges, 2) + found + 5, (flags, direction, read)
    finally:
        await held.close()


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_range_of_time_is_read_with_one_span_more_at_each_end(database_url: str, mode: str) -> None:
    """And with the events that have no span yet, fewer than one."""
    held, span = await asyncpg.connect(database_url), 500
    since, until = (datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (5, 6))
    of_account = {"account_ids": [an_id("account")], "codes": ["ME"]}
    try:
        await held.execute(LOG)
        while await store_event_span(held, events=span):
            pass
        for given, direction, times in itertools.product(
            ({}, of_account),
            ("forward", "backward"),
            (
                {"occurred_since": since},
                {"occurred_before": since},
                {"occurred_since": since, "occurred_before": until},
            ),
        ):
            both = {"occurred_since": None, "occurred_before": None} | times
            stretches = await queries.select_event_stretches.fetch(held, **both)
            values: dict[str, Any] = {
                "parents": [None], "installation_ids": [None], "limit": ROWS, **given, **times,
                "low_xids": [row["low"][0] for row in stretches], "low_ids": [row["low"][1] for row in stretches],
                "high_xids": [(row["high"] or HIGH)[0] for row in stretches],
                "high_ids": [(row["high"] or HIGH)[1] + 1 for row in stretches],
            }  # fmt: skip
            flags = {direction, *({"by_code", "owned", "accounts"} if given else ())}
            flags |= {"since"} if "occurred_since" in times else set()
            flags |= {"until"} if "occurred_before" in times else set()
            query = queries.variant("select_event_page", flags)
            used, read = await scans(held, query, values, mode=mode)
            assert ("events_of_account" if given else "events_in_order") in used
            assert read <= 2 * span + 2 * ROWS + 5, (flags, read)
    finally:
        await held.close()


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_inserting_an_event_reads_one_earlier_event_of_each_code(database_url: str, mode: str) -> None:
    """Also where a third of the log is of the same application and account."""
    held = await asyncpg.connect(database_url)
    values = {
        "occurred_at": MIDDLE, "actor_kind": "PLATFORM", "actor_id": None, "actor_label": None, "version": 1,
        "installation_id": an_id("installation1"), "application_id": an_id("application1"),
        "account_id": an_id("account"), "kind": "METADATA_UPDATED", "change": "{}",
    }  # fmt: skip
    try:
        await held.execute(LOG)
        used, read = await scans(held, queries.insert_event, values, mode=mode)
    finally:
        await held.close()
    assert used == {"Seq Scan", "events_of_account_and_application"}  # the scan is of the one row of event_log
    assert read <= len(SEEN) + 2
