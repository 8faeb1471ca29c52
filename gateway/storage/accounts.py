"""Accounts: rows and objects."""

from collections.abc import Sequence
from uuid import UUID

from gateway.domain.installations import Account
from gateway.storage.database import Connection
from gateway.storage.queries import queries


async def upsert_account(connection: Connection, account: Account) -> None:
    """Store an account, or rename the one with this id."""
    await queries.upsert_account(connection, id=account.id, name=account.name)


async def select_accounts(connection: Connection, *, ids: Sequence[UUID]) -> dict[UUID, Account]:
    rows = queries.select_accounts_by_id(connection, ids=list(ids))
    return {row["id"]: Account(id=row["id"], name=row["name"]) async for row in rows}
