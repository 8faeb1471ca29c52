"""What the lists cost at size: `python -m tests.benchmarks.lists [installations] [-v]`, by default of 1,000,000 rows.

Each list is read as the gateway reads it. Printed are the median of its times, how many rows and index entries its
statements read, and by which indexes; with -v, the plans. It fails where a page reads more than a quarter of the rows,
which is less than any scan of the installations; searches by less than three letters read the names of all accounts.

The rows are the worst that a marketplace may have: one application is installed for every account; what is not
activated yet are the newest installations, so that "the oldest that are not" stand at the wrong end of every list.
"""

import asyncio
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import uvloop
from asyncpg.connection import LoggedQuery

from gateway.domain.cursors import Keyset
from gateway.domain.errors import BadUserInput
from gateway.domain.installations import InstallationStatus, StatusReasonCode
from gateway.domain.pages import (
    AccountFilter,
    ApiKeyFilter,
    ApplicationFilter,
    InstallationFilter,
    InstallationList,
    InstallationOrder,
    InstallationOrderField,
    OrderDirection,
    Window,
)
from gateway.domain.principals import Principal, PrincipalKind
from gateway.storage.api_keys import count_api_keys, select_api_key_page
from gateway.storage.applications import count_accounts, select_account_page, select_application_page
from gateway.storage.database import Connection, connection, open_database
from gateway.storage.embedded import embedded_postgres
from gateway.storage.installation_pages import WHOLE
from gateway.storage.migrations import migrate
from gateway.usecases.installation_lists import count_installations_by_status, list_installations
from gateway.usecases.visibility import visible_accounts
from tests.benchmarks.feed import show

NOW = datetime(2026, 11, 1, tzinfo=UTC)
APPLICATIONS, INSTALLED_FOR_EACH, KEYS = 300, 5, 100_000
RUNS = 7
POPULATE = """
select setseed(0.5);
insert into applications
select md5('application' || n)::uuid, 'application-' || n,
    (array['Ledger', 'Payroll', 'Invoice', 'Tax', 'Travel', 'Harbour'])[1 + n % 6] || ' ' || n, '', '{{}}', null,
    'OAUTH', true, n % 10 <> 0, timestamptz '2026-11-01Z', timestamptz '2026-11-01Z'
from generate_series(0, {applications} - 1) n;
insert into accounts
select md5('account' || n)::uuid,
    (array['Nordic', 'Acme', 'Blue', 'Central', 'Delta', 'Eastern', 'Grand', 'Harbour'])[1 + n % 8] || ' '
    || (array['Bakery', 'Books', 'Motors', 'Foods', 'Design', 'Dental', 'Legal'])[1 + n / 8 % 7] || ' ' || n || ' '
    || (array['GmbH', 'AB', 'Ltd', 'Inc', 'Oy'])[1 + n % 5]
from generate_series(0, {accounts} - 1) n;
insert into installations (
    id, application_id, account_id, status, reason_code, reason_since, metadata, version, connection_failures,
    sync_state, sync_expires_at, sync_steps, authorization_expires_at, created_at, updated_at
)
select
    gen_random_uuid(), md5('application' || application)::uuid, md5('account' || account)::uuid, status,
    case status
        when 'AUTHORIZED' then 'AUTHORIZATION_COMPLETED'
        when 'PENDING_INTEGRATION' then 'SYNC_STARTED'
        when 'INACTIVE' then (
            array['DEACTIVATED', 'AUTHORIZATION_EXPIRED', 'CONNECTION_FAILED', 'NOT_ENTITLED']
        )[1 + (chance * 1e6)::int % 4]
        else case when chance < 0.0801 then 'SYNC_FAILED' when chance < 0.5 then 'SYNC_SUCCEEDED'
            else 'CONFIGURATION_COMPLETED' end
    end,
    created_at, json_build_object('tenant', account % 1000), 1, 0,
    case status when 'PENDING_INTEGRATION' then 'RUNNING' end,
    case status when 'PENDING_INTEGRATION' then timestamptz '2199-01-01Z' end,
    case status when 'PENDING_INTEGRATION' then json '[]' end,
    case when account % 3 = 0 then timestamptz '2026-11-01Z' + (late - 0.1) * interval '600 days' end,
    created_at, created_at + late * late * (timestamptz '2026-11-01Z' - created_at)
from (
    select application, account, chance, late, created_at,
        case when age < 0.01 then 'AUTHORIZED' when chance < 0.001 then 'PENDING_INTEGRATION'
            when chance < 0.08 then 'INACTIVE' else 'ACTIVATED' end as status
    from (
        select distinct on (account, application) account, application, random() as chance, random() as late, age,
            timestamptz '2026-11-01Z' - age * interval '1500 days' as created_at
        from (
            select account, random() as age,
                case n when 0 then 0 else 1 + floor(({applications} - 1) * random() ^ 3)::int end as application
            from generate_series(0, {accounts} - 1) account
            cross join generate_series(0, {installed} - 1) n
        ) as drawn
    ) as pair
) as rows;
insert into api_keys (id, prefix, digest, kind, application_id, account_id, label, created_at, expires_at, revoked_at)
select gen_random_uuid(), 'prefix' || n, '', kind,
    case kind when 'APPLICATION' then md5('application' || n % {applications})::uuid end,
    case kind when 'ACCOUNT' then md5('account' || n % {accounts})::uuid end,
    '', timestamptz '2020-01-01Z' + n * interval '10 min', null, case when n < {keys} * 0.98 then now() end
from (
    select n, case when n % 1000 = 0 then 'PLATFORM' when n % 2 = 0 then 'APPLICATION' else 'ACCOUNT' end as kind
    from generate_series(1, {keys}) n
) as numbered;
"""


