"""Benchmark of changes that are made in batches, and of each alone: `python -m tests.benchmarks.writes [--fsync]`.

Both change the same rows of an embedded Postgres, in turns, without GraphQL. Printed are the gateway's CPU for each
change, changes a second and how long one takes: by many callers of many rows, by many callers of 50 rows with the
version that they expect, and by one caller.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from uuid import UUID

import uvloop

from gateway.domain.errors import ActionNotAllowed, VersionConflict
from gateway.domain.installations import DeactivationReason, Installation
from gateway.storage.embedded import embedded_postgres
from gateway.usecases.installations import (
    activate_installation,
    authorize_installation,
    deactivate_installation,
    replace_metadata,
)
from gateway.usecases.services import Services
from tests.conftest import connected
from tests.live.dataset import PLATFORM, populated

_ROUNDS: Final = 9
_SECONDS: Final = 1.0
_MORE = """
insert into accounts select gen_random_uuid(), 'Company ' || number from generate_series(1, 2500) as number;
insert into installations
select
    gen_random_uuid(), applications.id, accounts.id, 'ACTIVATED', 'AUTHORIZATION_COMPLETED', null, now(), '{}', 1, null,
    null, null, null, null, null, null, 0, null, now(), now(), null
from applications cross join accounts
on conflict do nothing;
"""
"""50,000 further rows: with few, Postgres reads all of them."""
Write = Callable[[], Awaitable[object]]


@dataclass(kw_only=True)
class Writer:
    """Changes rows, and knows their versions as it last saw them."""

    services: Services
    rows: list[Installation]
    versions: dict[UUID, int] = field(default_factory=dict)

    async def write_metadata(self) -> None:
        """Replace 300 bytes of metadata."""
        row = random.choice(self.rows)
        value = {"note": "x" * 270, "number": random.random()}
        await replace_metadata(self.services, PLATFORM, installation_id=row.id, metadata=value, expected_version=None)

    async def activate(self) -> None:
        """Activate a row with the version that is expected; make it ready for that where it is not."""
        row = random.choice(self.rows)
        version = self.versions.get(row.id, 1)
        try:
            after = await activate_installation(
                self.services, PLATFORM, installation_id=row.id, expected_version=version
            )
        except VersionConflict as conflict:
            self.versions[row.id] = conflict.installation.version
            return
        except ActionNotAllowed:
            after = await authorize_installation(
                self.services, PLATFORM, application_id=row.application_id, account_id=row.account_id, expires_at=None
            )
        else:
            if after.version == version:  # it was active
                after = await deactivate_installation(
                    self.services,
                    PLATFORM,
                    installation_id=row.id,
                    reason=DeactivationReason.DEACTIVATED,
                    message=None,
                    expected_version=None,
                )
        self.versions[row.id] = after.version


@dataclass(kw_only=True)
class Figures:
    cpu: list[float] = field(default_factory=list)
    """In microseconds a change."""
    rate: list[float] = field(default_factory=list)
    median: list[float] = field(default_factory=list)
    """In milliseconds."""
    slow: list[float] = field(default_factory=list)
    """The 99th percentile, in milliseconds."""

    async def take(self, write: Write, *, callers: int) -> None:
        """Write for a second."""
        taken: list[float] = []
        began, cpu = time.perf_counter(), time.process_time()

        async def call() -> None:
            while (start := time.perf_counter()) < began + _SECONDS:
                await write()
                taken.append(time.perf_counter() - start)

        await asyncio.gather(*(call() for _ in range(callers)))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        self.cpu.append(1e6 * cpu / len(taken))
        self.rate.append(len(taken) / seconds)
        self.median.append(1e3 * statistics.median(taken))
        self.slow.append(1e3 * statistics.quantiles(taken, n=100)[-1])

    def __str__(self) -> str:
        cpu, rate, median, slow = map(statistics.median, (self.cpu, self.rate, self.median, self.slow))
        return f"{cpu:5.0f} us of CPU, {rate:6,.0f} a second, p50 {median:5.2f} ms, p99 {slow:5.2f} ms"


async def compare(
    name: str, work: Callable[[Writer], Write], services: Services, *, rows: list[Installation], callers: int
) -> None:
    """Print the medians of both, and the ratio of their rates."""
    ways = {"in batches": services, "each alone": replace(services, batch_writes=False)}
    both = {way: (Writer(services=each, rows=rows), Figures()) for way, each in ways.items()}
    for number in range(_ROUNDS):
        for writer, figures in list(both.values())[:: 1 if number % 2 else -1]:
            await figures.take(work(writer), callers=callers)
    for way, (_, figures) in both.items():
        print(f"{name:<44} {way}: {figures}")  # noqa: T201 - printing is what a benchmark is for
    ratios = [a / b for a, b in zip(*(figures.rate for _, figures in both.values()), strict=True)]
    print(f"{'':<44} ratio {statistics.median(ratios):.2f}", flush=True)  # noqa: T201


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="gateway-") as directory:
        settings = {} if "--fsync" in sys.argv else {"fsync": "off"}
        async with (
            embedded_postgres(Path(directory), exclusive=True, settings=settings) as url,
            populated(url, applications=20, accounts=50) as made,
        ):
            services, rows = made.services, made.installations
            async with connected(url) as held:  # without the statement timeout of the gateway's connections
                await held.execute(_MORE, timeout=600)
                await held.execute("vacuum analyze", timeout=600)
            for callers in (32, 1):
                name = f"metadata of 1,000 rows by {callers} callers"
                await compare(name, lambda writer: writer.write_metadata, services, rows=rows, callers=callers)
            name = "activations of 50 rows by 64 callers"
            await compare(name, lambda writer: writer.activate, services, rows=rows[::20], callers=64)


if __name__ == "__main__":
    uvloop.run(main())
