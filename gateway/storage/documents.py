"""Trusted documents, by the SHA-256 of their text."""

from collections.abc import Sequence
from datetime import datetime

from gateway.storage.database import Connection
from gateway.storage.queries import queries


async def insert_documents(connection: Connection, *, texts: Sequence[str], now: datetime) -> int:
    """Insert these texts; return how many were new."""
    inserted: int = await queries.insert_documents.fetch_value(connection, texts=texts, now=now)
    return inserted


async def select_document(connection: Connection, *, digest: bytes) -> str | None:
    text: str | None = await queries.select_document.fetch_value(connection, digest=digest)
    return text
