"""The role of the README that serves: what it may not do to the log of events, and how it prunes."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from gateway.domain.errors import Forbidden
from gateway.storage.database import Database, DriverConnection, open_database
from gateway.storage.events import prune_events, store_event_span
from gateway.storage.migrations import Migration, MigrationError, check_migrations, load_migrations, migrate
from tests.conftest import MakeDatabase, connected
from tests.postgres.event_rows import EventSource, whole_log, write
from tests.roles import OWNER, SERVER, as_role, with_session_names

KNOWN = load_migrations()
NEXT = Migration(number=KNOWN[-1].number + 1, name="later", digest="0" * 64, text="create table later (id integer)")
OPERATIONS = Path(__file__).parents[2] / ".github/docs/operations.md"
REFUSED = (
    "update installation_events set actor_label = 'somebody else'",
    "delete from installation_events",
    "truncate installation_events",
    "drop table installation_events",
    "alter table installation_events disable trigger all",
    "delete from event_log",
    "insert into schema_migrations values (9, 'false', '', now())",
    "update schema_migrations set digest = ''",
    "delete from schema_migrations",
    "create table made_by_the_server (id integer)",
    "create or replace function least_retention() returns interval language sql as 'select interval ''0'''",
    "alter function prune_installation_events reset search_path",
)
COUNT = "select count(*) from installation_events"


@pytest.fixture
async def server(database_url: str) -> AsyncIterator[DriverConnection]:
    async with connected(as_role(database_url, SERVER)) as connection:
        yield connection


async def refusals(server: DriverConnection) -> list[str]:
    """Return those of REFUSED that the role is refused."""
    refused = []
    for statement in REFUSED:
        try:
            async with server.transaction():
                await server.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            refused.append(statement)
    return refused


async def test_serving_role_appends_to_the_log_and_cannot_change_it(
    database: Database, server: DriverConnection
) -> None:
    await write(database, EventSource().next())
    assert await refusals(server) == [*REFUSED]
    async with server.transaction():
        await server.execute("insert into accounts values (gen_random_uuid(), 'Acme')")
        await server.execute("update event_log set epoch = epoch")
    assert await server.fetchval(COUNT) == 1


async def test_serving_role_prunes_what_is_old_enough(database: Database, server: DriverConnection) -> None:
    now, source = datetime.now(UTC), EventSource()
    await write(database, *(source.next(at=now - timedelta(days=age)) for age in (90, 40, 29, 0)))
    await whole_log(database)
    for young in (timedelta(0), timedelta(days=28)):
        with pytest.raises(Forbidden, match="Only the owner of the tables may remove events of the last 30 days"):
            await prune_events(server, older_than=now - young, limit=100)
    assert await prune_events(server, older_than=now - timedelta(days=60), limit=100) == 1
    slightly_ahead = now + timedelta(minutes=1) - timedelta(days=30)
    assert await prune_events(server, older_than=slightly_ahead, limit=100) == 1
    assert await server.fetchval(COUNT) == 2


async def test_serving_role_stores_and_removes_the_times_of_the_log(
    database: Database, server: DriverConnection
) -> None:
    long_ago, source = datetime.now(UTC) - timedelta(days=90), EventSource()
    await write(database, *(source.next(at=long_ago) for _ in range(4)))
    await whole_log(database)
    assert [await store_event_span(server, events=2) for _ in range(3)] == [True, True, False]
    assert await prune_events(server, older_than=long_ago + timedelta(days=1), limit=100) == 4
    assert not await store_event_span(server, events=2)
    assert await server.fetchval("select count(*) from event_spans") == 0


async def test_owner_prunes_everything_and_decides_what_the_server_prunes(
    database: Database, database_url: str, server: DriverConnection
) -> None:
    now, source = datetime.now(UTC), EventSource()
    await write(database, *(source.next(at=now - timedelta(days=age)) for age in (90, 40, 0)))
    await whole_log(database)
    (setting, revoke) = re.findall(
        r"`((?:create or replace|revoke execute on) function [^`]+)`", OPERATIONS.read_text()
    )
    async with connected(as_role(database_url, OWNER)) as owner:
        await owner.execute(setting)
        with pytest.raises(Forbidden, match="of the last 365 days"):
            await prune_events(server, older_than=now - timedelta(days=60), limit=100)
        await owner.execute(with_session_names(revoke))
        with pytest.raises(Forbidden, match="permission denied for function prune_installation_events"):
            await prune_events(server, older_than=now - timedelta(days=400), limit=100)
        assert await prune_events(owner, older_than=now, limit=100) == 2


async def test_tables_of_the_server_do_not_stand_in_for_the_log(database: Database, server: DriverConnection) -> None:
    old = datetime.now(UTC) - timedelta(days=90)
    await write(database, EventSource().next(at=old))
    await whole_log(database)
    await server.execute("create temporary table installation_events (like installation_events)")
    await server.execute("create temporary table event_log (like event_log)")
    await server.execute("set search_path = pg_temp, public")
    assert await prune_events(server, older_than=old + timedelta(days=1), limit=100) == 1


async def test_table_of_a_later_migration_is_granted_to_the_server(database_url: str, server: DriverConnection) -> None:
    assert await migrate(as_role(database_url, OWNER), migrations=[*KNOWN, NEXT]) == (NEXT,)
    await server.execute("insert into later values (1)")
    assert await server.fetchval("delete from later returning id") == 1


async def test_server_does_not_migrate_and_says_who_may(database_url: str) -> None:
    url = as_role(database_url, SERVER)
    assert await migrate(url) == ()
    advice = f"lacks {NEXT.number:04}_later. Run `gateway migrate` as the role that owns the tables; this one does not"
    with pytest.raises(MigrationError, match=advice):
        await migrate(url, migrations=[*KNOWN, NEXT])
    async with open_database(url) as database:
        with pytest.raises(MigrationError, match=advice):
            await check_migrations(database, migrations=[*KNOWN, NEXT])


async def test_server_says_on_an_empty_database_who_may_migrate(empty_database_url: str) -> None:
    async with connected(empty_database_url) as superuser:
        await superuser.execute("revoke create on schema public from public")
    with pytest.raises(MigrationError, match="as the role that owns the tables"):
        await migrate(as_role(empty_database_url, SERVER))


async def test_tables_that_exist_are_granted_by_the_sql_of_the_operations_page(make_database: MakeDatabase) -> None:
    (block,) = re.findall(r"^  ```sql\n(.*?)^  ```$", OPERATIONS.read_text(), re.MULTILINE | re.DOTALL)
    async with make_database(migrated=False) as url, connected(url) as superuser:
        await superuser.execute(f"alter schema public owner to {OWNER}; revoke create on schema public from public")
        await migrate(as_role(url, OWNER))
        await superuser.execute(with_session_names(block))
        async with connected(as_role(url, SERVER)) as server:
            assert await refusals(server) == [*REFUSED]
            assert await prune_events(server, older_than=datetime.now(UTC) - timedelta(days=90), limit=1) == 0
