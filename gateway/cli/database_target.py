"""Where a command finds its database: DATABASE_URL, or the embedded Postgres in a data directory."""

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
from gateway.storage.reachability import DatabaseNotUsable, require_reachable
from gateway.usecases.services import Services


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseTarget:
    """A database that a command works on; `directory` is set for the embedded one."""

    url: str
    directory: Path | None


def data_directory(data: Path | None) -> Path | None:
    """Decide where the embedded database lies; None where there is another one. --data outweighs DATABASE_URL."""
    if data is not None:
        return data.expanduser()
    if os.environ.get("DATABASE_URL"):
        return None
    return platformdirs.user_data_path("installations-gateway")


@asynccontextmanager
async def place(data: Path | None, *, exclusive: bool = False) -> AsyncIterator[DatabaseTarget]:
    """Find the database, and start the embedded one if it does not run yet."""
    directory = data_directory(data)
    if directory is None:
        yield DatabaseTarget(url=await _given_url(), directory=None)
        return
    async with embedded_postgres(directory, exclusive=exclusive) as url:
        yield DatabaseTarget(url=url, directory=directory)


async def _given_url() -> str:
    url = os.environ["DATABASE_URL"].strip()
    try:
        await require_reachable(url)
    except DatabaseNotUsable as error:
        raise DatabaseNotUsable(f"the database of DATABASE_URL cannot be used: {error}") from error
    return url


@asynccontextmanager
async def opened_gateway(found: DatabaseTarget, settings: Settings) -> AsyncIterator[Services]:
    """Open the use cases on a database whose migrations are well; the embedded one is migrated first."""
    if found.directory is not None:
        await migrate(found.url)
    database = open_database(found.url, pool_size=2, application_name="gateway command")
    async with database:
        await check_migrations(database)
        # Running gateways hear of the change by their own poll.
        yield Services(database=database, notify=lambda: None, failure_limit=settings.failure_limit)
