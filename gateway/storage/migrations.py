"""Migrations: `sql/migrations/NNNN_name.sql`, applied in order, forward only, never edited once landed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from gateway.storage.database import Connection, Database, read
from gateway.storage.sql_files import sql_directory

OLDEST_POSTGRES = 14
_LOCK = 0x6761746577617900
"""The advisory lock ("gateway" in ASCII) that lets one process at a time migrate."""


class MigrationError(Exception):
    """The database does not fit this gateway's migrations; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Migration:
    """A migration's file."""

    number: int
    name: str
    digest: str
    text: str


def load_migrations() -> tuple[Migration, ...]:
    """Read the files in their order."""
    found = sorted((sql_directory() / "migrations").glob("*.sql"))
    return tuple(_read(path) for path in found)


async def migrate(url: str, *, migrations: Sequence[Migration] | None = None) -> tuple[Migration, ...]:
    """Apply the missing migrations, each in its own transaction; return them. Raise MigrationError."""
    known = load_migrations() if migrations is None else migrations
    database = await asyncpg.connect(
        url,
        target_session_attrs=SessionAttribute.read_write,
        server_settings={"application_name": "gateway migrate", "timezone": "UTC"},
    )
    try:
        await database.execute("select pg_advisory_lock($1)", _LOCK)
        missing = _missing(known, applied=await _select_applied(database))
        if missing and not await _may_migrate(database):
            raise _behind(missing, may_migrate=False)
        if missing:
            await database.execute(_TABLE)
        for migration in missing:
            async with database.transaction():
                await database.execute(migration.text)
                await database.execute(_INSERT, migration.number, migration.name, migration.digest)
        return missing
    finally:
        await database.close()


async def check_migrations(database: Database, *, migrations: Sequence[Migration] | None = None) -> None:
    """Raise MigrationError unless the database has exactly this gateway's migrations."""
    known = load_migrations() if migrations is None else migrations
    missing = _missing(known, applied=await read(database, _select_applied))
    if missing:
        raise _behind(missing, may_migrate=await read(database, _may_migrate))


def _behind(missing: Sequence[Migration], *, may_migrate: bool) -> MigrationError:
    names = ", ".join(f"{each.number:04}_{each.name}" for each in missing)
    advice = (
        "Run `gateway migrate`, or serve with --migrate."
        if may_migrate
        else "Run `gateway migrate` as the role that owns the tables; this one does not own them."
    )
    return MigrationError(f"The database is behind: it lacks {names}. {advice}")


async def _may_migrate(database: Connection) -> bool:
    """Return whether this role owns the tables, or may make them where there are none."""
    may: bool = await database.fetchval(_MAY_MIGRATE)
    return may


_MAY_MIGRATE = """
select coalesce(
    (select pg_has_role(relowner, 'usage') from pg_class where oid = to_regclass('schema_migrations')),
    has_schema_privilege(current_schema(), 'create')
)
"""
_TABLE = """
create table if not exists schema_migrations (
    number integer primary key,
    name text not null,
    digest text not null,
    applied_at timestamptz not null default now()
)
"""
_INSERT = "insert into schema_migrations (number, name, digest) values ($1, $2, $3)"


def _read(path: Path) -> Migration:
    number, _, name = path.stem.partition("_")
    text = path.read_text(encoding="utf-8")
    return Migration(number=int(number), name=name, digest=hashlib.sha256(text.encode()).hexdigest(), text=text)


async def _select_applied(database: Connection) -> list[asyncpg.Record]:
    version = database.get_server_version()
    if version.major < OLDEST_POSTGRES:
        raise MigrationError(
            f"The database runs on Postgres {version.major}; the gateway needs {OLDEST_POSTGRES} or later."
        )
    if not await database.fetchval("select to_regclass('schema_migrations') is not null"):
        return []
    return await database.fetch("select number, name, digest from schema_migrations order by number")


def _missing(known: Sequence[Migration], *, applied: Sequence[asyncpg.Record]) -> tuple[Migration, ...]:
    """Return the migrations to apply, after a check that the applied ones are the same."""
    by_number = {migration.number: migration for migration in known}
    for row in applied:
        migration = by_number.pop(row["number"], None)
        if migration is None:
            raise MigrationError(
                f"The database is ahead: it has {row['number']:04}_{row['name']}, which this gateway does not know. "
                "Run the gateway version that applied it, or a later one.",
            )
        if migration.digest != row["digest"]:
            raise MigrationError(
                f"Migration {migration.number:04}_{migration.name} is not what was applied to this database. "
                "A landed migration is never edited: restore the file, and put the change into a new one.",
            )
    return tuple(by_number.values())
