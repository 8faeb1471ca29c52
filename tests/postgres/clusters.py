"""A Postgres with a standby: two clusters, of which the second takes over when it is promoted."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from gateway.storage.cluster import Cluster
from gateway.storage.database import DriverConnection
from gateway.storage.migrations import migrate
from tests.conftest import connected
from tests.postgres.event_rows import DEADLINE_SECONDS

START_SECONDS = 60
SETTINGS = {"fsync": "off"}
"""Commits survive the death of the server process, but not of the machine."""


@dataclass(frozen=True, kw_only=True)
class ReplicatedPostgres:
    """A migrated primary and its standby."""

    primary: Cluster
    standby: Cluster
    hosts: tuple[str, str] | None
    """The addresses at which they listen; None: at their sockets only."""

    @property
    def url(self) -> str:
        """The address of both, as DATABASE_URL has it: the gateway takes the one that can be written."""
        if self.hosts is not None:
            return f"postgresql://postgres@{','.join(self.hosts)}/postgres"
        hosts = ",".join(map(sockets_of, (self.primary, self.standby)))
        return f"postgresql://postgres@/postgres?host={hosts}&port=5432,5432"

    async def wait_for_standby(self) -> None:
        """Have each commit wait until the standby has it."""
        async with connected(address_of(self.primary)) as primary:
            await primary.execute("alter system set synchronous_standby_names = '*'")
            await primary.execute("select pg_reload_conf()")
            await _until(primary, "select count(*) > 0 from pg_stat_replication where sync_state = 'sync'")

    async def cut_off_standby(self) -> None:
        """Let the standby receive everything so far, and nothing from now on."""
        async with connected(address_of(self.primary)) as primary, connected(address_of(self.standby)) as standby:
            written = await primary.fetchval("select pg_current_wal_lsn()::text")
            await _until(standby, f"select pg_last_wal_replay_lsn() >= '{written}'")
            await standby.execute("alter system set primary_conninfo = ''")
            await standby.execute("select pg_reload_conf()")
            await _until(standby, "select count(*) = 0 from pg_stat_wal_receiver")

    async def fail_over(self) -> None:
        """Crash the primary, and promote the standby."""
        postmaster = self.primary.postmaster()
        assert postmaster is not None
        postmaster.process.send_signal(signal.SIGQUIT)
        await asyncio.to_thread(postmaster.process.wait, START_SECONDS)
        async with connected(address_of(self.standby)) as standby:
            assert await standby.fetchval("select pg_promote()")


@asynccontextmanager
async def replicated_postgres(
    directory: Path, *, hosts: tuple[str, str] | None = None
) -> AsyncIterator[ReplicatedPostgres]:
    primary, standby = (
        Cluster(data=directory / name, settings={**SETTINGS, "listen_addresses": host})
        for name, host in zip(("primary", "standby"), hosts or ("", ""), strict=True)
    )
    try:
        await asyncio.to_thread(primary.start, database="postgres")
        await migrate(address_of(primary))
        await asyncio.to_thread(_back_up, primary, to=standby.data)
        await asyncio.to_thread(standby._launch, deadline=time.monotonic() + START_SECONDS)
        async with asyncio.timeout(START_SECONDS):
            while not await _answers(standby):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        yield ReplicatedPostgres(primary=primary, standby=standby, hosts=hosts)
    finally:
        for cluster in (standby, primary):
            await asyncio.to_thread(cluster.stop)


def address_of(cluster: Cluster) -> str:
    return f"postgresql://postgres@/postgres?host={sockets_of(cluster)}&port=5432"


def sockets_of(cluster: Cluster) -> str:
    return str(cluster._socket_directory())


def _back_up(primary: Cluster, *, to: Path) -> None:
    to.mkdir(mode=0o700)
    owner = primary.data.stat()
    os.chown(to, owner.st_uid, owner.st_gid)
    program = [str(primary._programs / "pg_basebackup"), "-h", sockets_of(primary), "-p", "5432", "-U", "postgres"]
    primary._run([*program, "-D", str(to), "-R", "-X", "stream", "-c", "fast"])
    (to / "server.log").unlink(missing_ok=True)


async def _answers(cluster: Cluster) -> bool:
    with suppress(OSError, asyncpg.PostgresError):
        async with connected(address_of(cluster)):
            return True
    return False


async def _until(connection: DriverConnection, condition: str) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await connection.fetchval(condition):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
