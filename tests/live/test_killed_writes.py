"""Changes that many writers make together, while the gateway or its session is killed: nothing is done by half.

What was answered is stored, what was refused is not, and only what was lost may be either.
"""

import asyncio
import os
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import connected, run_on
from tests.live.dataset import Dataset, populated
from tests.live.recorded_writes import RecordingWriter, check_writes, make_writers
from tests.live.servers import GatewayProcess, Postgres, running_gateways

SEED = 11
DEADLINE_SECONDS = 120
WRITERS = 40
SLOW_COMMITS = """
create function take_time() returns trigger language plpgsql as
$$ begin perform pg_sleep(0.002 * random()); return null; end $$;
create constraint trigger takes_time after insert on installation_events
deferrable initially deferred for each row execute function take_time();
alter database postgres set client_connection_check_interval = '1ms';
"""
"""A commit takes up to 2 ms for each event, and is given up when its gateway has gone: Postgres otherwise finishes what
it was sent, so that nothing would be lost that was answered too early."""
COMMITTING = "select pid from pg_stat_activity where usename = 'killed' and wait_event = 'PgSleep'"
SESSIONS = "select count(*) from pg_stat_activity where usename = 'killed'"


@dataclass(frozen=True, kw_only=True)
class Round:
    """Writers at work, until their gateway is killed."""

    postgres: Postgres
    gateway: GatewayProcess
    dataset: Dataset
    writers: Sequence[RecordingWriter]
    chance: random.Random

    async def run(self, *, session_signal: int | None) -> None:
        """Write, kill sessions about to commit until changes fail by that (None: none), and kill the gateway."""
        async with asyncio.timeout(DEADLINE_SECONDS), asyncio.TaskGroup() as group:
            tasks = [group.create_task(writer.write(self.gateway.url)) for writer in self.writers]
            await self._progress()
            before = self.count("unavailable")
            while session_signal is not None and self.count("unavailable") == before:
                await self._kill_session(session_signal)
                await self._progress()
            await self.gateway.kill()
            for task in tasks:
                task.cancel()
        async with connected(self.postgres.url) as admin:
            while await admin.fetchval(SESSIONS):  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.002)
        await check_writes(self.dataset, self.writers)

    def count(self, outcome: str) -> int:
        """Return how many changes are "stored", "refused", "unavailable" or "unknown" so far."""
        return sum(getattr(write, outcome) for writer in self.writers for write in writer.writes)

    async def _progress(self) -> None:
        """Return at a random moment after some more changes."""
        target = self.count("stored") + self.chance.randrange(20, 120)
        while self.count("stored") < target:  # noqa: ASYNC110 - the records are plain lists
            await asyncio.sleep(0.002)
        await asyncio.sleep(self.chance.uniform(0, 0.02))

    async def _kill_session(self, number: int) -> None:
        async with connected(self.postgres.url) as admin:
            while (pid := await admin.fetchval(COMMITTING)) is None:
                pass
        os.kill(pid, number)


@pytest.mark.long
async def test_nothing_is_done_by_half(postgres: Postgres, tmp_path: Path) -> None:
    await run_on(postgres.url, "create role killed superuser login")
    url = postgres.url.replace("postgres@", "killed@", 1)
    async with (
        populated(postgres.url, applications=2, accounts=4, requires_configuration=True) as dataset,
        running_gateways(url, count=1, directory=tmp_path) as (gateway,),
    ):
        writers = await make_writers(dataset, count=WRITERS, seed=SEED)
        each = Round(postgres=postgres, gateway=gateway, dataset=dataset, writers=writers, chance=random.Random(SEED))
        await each.run(session_signal=None)
        await run_on(postgres.url, SLOW_COMMITS)
        for session_signal in (None, None, signal.SIGTERM, signal.SIGKILL):
            await gateway.start()
            await each.run(session_signal=session_signal)
    counts = {outcome: each.count(outcome) for outcome in ("stored", "refused", "unavailable", "unknown")}
    print(counts)  # noqa: T201 - the long form's figures
    assert all(counts.values())
