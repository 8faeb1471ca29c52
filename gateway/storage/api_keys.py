"""API keys: rows <-> domain objects."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from asyncpg import Record

from gateway.domain.api_keys import ApiKey
from gateway.domain.cursors import Keyset
from gateway.domain.pages import ApiKeyFilter, Window
from gateway.domain.principals import PrincipalKind
from gateway.storage.database import Connection
from gateway.storage.queries import Flags, given_flags, queries, window_flags

KEYS_CHANNEL: Final = "api_keys"
"""The channel that a revocation notifies: gateways clear their caches of keys."""


def _api_key(row: Record) -> ApiKey:
    return ApiKey(**{**row, "kind": PrincipalKind(row["kind"])})


async def insert_api_key(connection: Connection, api_key: ApiKey) -> None:
    columns = queries.insert_api_key.columns_of(api_key)
    await queries.insert_api_key.execute(connection, **columns)


async def select_api_keys_by_prefix(connection: Connection, *, ids: list[str]) -> dict[str, ApiKey]:
    rows = await queries.select_api_keys_by_prefix.fetch(connection, prefixes=ids)
    return {row["prefix"]: _api_key(row) for row in rows}


async def select_api_keys_by_id(connection: Connection, *, ids: Sequence[UUID]) -> dict[UUID, ApiKey]:
    rows = await queries.select_api_keys_by_id.fetch(connection, ids=list(ids))
    return {row["id"]: _api_key(row) for row in rows}


async def select_api_keys(connection: Connection) -> list[ApiKey]:
    return [_api_key(row) for row in await queries.select_api_keys.fetch(connection)]


def _filter_flags(matching: ApiKeyFilter, *, now: datetime) -> Flags:
    flags = given_flags(
        ("kind", "kind", matching.kind and matching.kind.value),
        ("application", "application_id", matching.application_id),
        ("account", "account_id", matching.account_id),
    )
    if matching.in_force is not None:
        flags["in_force" if matching.in_force else "ended"] = {"now": now}
    return flags


async def select_api_key_page(
    connection: Connection, *, matching: ApiKeyFilter, window: Window[Keyset], now: datetime
) -> list[ApiKey]:
    """Read one row more than the window's size, in its direction; the list begins with the newest key."""
    filtered = _filter_flags(matching, now=now)
    query, values = queries.with_flags("select_api_key_page", filtered | window_flags(window, descending=True))
    fetch = query.fetch_with_custom_plan if filtered else query.fetch
    return [_api_key(row) for row in await fetch(connection, **values)]


async def count_api_keys(connection: Connection, *, matching: ApiKeyFilter, now: datetime) -> int:
    filtered = _filter_flags(matching, now=now)
    query, values = queries.with_flags("count_api_keys", filtered)
    fetch = query.fetch_with_custom_plan if filtered else query.fetch
    [(count,)] = await fetch(connection, **values)
    return int(count)


async def revoke_api_key(connection: Connection, *, api_key_id: UUID, now: datetime) -> ApiKey | None:
    """Revoke a key, and notify every gateway; None where there is no such key."""
    row = await queries.revoke_api_key.fetch_row(connection, id=api_key_id, now=now)
    await queries.notify_api_keys.execute(connection)
    return None if row is None else _api_key(row)


async def select_ended_api_keys(connection: Connection, *, ids: Collection[UUID], now: datetime) -> set[UUID]:
    """Return which of these keys are revoked or expired."""
    rows = await queries.select_ended_api_keys.fetch(connection, ids=list(ids), now=now)
    return {row["id"] for row in rows}


async def touch_api_keys(connection: Connection, *, used: Mapping[UUID, datetime]) -> None:
    """Store when keys were last used; an earlier time than the stored one is ignored."""
    await queries.touch_api_keys.execute(connection, ids=list(used), times=list(used.values()))
