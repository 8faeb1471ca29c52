"""Registered documents: texts by their digests."""

from collections.abc import Sequence
from datetime import datetime

from gateway.storage.database import Connection
from gateway.storage.queries import queries


async def insert_documents(connection: Connection, *, texts: Sequence[str], now: datetime) -> int:
    """Keep these texts; answer how many of them were new."""
    inserted: int = await queries.insert_documents(connection, texts=texts, now=now)
    return inserted


async def select_document(connection: Connection, *, digest: bytes) -> str | None:
    text: str | None = await queries.select_document(connection, digest=digest)
    return text
