"""Where a command finds its database: at DATABASE_URL, or in the embedded Postgres of a data directory."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from gateway.settings import Settings
from gateway.storage.database import open_database
from gateway.storage.embedded import embedded_postgres
from gateway.storage.migrations import check_migrations, migrate
from gateway.storage.postgres_user import DATA_OF_ROOT
from gateway.storage.reachability import DatabaseNotUsable, require_reachable
from gateway.usecases.services import Services, utc_now
from gateway.wiring import build_services


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseTarget:
    """The database of a command; `directory` is the embedded Postgres' data directory, and None without one."""

    url: str
    directory: Path | None


@asynccontextmanager
async def database_target(data: Path | None, *, exclusive: bool = False) -> AsyncIterator[DatabaseTarget]:
    """Return the database to work on; start the embedded Postgres unless it runs. --data outweighs DATABASE_URL."""
    url = os.environ.get("DATABASE_URL", "")
    if url and data is None:
        try:
            await require_reachable(url.strip())
        except DatabaseNotUsable as error:
            raise DatabaseNotUsable(f"the database of DATABASE_URL cannot be used: {error}") from error
        yield DatabaseTarget(url=url.strip(), directory=None)
        return
    directory = data_directory_of(data)
    async with embedded_postgres(directory, exclusive=exclusive) as embedded_url:
        yield DatabaseTarget(url=embedded_url, directory=directory)


def data_directory_of(data: Path | None) -> Path:
    """Return the directory of --data, or the default one, which Postgres' user can reach also as root."""
    if data is not None:
        return data.expanduser()
    return DATA_OF_ROOT if os.geteuid() == 0 else platformdirs.user_data_path("installations-gateway")


@asynccontextmanager
async def open_services(target: DatabaseTarget, settings: Settings) -> AsyncIterator[Services]:
    """Open the use cases on a database that is fully migrated; the embedded one is migrated first."""
    if target.directory is not None:
        await migrate(target.url)
    async with open_database(target.url, pool_size=2, application_name="gateway command") as database:
        await check_migrations(database)
        # No notification is sent: running gateways find new events by polling.
        yield build_services(settings, database=database, now=utc_now, notify=lambda: None)
