"""API keys: rows and objects."""

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
"""What a revocation notifies: whoever remembers keys forgets them."""


def _api_key(row: Record) -> ApiKey:
    return ApiKey(**{**row, "kind": PrincipalKind(row["kind"])})


async def insert_api_key(connection: Connection, api_key: ApiKey) -> None:
    await queries.insert_api_key(
        connection,
        id=api_key.id,
        prefix=api_key.prefix,
        digest=api_key.digest,
        kind=api_key.kind.value,
        application_id=api_key.application_id,
        account_id=api_key.account_id,
        label=api_key.label,
        created_at=api_key.created_at,
        expires_at=api_key.expires_at,
    )


async def select_api_key(connection: Connection, *, prefix: str) -> ApiKey | None:
    row = await queries.select_api_key_by_prefix(connection, prefix=prefix)
    return row and _api_key(row)


async def select_api_keys(connection: Connection) -> list[ApiKey]:
    return [_api_key(row) async for row in queries.select_api_keys(connection)]


async def revoke_api_key(connection: Connection, *, api_key_id: UUID, now: datetime) -> ApiKey | None:
    """Revoke a key, and have every gateway forget what it remembers of keys."""
    row = await queries.revoke_api_key(connection, id=api_key_id, now=now)
    await queries.announce_api_keys(connection)
    return row and _api_key(row)


async def select_ended_api_keys(connection: Connection, *, ids: Collection[UUID], now: datetime) -> set[UUID]:
    """Tell which of these keys open nothing any more."""
    rows = queries.select_ended_api_keys(connection, ids=list(ids), now=now)
    return {row["id"] async for row in rows}


async def touch_api_keys(connection: Connection, *, used: Mapping[UUID, datetime]) -> None:
    """Note when keys were last used; never to an earlier time."""
    await queries.touch_api_keys(connection, ids=list(used), times=list(used.values()))
