"""Accounts: rows <-> domain objects."""

from collections.abc import Sequence
from uuid import UUID

from gateway.domain.installations import Account
from gateway.storage.database import Connection
from gateway.storage.queries import queries


async def upsert_account(connection: Connection, account: Account) -> None:
    """Insert an account, or rename the one with this id."""
    await queries.upsert_account.execute(connection, id=account.id, name=account.name)


async def select_accounts(connection: Connection, *, ids: Sequence[UUID]) -> dict[UUID, Account]:
    rows = await queries.select_accounts_by_id.fetch(connection, ids=list(ids))
    return {row["id"]: Account(id=row["id"], name=row["name"]) for row in rows}
