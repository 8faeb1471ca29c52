"""Installations: rows and objects."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

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


def _sync(row: Record) -> Sync | None:
    if row["sync_state"] is None:
        return None
    return Sync(
        state=SyncState(row["sync_state"]),
        started_at=row["sync_started_at"],
        finished_at=row["sync_finished_at"],
        expires_at=row["sync_expires_at"],
        lease_seconds=row["sync_lease_seconds"],
        steps=tuple(SyncStep(**step) for step in json.loads(row["sync_steps"])),
        message=row["sync_message"],
    )


def installation_of(row: Record) -> Installation:
    """Make an installation of its row."""
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
        sync=_sync(row),
        connection_failures=row["connection_failures"],
        authorization_expires_at=row["authorization_expires_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        activated_at=row["activated_at"],
    )


def _sync_columns(sync: Sync | None) -> dict[str, Any]:
    steps = sync and json.dumps([{"name": step.name, "done": step.done, "total": step.total} for step in sync.steps])
    return {
        "sync_state": sync and sync.state.value,
        "sync_started_at": sync and sync.started_at,
        "sync_finished_at": sync and sync.finished_at,
        "sync_expires_at": sync and sync.expires_at,
        "sync_lease_seconds": sync and sync.lease_seconds,
        "sync_steps": steps,
        "sync_message": sync and sync.message,
    }


def _mutable_columns(installation: Installation) -> dict[str, Any]:
    return {
        "id": installation.id,
        "status": installation.status.value,
        "reason_code": installation.status_reason.code.value,
        "reason_message": installation.status_reason.message,
        "reason_since": installation.status_reason.since,
        "metadata": installation.metadata,
        "version": installation.version,
        "connection_failures": installation.connection_failures,
        "authorization_expires_at": installation.authorization_expires_at,
        "updated_at": installation.updated_at,
        "activated_at": installation.activated_at,
        **_sync_columns(installation.sync),
    }


async def select_installations(connection: Connection, *, ids: Sequence[UUID]) -> dict[UUID, Installation]:
    rows = queries.select_installations_by_id(connection, ids=list(ids))
    return {row["id"]: installation_of(row) async for row in rows}


async def select_installations_by_pair(
    connection: Connection, *, ties: Sequence[tuple[UUID, UUID]]
) -> dict[tuple[UUID, UUID], Installation]:
    """Find the living installations of these pairs of application and account."""
    rows = queries.select_installations_by_pair(
        connection,
        application_ids=[application_id for application_id, _ in ties],
        account_ids=[account_id for _, account_id in ties],
    )
    return {(row["application_id"], row["account_id"]): installation_of(row) async for row in rows}


async def lock_installation(connection: Connection, *, installation_id: UUID) -> Installation | None:
    row = await queries.lock_installation(connection, id=installation_id)
    return row and installation_of(row)


async def lock_installation_by_pair(
    connection: Connection, *, application_id: UUID, account_id: UUID
) -> Installation | None:
    row = await queries.lock_installation_by_pair(connection, application_id=application_id, account_id=account_id)
    return row and installation_of(row)


async def lock_due_installations(connection: Connection, *, now: datetime, limit: int) -> list[Installation]:
    """Take some whose authorization or lease has run out, and that nobody else has in hand."""
    rows = queries.lock_due_installations(connection, now=now, limit=limit)
    return [installation_of(row) async for row in rows]


async def insert_installation(connection: Connection, installation: Installation) -> bool:
    """Store a new installation; False where the application is already installed for the account."""
    inserted = await queries.insert_installation(
        connection,
        application_id=installation.application_id,
        account_id=installation.account_id,
        created_at=installation.created_at,
        **_mutable_columns(installation),
    )
    return bool(inserted)


async def update_installation(connection: Connection, installation: Installation) -> None:
    await queries.update_installation(connection, **_mutable_columns(installation))


async def delete_installation(connection: Connection, *, installation_id: UUID) -> None:
    await queries.delete_installation(connection, id=installation_id)
