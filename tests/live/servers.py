"""Real processes for the tests of the live feed: a Postgres that can crash, and gateways that can be killed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from gateway.storage.cluster import Cluster
from tests.gateway_process import GatewayCommand
from tests.live.observed import run_observed
from tests.serving import NO_CERTIFICATES

START_SECONDS = 60
SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "150"}
"""Commits survive the death of the server process, but not of the machine."""


class Postgres:
    """A Postgres server of one test."""

    def __init__(self, cluster: Cluster, *, url: str) -> None:
        self._cluster = cluster
        self.url = url

    @property
    def postmaster(self) -> psutil.Process:
        found = self._cluster.postmaster()
        assert found is not None
        return found.process

    async def restart_immediately(self) -> None:
        """Restart as `pg_ctl restart -m immediate` does: without closing sessions or writing buffers."""
        postmaster = self.postmaster
        postmaster.send_signal(signal.SIGQUIT)
        await asyncio.to_thread(postmaster.wait, START_SECONDS)
        await asyncio.to_thread(self._cluster.start, database="postgres")


@contextmanager
def running_postgres(directory: Path) -> Iterator[Postgres]:
    cluster = Cluster(data=directory / "postgres", settings=SETTINGS)
    postmaster = cluster.start(database="postgres")
    try:
        yield Postgres(cluster, url=f"postgresql://postgres@/postgres?host={postmaster.socket_directory}&port=5432")
    finally:
        cluster.stop()


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Memory and counts of a gateway process."""

    subscribers: int
    catchups: int
    connections: int
    tasks: int
    memory: int
    """In bytes."""


class GatewayProcess:
    """One `gateway serve`; it can be started again on the same address."""

    def __init__(self, *, database_url: str, log: Path, settings: dict[str, str]) -> None:
        self.url = ""
        self._database_url = database_url
        self._log = log
        self._settings = settings
        self._port = 0
        self._process: GatewayCommand | None = None

    async def start(self) -> None:
        """Start, and return when it is ready to serve."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        self._process = GatewayCommand(
            ["serve", "--port", str(self._port)],
            environment={**inherited, **self._settings, "DATABASE_URL": self._database_url},
            errors=self._log,
            run=run_observed,
        )
        async with asyncio.timeout(START_SECONDS):
            self.url = await asyncio.to_thread(self._announced_address)
            self._port = urlsplit(self.url).port or 0
            await self._be_ready()

    async def kill(self) -> None:
        """End it as `kill -9` does."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> int:
        """Let it drain, and return its exit status."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: int) -> int:
        self._running().send_signal(number)
        return await asyncio.to_thread(self._running().wait, START_SECONDS)

    async def stop(self) -> None:
        if self._process is not None:
            await self.kill()

    async def observed(self) -> Observed:
        """Return its memory and counts, after a garbage collection."""
        async with httpx.AsyncClient(verify=NO_CERTIFICATES) as http:
            return Observed(**(await http.get(self.url.replace("/graphql", "/observed"), timeout=30)).json())

    @property
    def pid(self) -> int:
        return self._running().pid

    def cpu_seconds(self) -> float:
        """Return its CPU time so far."""
        times = psutil.Process(self.pid).cpu_times()
        worked: float = times.user + times.system
        return worked

    def _running(self) -> GatewayCommand:
        assert self._process is not None
        return self._process

    def _announced_address(self) -> str:
        for line in self._running().output:
            if "/graphql" in line:
                return line.split()[0]
        raise AssertionError(f"the gateway did not start:\n{self._log.read_text()}")

    async def _be_ready(self) -> None:
        async with httpx.AsyncClient(verify=NO_CERTIFICATES) as http:
            while not await _is_ready(http, self.url.replace("/graphql", "/readyz")):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)


async def _is_ready(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@asynccontextmanager
async def running_gateways(
    database_url: str, *, count: int, directory: Path, **settings: str
) -> AsyncIterator[list[GatewayProcess]]:
    """Run several gateways on one database."""
    gateways = [
        GatewayProcess(database_url=database_url, log=directory / f"gateway-{number}.log", settings=settings)
        for number in range(count)
    ]
    try:
        await asyncio.gather(*(services.start() for services in gateways))
        yield gateways
    finally:
        await asyncio.gather(*(services.stop() for services in gateways))