def identifier(noun: str, number: int) -> UUID:
    return UUID(hashlib.md5(f"{noun}{number}".encode(), usedforsecurity=False).hexdigest())


PLATFORM = Principal(kind=PrincipalKind.PLATFORM)
LARGEST = Principal(kind=PrincipalKind.APPLICATION, application_id=identifier("application", 0))
SMALLEST = Principal(kind=PrincipalKind.APPLICATION, application_id=identifier("application", APPLICATIONS - 1))
ACCOUNT = Principal(kind=PrincipalKind.ACCOUNT, account_id=identifier("account", 7))
CALLERS = {"platform": PLATFORM, "largest application": LARGEST, "smallest application": SMALLEST, "account": ACCOUNT}
FILTERS: dict[str, InstallationFilter] = {
    "all": InstallationFilter(),
    "not activated yet": InstallationFilter(statuses=frozenset({InstallationStatus.AUTHORIZED})),
    "synchronising": InstallationFilter(statuses=frozenset({InstallationStatus.PENDING_INTEGRATION})),
    "all statuses but one": InstallationFilter(statuses=frozenset([*InstallationStatus][1:])),
    "a rare reason": InstallationFilter(reasons=frozenset({StatusReasonCode.SYNC_FAILED})),
    "a status and a reason": InstallationFilter(
        statuses=frozenset({InstallationStatus.INACTIVE}), reasons=frozenset({StatusReasonCode.NOT_ENTITLED})
    ),
    "100 applications": InstallationFilter(application_ids=frozenset(identifier("application", n) for n in range(100))),
    "100 applications, one status": InstallationFilter(
        application_ids=frozenset(identifier("application", n) for n in range(100)),
        statuses=frozenset({InstallationStatus.AUTHORIZED}),
    ),
    "100 accounts": InstallationFilter(account_ids=frozenset(identifier("account", n) for n in range(100))),
    "100 accounts, one status": InstallationFilter(
        account_ids=frozenset(identifier("account", n) for n in range(100)),
        statuses=frozenset({InstallationStatus.INACTIVE}),
    ),
    "100 applications, 100 accounts": InstallationFilter(
        application_ids=frozenset(identifier("application", n) for n in range(100)),
        account_ids=frozenset(identifier("account", n) for n in range(100)),
    ),
    "search: one account": InstallationFilter(search="bakery 1234 "),
    "search: 161 accounts": InstallationFilter(search="ks 123"),
    "search: applications": InstallationFilter(search="payroll"),
    "search: both": InstallationFilter(search="harbour 1"),
    "search: nothing": InstallationFilter(search="xyzzy"),
    "search: two letters": InstallationFilter(search="zz"),
    "search: too many": InstallationFilter(search="a"),
    "search and status": InstallationFilter(search="payroll", statuses=frozenset({InstallationStatus.AUTHORIZED})),
    "search and time": InstallationFilter(search="payroll", updated_since=NOW - timedelta(hours=1)),
    "updated in the last hour": InstallationFilter(updated_since=NOW - timedelta(hours=1)),
    "updated this year": InstallationFilter(updated_since=NOW - timedelta(days=300)),
    "not updated for a year": InstallationFilter(updated_before=NOW - timedelta(days=365)),
    "not updated for four years": InstallationFilter(updated_before=NOW - timedelta(days=1460)),
    "expired": InstallationFilter(authorization_expires_before=NOW),
    "expires within a week": InstallationFilter(
        authorization_expires_before=NOW + timedelta(days=7), statuses=frozenset({InstallationStatus.ACTIVATED})
    ),
    "rare metadata": InstallationFilter(metadata='{"tenant": 7}'),
    "no such metadata": InstallationFilter(metadata='{"tenant": 70000}'),
}
READ: dict[str, int] = {}
"""How many rows and index entries the statements of each list have read."""
PAGE: Window[Keyset] = Window(size=20, backward=False, after=None, before=None)


