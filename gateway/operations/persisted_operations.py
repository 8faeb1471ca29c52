"""Persisted operations: documents that a request names by their SHA-256, and the policy of which documents may run."""

import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from gateway.domain.errors import BadUserInput, Forbidden, GatewayError
from gateway.domain.principals import Principal, PrincipalKind
from gateway.domain.text import sha256_of
from gateway.execution.documents import FairCache
from gateway.operations.quotas import RateLimiter
from gateway.operations.requests import GraphQLRequest

_LOOK_UP: Final = 50
_USUAL_SIZE: Final = 4_000
"""In bytes: the kept documents take at most this, times their number."""
_DIGEST: Final = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


class DocumentNotFound(GatewayError):
    """No document is known by this digest."""

    code = "PERSISTED_DOCUMENT_NOT_FOUND"


class PersistedQueryNotSupported(GatewayError):
    """No automatic persisted queries are kept. Clients that know the code send whole documents from then on."""

    code = "PERSISTED_QUERY_NOT_SUPPORTED"


class UntrustedDocument(Forbidden):
    """The document is not registered."""

    def __init__(self) -> None:
        super().__init__("Only registered documents are run here: send the documentId of one.")


async def _find_none(_digest: bytes) -> str | None:
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentPolicy:
    """Which documents are run."""

    find: Callable[[bytes], Awaitable[str | None]] = _find_none
    """Finds a registered document by its SHA-256."""
    trusted_only: bool = False
    """Whether a document has to be registered."""
    excepted: Collection[PrincipalKind] = frozenset()
    """The kinds of callers that may send any document."""
    introspection_excepted: bool = False
    """Whether any caller may send a document that only introspects."""
    automatic: int = 0
    """How many automatic persisted queries are kept; none where only trusted documents run."""


class OperationResolver:
    """Finds the document of a request; asked where the request names one, or where only trusted ones are run."""

    def __init__(self, policy: DocumentPolicy, rate_limiter: RateLimiter) -> None:
        self._policy = policy
        self._rate_limiter = rate_limiter
        self._automatic: FairCache[bytes, str] = FairCache(0 if policy.trusted_only else policy.automatic * _USUAL_SIZE)

    async def resolve(self, request: GraphQLRequest, caller: Principal | None) -> tuple[str, bool]:
        """Return the document's text, and whether it may run as it is; otherwise it may only introspect.

        Raises:
            DocumentNotFound: No document has the digest.
            PersistedQueryNotSupported: The same, where clients have no way to make the digest known.
            UntrustedDocument: The document has to be registered.
            BadUserInput: The digest is malformed, or is not that of the document.
            RateLimited: Looking a document up costs as much as a row.
        """
        digest = _named_digest(request)
        if request.query is None:
            text = None
            if digest is not None:
                text = self._automatic.get(digest) or await self._find_registered(digest, caller)
            if text is not None:
                return text, True
            if request.document_id is not None:
                raise DocumentNotFound("No document is known by this documentId.")
            # The messages that clients of automatic persisted queries recognise.
            if self._automatic.max_size or self._policy.trusted_only:
                raise DocumentNotFound("PersistedQueryNotFound")
            raise PersistedQueryNotSupported("PersistedQueryNotSupported")
        if digest is not None and digest != sha256_of(request.query):
            raise BadUserInput("The document's SHA-256 is not the one that the request names.")
        if await self._is_trusted(request.query, caller):
            return request.query, True
        if not self._policy.introspection_excepted:
            raise UntrustedDocument
        return request.query, False

    def keep_automatic(self, request: GraphQLRequest, caller: Principal | None) -> None:
        """Keep the document of an automatic persisted query, which is valid and was paid for."""
        if request.query is None or not self._automatic.max_size or (digest := _named_digest(request)) is None:
            return
        size = max(_USUAL_SIZE, len(request.query.encode(errors="surrogatepass")))
        self._automatic.put(digest, request.query, size=size, owner=caller and caller.bounds)

    async def _is_trusted(self, text: str, caller: Principal | None) -> bool:
        policy = self._policy
        if not policy.trusted_only or (caller is not None and caller.kind in policy.excepted):
            return True
        return await self._find_registered(sha256_of(text), caller) is not None

    async def _find_registered(self, digest: bytes, caller: Principal | None) -> str | None:
        await self._rate_limiter.charge(caller, cost=_LOOK_UP)
        return await self._policy.find(digest)


def _named_digest(request: GraphQLRequest) -> bytes | None:
    """Return the digest that the request names; None where it names none, or an id that is not a digest."""
    named: Any = request.document_id
    if named is None:
        persisted = request.extensions.get("persistedQuery")
        if persisted is None:
            return None
        if not isinstance(persisted, dict) or persisted.get("version") != 1:
            raise BadUserInput("The extension persistedQuery has to be an object, of version 1.")
        named = persisted.get("sha256Hash")
    found = _DIGEST.fullmatch(named) if isinstance(named, str) else None
    return bytes.fromhex(found[1]) if found else None
