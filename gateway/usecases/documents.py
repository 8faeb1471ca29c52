"""Trusted documents: registered by the operator, and named by clients with their SHA-256."""

from collections.abc import Sequence

from cachetools import LRUCache

from gateway.storage.database import read, transaction
from gateway.storage.queries import queries
from gateway.usecases.services import Services

MOST_CACHED_DOCUMENTS = 1_000


async def register_documents(services: Services, *, texts: Sequence[str]) -> int:
    """Store documents that were validated; return how many were new."""
    async with transaction(services.database) as connection:
        new: int = await queries.insert_documents.fetch_value(connection, texts=sorted(set(texts)), now=services.now())
    return new


class RegisteredDocuments:
    """The registered documents; those used recently are cached for good, since a digest never changes its text."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._cache: LRUCache[bytes, str] = LRUCache(MOST_CACHED_DOCUMENTS)

    async def find(self, digest: bytes) -> str | None:
        """Return the text with this SHA-256. Raises Unavailable and TimedOut."""
        text = self._cache.get(digest)
        if text is None:
            text = await read(self._services.database, queries.select_document.fetch_value, digest=digest)
            if text is not None:
                self._cache[digest] = text
        return text