@dataclass
class Measurement:
    milliseconds: float
    queries: list[LoggedQuery]
    result: str


async def measured(held: Connection, run: Any) -> Measurement:
    """Run something on the connection several times, and note its queries in a last run."""
    queries: list[LoggedQuery] = []
    times: list[float] = []
    result = ""
    for _ in range(RUNS):
        began = time.perf_counter()
        try:
            found = await run(held)
        except BadUserInput:
            result = "refused"
        else:
            result = str(len(found) if isinstance(found, list) else found)
        times.append((time.perf_counter() - began) * 1000)
    held.add_query_logger(queries.append)
    with suppress(BadUserInput):
        await run(held)
    await asyncio.sleep(0.01)  # the connection tells of its queries in later turns
    held.remove_query_logger(queries.append)
    return Measurement(statistics.median(times), queries, result)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)


async def report(held: Connection, name: str, run: Any) -> None:
    """Print one list's figures."""
    found = await measured(held, run)
    read, indexes = 0, set[str]()
    for logged in found.queries:
        if "plan_cache_mode" in logged.query:
            await held.execute(logged.query)
            continue
        text = await held.fetchval(f"explain (analyze, format json) {logged.query}", *logged.args)
        for node in nodes(json.loads(text)[0]["Plan"]):
            if "Index Name" in node or node["Node Type"] == "Seq Scan":
                removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
                read += round((node["Actual Rows"] + removed) * node["Actual Loops"])
                indexes.add(node.get("Index Name") or f"all {node['Relation Name']}")
    READ[name] = read
    show(name, f"{found.milliseconds:8.1f} ms {read:9,} rows  {found.result:14}  {', '.join(sorted(indexes))}")
    if "-v" in sys.argv:
        for logged in found.queries:
            if "plan_cache_mode" in logged.query:
                await held.execute(logged.query)
                continue
            plan = await held.fetch(f"explain (analyze, buffers) {logged.query}", *logged.args)
            show("\n".join(row[0] for row in plan), "")


async def listed(held: Connection, principal: Principal, matching: InstallationFilter, order: InstallationOrder) -> Any:
    asked = InstallationList(of=None, matching=matching, order=order)
    return (await list_installations(held, principal, ids=[None], listed=asked, window=PAGE, parts=WHOLE))[None].items


