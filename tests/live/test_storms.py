"""Writers and followers of two gateways, over HTTP, WebSockets and server-sent events, while things fail in turn."""

import asyncio
import time
from pathlib import Path

import asyncpg
import pytest

from gateway.storage.database import transaction
from gateway.usecases.installations import merge_into_metadata
from tests.live.conftest import LONG
from tests.live.servers import Postgres, running_gateways
from tests.live.storms import Fault, Size, Stage, storm
from tests.live.worlds import PLATFORM, populated

SIZE = (
    Size(writers=64, changes=10_000, followers=50, applications=10, accounts=20)
    if LONG
    else Size(writers=16, changes=300, followers=12, applications=5, accounts=8)
)
LISTENERS = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where application_name in ('gateway log reader', 'gateway notifier')
"""


async def nothing_fails(_stage: Stage) -> None:
    """Leave everything alone."""


async def listeners_are_killed(stage: Stage) -> None:
    killed = 0
    murderer = await asyncpg.connect(stage.postgres.url)
    while not stage.ledger.full:
        killed += await murderer.fetchval(LISTENERS)
        await asyncio.sleep(1 if LONG else 0.2)
    await murderer.close()
    assert killed > 2


async def postgres_restarts_immediately(stage: Stage) -> None:
    for part in (0.2, 0.4, 0.6, 0.8) if LONG else (0.4,):
        await stage.reached(part)
        await stage.postgres.restart_immediately()
    assert stage.ledger.failures > 0


async def gateway_is_killed(stage: Stage) -> None:
    first, second = stage.gateways
    await stage.reached(0.3)
    await first.kill()
    if LONG:
        await stage.reached(0.5)
        await first.start()
        await stage.reached(0.7)
        await second.kill()
        await second.start()


async def transactions_commit_late(stage: Stage) -> None:
    """Take a transaction's id, and commit two seconds after others that took theirs later."""
    services, quiet = stage.world.services, stage.world.quiet
    while not stage.ledger.full:
        async with transaction(services.database):
            patch = {"answered": len(stage.ledger.answered)}
            await merge_into_metadata(services, PLATFORM, installation_id=quiet.id, patch=patch, expected_version=None)
            await asyncio.sleep(2)


FAULTS: list[Fault] = [
    nothing_fails,
    listeners_are_killed,
    postgres_restarts_immediately,
    gateway_is_killed,
    transactions_commit_late,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_each_follower_receives_exactly_its_changes_in_order_while(
    fault: Fault, postgres: Postgres, tmp_path: Path
) -> None:
    async with (
        populated(postgres.url, applications=SIZE.applications, accounts=SIZE.accounts) as world,
        running_gateways(postgres.url, count=2, directory=tmp_path) as gateways,
    ):
        began = time.monotonic()
        outcome = await storm(world, postgres=postgres, gateways=gateways, size=SIZE, fault=fault)
        seconds = time.monotonic() - began
    assert len(outcome.log) >= SIZE.changes
    told = sum(len(follower.received) for follower in outcome.followers)
    returns = sum(follower.returns for follower in outcome.followers)
    print(f"{len(outcome.log):,} events, {told:,} received, {returns} returns, {seconds:.1f} s")  # noqa: T201 - the long form's figures
