"""Writers and subscribers of two gateways, over HTTP, WebSockets and server-sent events, during faults.

The first gateway makes changes in batches, as the writers in this process do, and the second each of them alone.
"""

import time
from pathlib import Path

import asyncpg
import pytest

from gateway.storage.database import transaction
from gateway.usecases.installations import merge_into_metadata
from tests.live.dataset import PLATFORM, populated
from tests.live.load import Fault, LoadRun, Size, run_load
from tests.live.observed import CHANGES_ALONE
from tests.live.servers import Postgres, running_gateways

SHORT = Size(writers=16, changes=300, subscribers=12, applications=5, accounts=8, faults=1, kills=8, overtaking=100)
LONG = Size(
    writers=64, changes=10_000, subscribers=50, applications=10, accounts=20, faults=4, kills=50, overtaking=300
)
LISTENERS = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where application_name in ('gateway log reader', 'gateway notifier')
"""


async def listeners_are_killed(run: LoadRun) -> None:
    killed = 0
    admin = await asyncpg.connect(run.postgres.url)
    for number in range(run.size.kills):
        await run.reached(number / run.size.kills)
        killed += await admin.fetchval(LISTENERS)
    await admin.close()
    assert killed > 2


async def postgres_restarts_immediately(run: LoadRun) -> None:
    for number in range(run.size.faults):
        await run.reached((number + 1) / (run.size.faults + 1))
        await run.postgres.restart_immediately()
    assert run.results.failures > 0


async def gateway_is_killed(run: LoadRun) -> None:
    first, second = run.gateways
    await run.reached(0.3)
    await first.kill()
    if run.size is LONG:
        await run.reached(0.5)
        await first.start()
        await run.reached(0.7)
        await second.kill()
        await second.start()


async def transactions_commit_late(run: LoadRun) -> None:
    """Take a transaction id, and commit later than many transactions with a greater id."""
    services, unwritten = run.dataset.services, run.dataset.unwritten
    while not run.results.full:
        async with transaction(services.database):
            patch = {"answered": len(run.results.answered)}
            await merge_into_metadata(
                services, PLATFORM, installation_id=unwritten.id, patch=patch, expected_version=None
            )
            await run.reached(min(1, run.results.progress() + run.size.overtaking / run.size.changes))


FAULTS: list[Fault] = [
    listeners_are_killed,
    postgres_restarts_immediately,
    gateway_is_killed,
    transactions_commit_late,
]


@pytest.mark.parametrize(
    ("size", "fault"),
    [
        *(pytest.param(SHORT, fault, id=f"short-{fault.__name__}") for fault in FAULTS[1:2]),
        *(pytest.param(LONG, fault, id=f"long-{fault.__name__}", marks=pytest.mark.long) for fault in FAULTS),
    ],
)
async def test_each_subscriber_receives_its_events_once_and_in_order_while(
    size: Size, fault: Fault, postgres: Postgres, tmp_path: Path
) -> None:
    async with (
        populated(postgres.url, applications=size.applications, accounts=size.accounts) as dataset,
        running_gateways(postgres.url, count=1, directory=tmp_path) as in_batches,
        running_gateways(postgres.url, count=1, directory=tmp_path, **CHANGES_ALONE) as alone,
    ):
        began = time.monotonic()
        outcome = await run_load(dataset, postgres=postgres, gateways=[*in_batches, *alone], size=size, fault=fault)
        seconds = time.monotonic() - began
    assert len(outcome.log) >= size.changes
    received = sum(len(subscriber.received) for subscriber in outcome.subscribers)
    reconnects = sum(subscriber.reconnects for subscriber in outcome.subscribers)
    print(f"{len(outcome.log):,} events, {received:,} received, {reconnects} returns, {seconds:.1f} s")  # noqa: T201 - the long form's figures
