import asyncio
from dataclasses import replace

import asyncpg
import pytest

from gateway.storage.database import Database, open_database
from gateway.storage.migrations import (
    Migration,
    MigrationError,
    check_migrations,
    load_migrations,
    migrate,
)

KNOWN = load_migrations()
NEXT = Migration(number=KNOWN[-1].number + 1, name="later", digest="0" * 64, text="create table later (id integer)")


async def test_concurrent_migrations_apply_each_once(empty_database_url: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_database_url) for _ in range(4)))
    assert sorted(applied) == [(), (), (), KNOWN]


async def test_a_migrated_database_passes(database: Database) -> None:
    await check_migrations(database)


async def test_an_empty_database_is_behind(empty_database_url: str) -> None:
    async with open_database(empty_database_url) as database:
        with pytest.raises(MigrationError, match=r"it lacks 0001_installations.*`gateway migrate`"):
            await check_migrations(database)


async def test_a_database_without_the_last_migration_is_behind(database: Database) -> None:
    with pytest.raises(MigrationError, match=f"it lacks {NEXT.number:04}_later"):
        await check_migrations(database, migrations=[*KNOWN, NEXT])


async def test_a_database_with_an_unknown_migration_is_ahead(database: Database, database_url: str) -> None:
    assert await migrate(database_url, migrations=[*KNOWN, NEXT]) == (NEXT,)
    with pytest.raises(MigrationError, match=f"it has {NEXT.number:04}_later"):
        await check_migrations(database)
    with pytest.raises(MigrationError, match="The database is ahead"):
        await migrate(database_url)


async def test_an_edited_migration_is_noticed(database: Database, database_url: str) -> None:
    edited = [replace(KNOWN[0], digest="edited"), *KNOWN[1:]]
    with pytest.raises(MigrationError, match="0001_installations is not what was applied"):
        await check_migrations(database, migrations=edited)
    with pytest.raises(MigrationError, match="is not what was applied"):
        await migrate(database_url, migrations=edited)


async def test_a_migration_that_fails_leaves_nothing(database: Database, database_url: str) -> None:
    broken = replace(NEXT, text="create table half (id integer); select no_such_function()")
    with pytest.raises(asyncpg.UndefinedFunctionError):
        await migrate(database_url, migrations=[*KNOWN, broken])
    with pytest.raises(MigrationError, match="The database is behind"):
        await check_migrations(database, migrations=[*KNOWN, broken])
    assert await migrate(database_url, migrations=[*KNOWN, NEXT]) == (NEXT,)


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [migration.number for migration in KNOWN] == list(range(1, len(KNOWN) + 1))
