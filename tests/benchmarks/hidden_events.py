"""Benchmark of events that are hidden from an account: `python -m tests.benchmarks.hidden_events`.

Two accounts have 600,000 events each that they see; one of them has 400,000 more that are hidden from it. Prints what
a page of events, a history, an empty page and the backlog of a subscription from the start cost each, and the ratio.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from uuid import UUID

from gateway.domain.cursors import Position
from gateway.domain.pages import Window
from gateway.domain.principals import Principal, PrincipalKind
from gateway.feed import Feed
from gateway.storage.database import Database, connection, open_database, read
from gateway.storage.embedded import embedded_postgres
from gateway.storage.events import log_snapshot
from gateway.storage.migrations import migrate
from gateway.usecases.reads import list_events, list_histories
from gateway.usecases.services import Services
from gateway.usecases.visibility import visible_events

VISIBLE, HIDDEN = 600_000, 400_000
_INSTALLATIONS = 200
_ROUNDS = 101
_LOG = f"""
insert into installation_events (
    xid, occurred_at, actor_kind, installation_id, application_id, account_id, version, kind, change
)
select
    number / 3, now(), 'PLATFORM', md5(account.n || 'installation' || number % {_INSTALLATIONS})::uuid,
    md5('application' || number % {_INSTALLATIONS})::uuid, lpad(account.n::text, 32, '0')::uuid, 1,
    case when number % 5 < 2 then 'METADATA_UPDATED' when number % 7 = 0 then 'STATUS_CHANGED' else 'SYNC_PROGRESSED' end,
    case when number % 5 < 2 then '{{"changed_keys": []}}'::json
        when number % 7 = 0 then '{{"before": "AUTHORIZED", "after": "ACTIVATED", "reason": "SYNC_SUCCEEDED", "message": ""}}'
        else '{{"steps": []}}' end
from generate_series(1, {VISIBLE + HIDDEN}) as number
cross join generate_series(1, 2) as account (n)
where account.n = 1 or number % 5 >= 2;
update event_log set xid_offset = {VISIBLE + HIDDEN};
"""  # noqa: E501 - the values of a row
_INSTALLATIONS_OF = """
select distinct account_id, installation_id from installation_events where left(kind, 2) = 'SY'
"""
Job = Callable[[Principal], Awaitable[object]]


async def compare(name: str, job: Job, *, rounds: int = _ROUNDS) -> None:
    """Run a job in turns for the account with hidden events and for the one without; print medians and ratio."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for number in range(rounds):
        for account in (1, 2) if number % 2 else (2, 1):
            began = time.perf_counter()
            await job(Principal(kind=PrincipalKind.ACCOUNT, account_id=UUID(int=account)))
            seconds[account].append(time.perf_counter() - began)
    with_hidden, without = (1000 * statistics.median(taken) for taken in seconds.values())
    figures = f"{with_hidden:9.2f} ms   {without:9.2f} ms   {with_hidden / without:.2f}"
    print(f"{name:<46} {figures}", flush=True)  # noqa: T201 - printing is what a benchmark is for


async def run(database: Database, url: str) -> None:
    services = Services(database=database, notify=lambda: None)
    async with connection(database) as held:
        await held.execute(_LOG, timeout=600)
        await held.execute("vacuum analyze installation_events", timeout=600)
        start = (await log_snapshot(held)).latest._replace(xid=0, id=0)
        installations: dict[UUID, list[UUID]] = {}
        for row in await held.fetch(_INSTALLATIONS_OF):
            installations.setdefault(row["account_id"], []).append(row["installation_id"])

    async def page(principal: Principal, *, size: int, after: Position | None = None) -> None:
        window = Window(size=size, backward=False, after=after, before=None)
        found = await list_events(services, matching=visible_events(principal), window=window)
        assert len(found.items) == size

    async def history(principal: Principal) -> None:
        assert principal.account_id is not None
        window: Window[Position] = Window(size=20, backward=True, after=None, before=None)
        ids = installations[principal.account_id][:20]
        found = await read(database, list_histories, principal, ids=ids, window=window)
        assert [len(each.items) for each in found.values()] == [20] * 20

    async def backlog(principal: Principal) -> None:
        async with Feed(database, url=url).follow(visible_events(principal), after=start) as events:
            for _ in range(VISIBLE // 4):
                await anext(events)

    print(f"{'':<46} {'40 % hidden':>12}   {'none hidden':>12}   ratio")  # noqa: T201 - as above
    await compare("first page of 20 events", partial(page, size=20))
    middle = start._replace(xid=VISIBLE // 6)
    await compare("page of 100 events from the middle", partial(page, size=100, after=middle))
    await compare("page of size 0", partial(page, size=0))
    await compare("histories of 20 installations, the last 20", history)
    await compare(f"subscription from the start, {VISIBLE // 4:,} events", backlog, rounds=4)


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="gateway-") as directory:
        async with embedded_postgres(Path(directory), exclusive=True) as url:
            await migrate(url)
            async with open_database(url, statement_seconds=600) as database:
                await run(database, url)


if __name__ == "__main__":
    asyncio.run(main())
