"""Trusted documents: what the operator has registered, for clients to name by its SHA-256."""

from collections import OrderedDict
from collections.abc import Sequence

from gateway.storage.database import read, transaction
from gateway.storage.documents import insert_documents, select_document
from gateway.usecases.services import Services

MOST_REMEMBERED = 1_000


async def register_documents(services: Services, *, texts: Sequence[str]) -> int:
    """Register documents, whose sense was checked; answer how many were new."""
    async with transaction(services.database) as connection:
        return await insert_documents(connection, texts=sorted(set(texts)), now=services.now())


class RegisteredDocuments:
    """The registered documents, of which those lately asked for are remembered: a digest never changes its text."""

    def __init__(self, services: Services) -> None:
        self._gateway = services
        self._remembered: OrderedDict[bytes, str] = OrderedDict()

    async def find(self, digest: bytes) -> str | None:
        """Return the text with this SHA-256. Raises Unavailable and TimedOut."""
        if digest in self._remembered:
            self._remembered.move_to_end(digest)
            return self._remembered[digest]
        text = await read(self._gateway.database, select_document, digest=digest)
        if text is not None:
            self._remembered[digest] = text
            if len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return text
