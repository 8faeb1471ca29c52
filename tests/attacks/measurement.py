"""What an attack costs: processor time of the gateway and of Postgres, memory of the gateway, delays of others."""

import asyncio
import contextlib
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psutil

from tests.attacks.probe import QUERY_PAUSE
from tests.live.servers import GatewayProcess

MEGABYTE = 1_000_000
CPU_SECONDS, HEALTH_SECONDS, QUERY_SECONDS = 1.0, 0.25, 1.0
BURST_SECONDS, CPU_PER_SECOND = 5.0, 0.1
"""An attack that goes on for longer than what may be spent at once comes back in may take what an account's rate allows
from then on: the README says 6 seconds of CPU a minute."""
PEAK_BYTES, KEPT_BYTES = 150 * MEGABYTE, 20 * MEGABYTE
"""A caller may leave 64 MB unread."""
SETTLING_SECONDS = 10.0
"""The gateway has to have ended what an attack began, and given back the memory, so long after it."""
QUIET_PERCENT, QUIET_WITHIN_SECONDS = 25.0, 40.0
"""Of all processors: one of two that is half busy; a test with load beside this one takes some 40 seconds."""
_STEP = 0.1
_STILL = 0.01
"""Of a processor's seconds in one step, beside what the probe takes: so much the periodic work of Postgres takes."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Seconds of processor time, seconds of delay, and bytes."""

    gateway: float
    """Without what it does for the probe, which is 0.1 s in each second."""
    postgres: float
    health: float
    """The slowest answer of /healthz."""
    query: float
    """The slowest answer to another caller's query."""
    answered: int
    """How many queries of another caller were answered."""
    failures: list[str]
    """The first bytes of the answers of another caller that are not as they should be."""
    peak: int
    """By how much the memory grew at most."""
    kept: int
    """By how much it had grown in the end."""
    seconds: float
    outcomes: frozenset[str]

    def excesses(self) -> set[str]:
        """Return the names of the bounds that do not hold."""
        bounds = {
            "gateway": self.gateway < CPU_SECONDS + CPU_PER_SECOND * max(self.seconds - BURST_SECONDS, 0),
            "postgres": self.postgres < CPU_SECONDS,
            "health": self.health < HEALTH_SECONDS,
            "query": self.answered > 0 and self.query < QUERY_SECONDS,
            "failures": not self.failures,
            "peak": self.peak < PEAK_BYTES,
            "kept": self.kept < KEPT_BYTES,
        }
        return {name for name, holds in bounds.items() if not holds}

    def __str__(self) -> str:
        return (
            f"{self.gateway:.2f} s + Postgres {self.postgres:.2f} s, healthz {self.health * 1000:.0f} ms,"
            f" another's query {self.query * 1000:.0f} ms, memory +{self.peak / MEGABYTE:.0f} MB and then"
            f" {self.kept / MEGABYTE:+.0f} MB, {self.seconds:.1f} s, {' '.join(sorted(self.outcomes))}"
            f"{''.join(self.failures)}"
        )


class Meter:
    """Measures one gateway and its Postgres."""

    probe_seconds = 0.0
    """What `probe_cost` returned; it is subtracted."""

    def __init__(self, gateway: GatewayProcess, postmaster: psutil.Process, probe: asyncio.subprocess.Process) -> None:
        self._gateway = gateway
        self._process = psutil.Process(gateway.pid)
        self._postmaster = postmaster
        self._probe = probe

    async def probe_cost(self) -> float:
        """Return the gateway's processor time for one query of the probe, and for the health checks beside it.

        It is the least of three seconds: noise only adds, and what is subtracted too much would hide an attack's work.
        """
        costs: list[float] = []
        await self._period()
        for _ in range(3):
            before = self._gateway.cpu_seconds()
            await asyncio.sleep(1)
            costs.append((self._gateway.cpu_seconds() - before) / (await self._period())["query"]["count"])
        return min(costs)

    @asynccontextmanager
    async def measuring(self) -> AsyncIterator["Measurement"]:
        """Measure what happens in the context and what the gateway does about it afterwards."""
        before = (await self._gateway.observed()).memory
        await self._period()
        cpu, postgres, started = self._gateway.cpu_seconds(), self._postgres_seconds(), time.perf_counter()
        measurement = Measurement()
        with self._peak() as peak:
            yield measurement
            await self._settled()
            period = await self._period()
            seconds = time.perf_counter() - started
            gateway, postgres = self._gateway.cpu_seconds() - cpu, self._postgres_seconds() - postgres
            gateway -= self.probe_seconds * period["query"]["count"]
            kept = await self._kept(before)
        measurement.measured = Measured(
            gateway=gateway, postgres=postgres, seconds=seconds, peak=max(peak) - before, kept=kept,
            health=period["health"]["slowest"], query=period["query"]["slowest"], answered=period["query"]["count"],
            failures=period["health"]["failures"] + period["query"]["failures"], outcomes=measurement.outcomes,
        )  # fmt: skip

    async def _period(self) -> Any:
        assert self._probe.stdin is not None
        assert self._probe.stdout is not None
        self._probe.stdin.write(b"\n")
        return json.loads(await self._probe.stdout.readline())

    async def _settled(self) -> None:
        """Wait until the gateway and Postgres do no more than without an attack."""
        deadline = time.monotonic() + SETTLING_SECONDS
        used = self._gateway.cpu_seconds() + self._postgres_seconds()
        while time.monotonic() < deadline:
            await asyncio.sleep(_STEP)
            before, used = used, self._gateway.cpu_seconds() + self._postgres_seconds()
            if used - before <= self.probe_seconds * _STEP / QUERY_PAUSE + _STILL:
                return

    async def _kept(self, before: int) -> int:
        deadline = time.monotonic() + SETTLING_SECONDS
        while (kept := (await self._gateway.observed()).memory - before) > KEPT_BYTES and time.monotonic() < deadline:  # noqa: ASYNC110 - another process
            await asyncio.sleep(_STEP)
        return kept

    def _postgres_seconds(self) -> float:
        """Return the processor time of all processes of the server, ended ones included."""
        times = self._postmaster.cpu_times()
        used: float = times.user + times.system + times.children_user + times.children_system
        for process in self._postmaster.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                used += times.user + times.system
        return used

    @contextmanager
    def _peak(self) -> Iterator[list[int]]:
        sampled, stopped = [self._process.memory_info().rss], threading.Event()

        def sample() -> None:
            while not stopped.wait(0.01):
                sampled[:] = [max(sampled[0], self._process.memory_info().rss)]

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            yield sampled
        finally:
            stopped.set()
            sampler.join()


async def quiet_machine() -> None:
    """Wait until the machine's processors are mostly idle; not for longer than the other tests may take."""
    deadline = time.monotonic() + QUIET_WITHIN_SECONDS
    psutil.cpu_percent()
    while time.monotonic() < deadline:
        await asyncio.sleep(1)
        if psutil.cpu_percent() < QUIET_PERCENT:
            return


@dataclass(kw_only=True)
class Measurement:
    """The outcomes, set in the context, and what was measured, after it."""

    outcomes: frozenset[str] = frozenset()
    measured: Measured | None = None


@asynccontextmanager
async def metering(gateway: GatewayProcess, postmaster: psutil.Process, *, key: str) -> AsyncIterator[Meter]:
    """Start the probe, which asks with this key, and end it."""
    address = urlsplit(gateway.url)
    probe = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.attacks.probe", str(address.port), str(gateway.pid), key,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Meter(gateway, postmaster, probe)
    finally:
        probe.kill()
        await probe.wait()
