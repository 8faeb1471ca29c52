"""Installations: rows <-> domain objects."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from asyncpg import Record

from gateway.domain.installations import (
    Installation,
    InstallationStatus,
    StatusReason,
    StatusReasonCode,
    Sync,
    SyncState,
    SyncStep,
)
from gateway.storage.database import Connection
from gateway.storage.queries import queries


def installation_of(row: Record) -> Installation:
    """Convert a row."""
    return Installation(
        id=row["id"],
        application_id=row["application_id"],
        account_id=row["account_id"],
        status=InstallationStatus(row["status"]),
        status_reason=StatusReason(
            code=StatusReasonCode(row["reason_code"]), message=row["reason_message"], since=row["reason_since"]
        ),
        metadata=row["metadata"],
        version=row["version"],
        sync=None if row["sync_state"] is None else _sync(row),
        connection_failures=row["connection_failures"],
        authorization_expires_at=row["authorization_expires_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        activated_at=row["activated_at"],
    )


def _sync(row: Record) -> Sync:
    return Sync(
        state=SyncState(row["sync_state"]),
        started_at=row["sync_started_at"],
        finished_at=row["sync_finished_at"],
        expires_at=row["sync_expires_at"],
        lease_seconds=row["sync_lease_seconds"],
        steps=tuple(SyncStep(**step) for step in orjson.loads(row["sync_steps"])),
        message=row["sync_message"],
    )


def _mutable_columns(installation: Installation) -> dict[str, Any]:
    """Return the id, and every column that an update sets."""
    sync = installation.sync
    return {
        "id": installation.id,
        "status": installation.status.value,
        "reason_code": installation.status_reason.code.value,
        "reason_message": installation.status_reason.message,
        "reason_since": installation.status_reason.since,
        "metadata": installation.metadata,
        "version": installation.version,
        "sync_state": sync and sync.state.value,
        "sync_started_at": sync and sync.started_at,
        "sync_finished_at": sync and sync.finished_at,
        "sync_expires_at": sync and sync.expires_at,
        "sync_lease_seconds": sync and sync.lease_seconds,
        "sync_steps": sync and orjson.dumps(sync.steps).decode(),
        "sync_message": sync and sync.message,
        "connection_failures": installation.connection_failures,
        "authorization_expires_at": installation.authorization_expires_at,
        "updated_at": installation.updated_at,
        "activated_at": installation.activated_at,
    }


async def select_installations(connection: Connection, *, ids: Sequence[UUID]) -> dict[UUID, Installation]:
    rows = await queries.select_installations_by_id.fetch(connection, ids=list(ids))
    return {row["id"]: installation_of(row) for row in rows}


async def select_installations_by_pair(
    connection: Connection, *, pairs: Sequence[tuple[UUID, UUID]]
) -> dict[tuple[UUID, UUID], Installation]:
    """Read the installations of these pairs (application, account)."""
    rows = await queries.select_installations_by_pair.fetch(
        connection,
        application_ids=[application_id for application_id, _ in pairs],
        account_ids=[account_id for _, account_id in pairs],
    )
    return {(row["application_id"], row["account_id"]): installation_of(row) for row in rows}


async def lock_installation(connection: Connection, *, installation_id: UUID) -> Installation | None:
    row = await queries.lock_installation.fetch_row(connection, id=installation_id)
    return None if row is None else installation_of(row)


async def lock_installation_by_pair(
    connection: Connection, *, application_id: UUID, account_id: UUID
) -> Installation | None:
    row = await queries.lock_installation_by_pair.fetch_row(
        connection, application_id=application_id, account_id=account_id
    )
    return None if row is None else installation_of(row)


async def lock_due_installations(connection: Connection, *, now: datetime, limit: int) -> list[Installation]:
    """Lock up to `limit` installations with an expired authorization or lease; those that are locked are skipped."""
    rows = await queries.lock_due_installations.fetch(connection, now=now, limit=limit)
    return [installation_of(row) for row in rows]


async def insert_installation(connection: Connection, installation: Installation) -> bool:
    """Store a new installation; False where the application is already installed for the account."""
    inserted = await queries.insert_installation.fetch_value(
        connection,
        application_id=installation.application_id,
        account_id=installation.account_id,
        created_at=installation.created_at,
        **_mutable_columns(installation),
    )
    return bool(inserted)


async def update_installation(connection: Connection, installation: Installation) -> None:
    await queries.update_installation.execute(connection, **_mutable_columns(installation))


async def delete_installation(connection: Connection, *, installation_id: UUID) -> None:
    await queries.delete_installation.execute(connection, id=installation_id)
