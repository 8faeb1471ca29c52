"""Applications and accounts: rows <-> domain objects."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from asyncpg import Record

from gateway.domain.cursors import Keyset
from gateway.domain.installations import Account, Application, AuthorizationMethod
from gateway.domain.pages import ApplicationFilter, Window
from gateway.storage.database import Connection
from gateway.storage.queries import Flags, queries


def _application(row: Record) -> Application:
    method = AuthorizationMethod(row["authorization_method"])
    return Application(**{**row, "categories": tuple(row["categories"]), "authorization_method": method})


def _mutable_columns(application: Application) -> dict[str, Any]:
    """Return the id, and every column that an update sets."""
    names = ("id", "name", "description", "logo_url", "requires_configuration", "listed", "updated_at")
    return {**{name: getattr(application, name) for name in names}, "categories": list(application.categories)}


async def insert_application(connection: Connection, application: Application) -> bool:
    """Insert an application; False where its slug, or its id, is taken."""
    inserted = await queries.insert_application.fetch_value(
        connection,
        slug=application.slug,
        authorization_method=application.authorization_method.value,
        created_at=application.created_at,
        **_mutable_columns(application),
    )
    return inserted is not None


async def lock_application(connection: Connection, *, application_id: UUID) -> Application | None:
    row = await queries.lock_application.fetch_row(connection, id=application_id)
    return None if row is None else _application(row)


async def update_application(connection: Connection, application: Application) -> None:
    await queries.update_application.execute(connection, **_mutable_columns(application))


async def select_applications(connection: Connection, *, ids: Sequence[UUID]) -> dict[UUID, Application]:
    rows = await queries.select_applications_by_id.fetch(connection, ids=list(ids))
    return {row["id"]: _application(row) for row in rows}


async def select_applications_by_slug(connection: Connection, *, slugs: Sequence[str]) -> list[Application]:
    rows = await queries.select_applications_by_slug.fetch(connection, slugs=list(slugs))
    return [_application(row) for row in rows]


def _filter_flags(matching: ApplicationFilter) -> Flags:
    flags: Flags = {}
    if matching.listed_or_id is not None:
        flags["listed_or_id"] = {"visible_id": matching.listed_or_id}
    if matching.listed_or_installed_for is not None:
        flags["listed_or_installed"] = {"account_id": matching.listed_or_installed_for}
    if matching.search is not None:
        escaped = matching.search.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
        flags["search"] = {"pattern": f"%{escaped}%"}
    if matching.category is not None:
        flags["category"] = {"category": matching.category}
    if matching.authorization_method is not None:
        flags["authorization_method"] = {"authorization_method": matching.authorization_method.value}
    if matching.listed is not None:
        flags["listed"] = {"listed": matching.listed}
    return flags


async def select_application_page(
    connection: Connection, *, matching: ApplicationFilter, window: Window[Keyset]
) -> list[Application]:
    """Read one row more than the window's size, in its direction."""
    flags = _filter_flags(matching)
    if window.after is not None:
        flags["above"] = {"above_name": window.after.value, "above_id": window.after.id}
    if window.before is not None:
        flags["below"] = {"below_name": window.before.value, "below_id": window.before.id}
    flags["descending" if window.backward else "ascending"] = {"limit": window.size + 1}
    query, values = queries.with_flags("select_application_page", flags)
    return [_application(row) for row in await query.fetch(connection, **values)]


async def count_applications(connection: Connection, *, matching: ApplicationFilter) -> int:
    query, values = queries.with_flags("count_applications", _filter_flags(matching))
    count: int = await query.fetch_value(connection, **values)
    return count


async def upsert_account(connection: Connection, account: Account) -> None:
    """Insert an account, or rename the one with this id."""
    await queries.upsert_account.execute(connection, id=account.id, name=account.name)


async def select_accounts(connection: Connection, *, ids: Sequence[UUID]) -> dict[UUID, Account]:
    rows = await queries.select_accounts_by_id.fetch(connection, ids=list(ids))
    return {row["id"]: Account(id=row["id"], name=row["name"]) for row in rows}
