"""Benchmark of the filters of events: `python -m tests.benchmarks.hidden_events`.

Two accounts have 600,000 events each that they see. One of them has 600,000 more that are hidden from it: one in four
of the older ones, and all of the newest 400,000. Prints what a page of each filter costs in both directions; then what
a page of events, a history, an empty page and the backlog of a subscription from the start cost each of the accounts,
and the ratio.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from gateway.domain.cursors import Position
from gateway.domain.event_filters import ALL_EVENTS, EventFilter
from gateway.domain.events import Event, EventKind
from gateway.domain.installations import InstallationStatus
from gateway.domain.pages import OrderDirection, Page, Window
from gateway.domain.principals import Principal, PrincipalKind
from gateway.feed import Feed
from gateway.storage.database import Database, connection, open_database, read
from gateway.storage.embedded import embedded_postgres
from gateway.storage.events import log_snapshot, store_event_span
from gateway.storage.migrations import migrate
from gateway.usecases.reads import list_events
from gateway.usecases.services import Services
from gateway.usecases.visibility import visible_events

VISIBLE, HIDDEN, NEWEST_HIDDEN = 600_000, 200_000, 400_000
_INSTALLATIONS = 200
_ROUNDS = 101
_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
_LOG = f"""
insert into installation_events (
    xid, occurred_at, actor_kind, installation_id, application_id, account_id, version, kind, change
)
select
    number / 3, '{_BEGINNING.isoformat()}'::timestamptz + number * interval '1 s', 'PLATFORM',
    md5(account.n || 'installation' || number % {_INSTALLATIONS})::uuid,
    md5('application' || number % {_INSTALLATIONS})::uuid, lpad(account.n::text, 32, '0')::uuid, 1, event.kind,
    case event.kind when 'METADATA_UPDATED' then '{{"changed_keys": []}}'::json
        when 'STATUS_CHANGED' then json_build_object(
            'before', 'AUTHORIZED', 'reason', 'SYNC_SUCCEEDED', 'message', '',
            'after', (array['ACTIVATED', 'INACTIVE', 'PENDING_INTEGRATION'])[1 + number % 11 % 3]
        )
        else '{{"steps": []}}' end
from generate_series(1, {VISIBLE + HIDDEN + NEWEST_HIDDEN}) as number
cross join generate_series(1, 2) as account (n)
cross join lateral (
    select case
        when number % 4 = 0 or number > {VISIBLE + HIDDEN} then 'METADATA_UPDATED'
        when number % 7 = 0 then 'STATUS_CHANGED'
        else 'SYNC_PROGRESSED'
    end as kind
) as event
where account.n = 1 or event.kind <> 'METADATA_UPDATED';
update event_log set xid_offset = {VISIBLE + HIDDEN + NEWEST_HIDDEN};
"""
_INSTALLATIONS_OF = """
select distinct account_id, installation_id from installation_events where code = 'SY'
"""
Job = Callable[[Principal], Awaitable[object]]
ASC, DESC = OrderDirection
PLATFORM = Principal(kind=PrincipalKind.PLATFORM)
ACCOUNT_IDS = [UUID(int=1), UUID(int=2)]


async def median(job: Callable[[], Awaitable[object]], *, rounds: int) -> float:
    """Return the median of the milliseconds that a job takes."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        await job()
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


async def compare(name: str, job: Job, *, rounds: int = _ROUNDS) -> None:
    """Run a job for the account with hidden events and for the one without; print medians and ratio."""
    with_hidden, without = [
        await median(partial(job, Principal(kind=PrincipalKind.ACCOUNT, account_id=account_id)), rounds=rounds)
        for account_id in ACCOUNT_IDS
    ]
    figures = f"{with_hidden:9.2f} ms   {without:9.2f} ms   {with_hidden / without:.2f}"
    print(f"{name:<46} {figures}", flush=True)  # noqa: T201 - printing is what a benchmark is for


async def log_page(
    services: Services,
    principal: Principal,
    *,
    matching: EventFilter,
    direction: OrderDirection,
    window: Window[Position],
) -> Page[Event]:
    question = partial(list_events, matching=matching, direction=direction, window=window)
    return (await read(services.database, question, principal, ids=[None]))[None]


