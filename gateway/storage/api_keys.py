"""API keys: rows <-> domain objects."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from asyncpg import Record

from gateway.domain.api_keys import ApiKey
from gateway.domain.principals import PrincipalKind
from gateway.storage.database import Connection
from gateway.storage.queries import queries

KEYS_CHANNEL: Final = "api_keys"
"""The channel that a revocation notifies: gateways clear their caches of keys."""


def _api_key(row: Record) -> ApiKey:
    return ApiKey(**{**row, "kind": PrincipalKind(row["kind"])})


async def insert_api_key(connection: Connection, api_key: ApiKey) -> None:
    names = ("id", "prefix", "digest", "application_id", "account_id", "label", "created_at", "expires_at")
    values = {name: getattr(api_key, name) for name in names}
    await queries.insert_api_key.execute(connection, kind=api_key.kind.value, **values)


async def select_api_keys_by_prefix(connection: Connection, *, ids: list[str]) -> dict[str, ApiKey]:
    rows = await queries.select_api_keys_by_prefix.fetch(connection, prefixes=ids)
    return {row["prefix"]: _api_key(row) for row in rows}


async def select_api_keys(connection: Connection) -> list[ApiKey]:
    return [_api_key(row) for row in await queries.select_api_keys.fetch(connection)]


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
