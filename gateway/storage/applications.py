"""Applications and accounts: rows <-> domain objects."""

from collections.abc import Sequence
from typing import Final, Literal
from uuid import UUID

from asyncpg import Record

from gateway.domain.cursors import Keyset
from gateway.domain.installations import Account, Application, AuthorizationMethod
from gateway.domain.pages import AccountFilter, ApplicationFilter, Window
from gateway.storage.database import Connection
from gateway.storage.queries import Flags, given_flags, queries, window_flags

_LENGTH_OF_PART: Final = 3
"""Of those that `parts_of_name` returns."""


def _application(row: Record) -> Application:
    method = AuthorizationMethod(row["authorization_method"])
    return Application(**{**row, "categories": tuple(row["categories"]), "authorization_method": method})


async def insert_application(connection: Connection, application: Application) -> bool:
    """Insert an application; False where its slug, or its id, is taken."""
    columns = queries.insert_application.columns_of(application)
    return await queries.insert_application.fetch_value(connection, **columns) is not None


async def lock_application(connection: Connection, *, application_id: UUID) -> Application | None:
    row = await queries.lock_application.fetch_row(connection, id=application_id)
    return None if row is None else _application(row)


async def update_application(connection: Connection, application: Application) -> None:
    columns = queries.update_application.columns_of(application)
    await queries.update_application.execute(connection, **columns)


async def select_applications(connection: Connection, *, ids: Sequence[UUID]) -> dict[UUID, Application]:
    rows = await queries.select_applications_by_id.fetch(connection, ids=list(ids))
    return {row["id"]: _application(row) for row in rows}


async def select_applications_by_slug(connection: Connection, *, slugs: Sequence[str]) -> list[Application]:
    rows = await queries.select_applications_by_slug.fetch(connection, slugs=list(slugs))
    return [_application(row) for row in rows]


def _filter_flags(matching: ApplicationFilter) -> Flags:
    method, pattern = matching.authorization_method, None
    if matching.search is not None:
        escaped = matching.search.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
        pattern = f"%{escaped}%"
    return given_flags(
        ("listed_or_id", "visible_id", matching.listed_or_id),
        ("listed_or_installed", "account_id", matching.listed_or_installed_for),
        ("search", "pattern", pattern),
        ("category", "category", matching.category),
        ("authorization_method", "authorization_method", method and method.value),
        ("listed", "listed", matching.listed),
    )


async def select_application_page(
    connection: Connection, *, matching: ApplicationFilter, window: Window[Keyset]
) -> list[Application]:
    """Read one row more than the window's size, in its direction."""
    query, values = queries.with_flags("select_application_page", _filter_flags(matching) | window_flags(window))
    return [_application(row) for row in await query.fetch(connection, **values)]


async def count_applications(connection: Connection, *, matching: ApplicationFilter) -> int:
    query, values = queries.with_flags("count_applications", _filter_flags(matching))
    count: int = await query.fetch_value(connection, **values)
    return count


async def select_accounts(connection: Connection, *, ids: Sequence[UUID]) -> dict[UUID, Account]:
    rows = await queries.select_accounts_by_id.fetch(connection, ids=list(ids))
    return {row["id"]: Account(id=row["id"], name=row["name"]) for row in rows}


def _account_flags(matching: AccountFilter) -> Flags:
    return given_flags(
        ("id", "id", matching.id),
        ("installed", "application_id", matching.installed_for),
        ("search", "search", matching.search),
    )


def _search_flags(search: str | None) -> Flags:
    """Return the flag of the index on the parts of names, for a text that is as long as a part."""
    return {"search_by_parts": {}} if search is not None and len(search) >= _LENGTH_OF_PART else {}


async def select_account_page(
    connection: Connection, *, matching: AccountFilter, window: Window[Keyset]
) -> list[Account]:
    """Read one row more than the window's size, in its direction."""
    filtered = _account_flags(matching) | _search_flags(matching.search)
    query, values = queries.with_flags("select_account_page", filtered | window_flags(window))
    fetch = query.fetch_with_custom_plan if filtered else query.fetch
    rows = await fetch(connection, **values)
    return [Account(id=row["id"], name=row["name"]) for row in rows]


async def count_accounts(connection: Connection, *, matching: AccountFilter) -> int:
    flags = _account_flags(matching)
    query, values = queries.with_flags("count_accounts", flags)
    fetch = query.fetch_with_custom_plan if flags else query.fetch
    [(count,)] = await fetch(connection, **values)
    return int(count)


async def select_ids_by_name(
    connection: Connection,
    noun: Literal["application", "account"],
    *,
    search: str,
    application_ids: frozenset[UUID] | None,
    account_ids: frozenset[UUID] | None,
    limit: int,
) -> frozenset[UUID]:
    """Read the ids of up to `limit` applications or accounts whose name contains a text, in any case.

    They are of these ids, and have an installation with one of the others.
    """
    flags = given_flags(("applications", "application_ids", application_ids), ("accounts", "account_ids", account_ids))
    if noun == "account":
        query, values = queries.with_flags("select_account_ids_by_name", flags | _search_flags(search))
    else:
        query, values = queries.with_flags("select_application_ids_by_name", flags)
    rows = await query.fetch_with_custom_plan(connection, search=search, limit=limit, **values)
    return frozenset(row["id"] for row in rows)