async def compare_hidden(services: Services, url: str) -> None:
    """Print what hidden events cost an account."""
    async with connection(services.database) as held:
        start = (await log_snapshot(held)).latest._replace(xid=0, id=0)
        installations: dict[UUID, list[UUID]] = {}
        for row in await held.fetch(_INSTALLATIONS_OF):
            installations.setdefault(row["account_id"], []).append(row["installation_id"])

    async def page(principal: Principal, *, size: int, direction: OrderDirection = ASC, first: int = 0) -> None:
        place = None
        if first:
            async with connection(services.database) as held:
                edge = "select min(id) from installation_events where xid = $1"
                place = Position(start.epoch, first, await held.fetchval(edge, first))
        window = Window(size=size, backward=False, after=place, before=None)
        found = await log_page(services, principal, matching=ALL_EVENTS, direction=direction, window=window)
        assert len(found.items) == size

    async def history(principal: Principal) -> None:
        assert principal.account_id is not None
        window: Window[Position] = Window(size=20, backward=False, after=None, before=None)
        find = partial(list_events, matching=ALL_EVENTS, direction=DESC)
        ids = installations[principal.account_id][:20]
        found = await read(services.database, find, principal, ids=ids, window=window)
        assert [len(each.items) for each in found.values()] == [20] * 20

    async def backlog(principal: Principal) -> None:
        async with Feed(services.database, url=url).follow(visible_events(principal), after=start) as events:
            for _ in range(VISIBLE // 4):
                await anext(events)

    print(f"{'':<46} {'half hidden':>12}   {'none hidden':>12}   ratio")  # noqa: T201 - as above
    await compare("first page of 20 events", partial(page, size=20))
    await compare("newest page of 20 events", partial(page, size=20, direction=DESC))
    middle = VISIBLE // 6
    await compare("page of 100 events from the middle", partial(page, size=100, first=middle))
    await compare("page of 100 before the middle", partial(page, size=100, first=middle, direction=DESC))
    await compare("page of size 0", partial(page, size=0))
    await compare("histories of 20 installations, the newest 20", history)
    await compare(f"subscription from the start, {VISIBLE // 4:,} events", backlog, rounds=3)


async def measure_filters(services: Services) -> None:
    """Print what a page of 20 costs by each filter, for the platform and an account."""
    middle = _BEGINNING + timedelta(seconds=VISIBLE // 2)
    hour = EventFilter(occurred_since=middle, occurred_before=middle + timedelta(hours=1))
    metadata, syncs = frozenset({EventKind.METADATA_UPDATED}), frozenset({EventKind.SYNC_PROGRESSED})
    async with connection(services.database) as held:
        ids = {
            name: [row[0] for row in await held.fetch(f"select {name}_id from installation_events group by 1")]
            for name in ("installation", "application")
        }
    filters = {
        "everything": ALL_EVENTS,
        "one kind": EventFilter(kinds=metadata),
        "two kinds": EventFilter(kinds=metadata | syncs),
        "to one status": EventFilter(to=frozenset({InstallationStatus.INACTIVE})),
        "to a status that nothing led to": EventFilter(to=frozenset({InstallationStatus.AUTHORIZED})),
        "an hour in the middle": hour,
        "an hour in the middle, to one status": replace(hour, to=frozenset({InstallationStatus.INACTIVE})),
        "the time since the end": EventFilter(occurred_since=_BEGINNING + timedelta(days=365)),
        "the time before the beginning": EventFilter(occurred_before=_BEGINNING),
        "one installation": EventFilter(installation_ids=frozenset(ids["installation"][:1])),
        "100 installations": EventFilter(installation_ids=frozenset(ids["installation"][:100])),
        "one application": EventFilter(application_ids=frozenset(ids["application"][:1])),
        "50 applications": EventFilter(application_ids=frozenset(ids["application"][:50])),
        "50 applications in two accounts": EventFilter(
            application_ids=frozenset(ids["application"][:50]), account_ids=frozenset(ACCOUNT_IDS)
        ),
        "an account, an hour in the middle": replace(hour, account_ids=frozenset(ACCOUNT_IDS[:1])),
        "unknown installations": EventFilter(installation_ids=frozenset(ids["application"][:9])),
    }
    window: Window[Position] = Window(size=20, backward=False, after=None, before=None)
    account = Principal(kind=PrincipalKind.ACCOUNT, account_id=ACCOUNT_IDS[0])
    print(f"{'a page of 20':<46} {'oldest first':>12}   {'newest first':>12}   newest, an account")  # noqa: T201 - as above
    for name, matching in filters.items():
        pages = partial(log_page, services, matching=matching, window=window)
        oldest = await median(partial(pages, PLATFORM, direction=ASC), rounds=21)
        newest = await median(partial(pages, PLATFORM, direction=DESC), rounds=21)
        own = await median(partial(pages, account, direction=DESC), rounds=21)
        print(f"{name:<46} {oldest:9.2f} ms   {newest:9.2f} ms   {own:9.2f} ms", flush=True)  # noqa: T201 - as above


async def run(database: Database, url: str) -> None:
    services = Services(database=database, notify=lambda: None)
    async with connection(database) as held:
        await held.execute(_LOG, timeout=600)
        await held.execute("vacuum analyze installation_events", timeout=600)
        while await store_event_span(held):
            pass
    await measure_filters(services)
    await compare_hidden(services, url)


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="gateway-") as directory:
        async with embedded_postgres(Path(directory), exclusive=True) as url:
            await migrate(url)
            async with open_database(url, statement_seconds=600) as database:
                await run(database, url)


if __name__ == "__main__":
    asyncio.run(main())