async def counted(held: Connection, principal: Principal, matching: InstallationFilter) -> int:
    asked = InstallationList(of=None, matching=matching, order=InstallationOrder())
    counts = await count_installations_by_status(held, principal, ids=[None], listed=asked)
    return sum(counts[None].values())


async def installations(held: Connection) -> None:
    orders = [
        InstallationOrder(field=field, direction=way) for field in InstallationOrderField for way in OrderDirection
    ]
    for caller, principal in CALLERS.items():
        for name, matching in FILTERS.items():
            if matching.metadata is not None and principal is ACCOUNT:
                continue
            for order in orders:
                title = f"{caller}: {name}, {order.field.value.lower()} {order.direction.value.lower()}"
                await report(held, title, partial(listed, principal=principal, matching=matching, order=order))
            if principal in (PLATFORM, LARGEST):
                await report(
                    held, f"{caller}: {name}, counted", partial(counted, principal=principal, matching=matching)
                )


async def others(held: Connection) -> None:
    for caller, principal in CALLERS.items():
        for search in (None, "bakery 1234 ", "ks 123", "gmbh", "zz", "a", "xyzzy"):
            matching = visible_accounts(principal, AccountFilter(search=search))
            title = f"{caller}: accounts, {search or 'all'}"
            await report(held, title, partial(select_account_page, matching=matching, window=PAGE))
            await report(held, f"{title}, counted", partial(count_accounts, matching=matching))
    for name, keys in {
        "all": ApiKeyFilter(),
        "platform's": ApiKeyFilter(kind=PrincipalKind.PLATFORM),
        "in force": ApiKeyFilter(in_force=True),
        "ended": ApiKeyFilter(in_force=False),
        "of an application": ApiKeyFilter(application_id=identifier("application", 1)),
    }.items():
        await report(held, f"API keys, {name}", partial(select_api_key_page, matching=keys, window=PAGE, now=NOW))
        last: Window[Keyset] = Window(size=20, backward=True, after=None, before=None)
        await report(held, f"API keys, {name}, last", partial(select_api_key_page, matching=keys, window=last, now=NOW))
        await report(held, f"API keys, {name}, counted", partial(count_api_keys, matching=keys, now=NOW))
    for search in (None, "payroll", "zz"):
        page = partial(select_application_page, matching=ApplicationFilter(search=search), window=PAGE)
        await report(held, f"applications, {search or 'all'}", page)


@asynccontextmanager
async def filled(rows: int) -> AsyncIterator[Connection]:
    """Fill a database with so many installations."""
    with tempfile.TemporaryDirectory(prefix="gateway-") as directory:
        async with embedded_postgres(Path(directory), exclusive=True) as url:
            await migrate(url)
            await fill(url, rows=rows)
            async with open_database(url, pool_size=1) as database, connection(database) as held:
                yield held


async def fill(url: str, *, rows: int) -> None:
    began, held = time.monotonic(), await asyncpg.connect(url)
    figures = {"applications": APPLICATIONS, "accounts": rows // INSTALLED_FOR_EACH, "keys": KEYS}
    await held.execute(POPULATE.format(**figures, installed=INSTALLED_FOR_EACH))
    await held.execute("vacuum analyze")
    size = await held.fetchval("select pg_size_pretty(pg_total_relation_size('installations'))")
    show(
        "filled",
        f"{await held.fetchval('select count(*) from installations'):,} installations, {size},"
        f" in {time.monotonic() - began:.0f} s",
    )
    await held.close()


async def main() -> None:
    rows = next((int(argument) for argument in sys.argv[1:] if argument.isdecimal()), 1_000_000)
    async with filled(rows) as held:
        await installations(held)
        await others(held)
    most = max(rows // 4, KEYS)
    beyond = {name: read for name, read in READ.items() if read > most and not name.endswith(", counted")}
    if beyond:
        sys.exit(f"These pages read more than {most:,} rows: {beyond}")


if __name__ == "__main__":
    uvloop.run(main())
