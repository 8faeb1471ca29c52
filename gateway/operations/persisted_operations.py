"""From what a request names to the operation that it may run: a document's text, or the digest of a known one."""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from gateway.domain.errors import BadUserInput, Forbidden, GatewayError
from gateway.domain.principals import Principal, PrincipalKind
from gateway.execution.documents import Operation
from gateway.execution.errors import refuse
from gateway.operations.pipeline import Engine
from gateway.operations.requests import GraphQLRequest

_DIGEST: Final = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


class DocumentNotFound(GatewayError):
    """No document is known by this digest."""

    code = "PERSISTED_DOCUMENT_NOT_FOUND"


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
    """Whose documents need not be."""
    introspection_excepted: bool = False
    """Whether introspection need not be, whoever asks for it."""
    automatic: int = 0
    """So many documents are remembered that came along with their digests; none where they have to be trusted."""


class OperationResolver:
    """Takes operations in."""

    def __init__(self, engine: Engine, rules: DocumentPolicy) -> None:
        self._engine = engine
        self._rules = rules
        self._automatic: OrderedDict[bytes, str] = OrderedDict()

    async def operation(self, request: GraphQLRequest, caller: Principal | None) -> Operation:
        """Return the operation that a request asks for, parsed and validated. Raises Refusal."""
        try:
            text, trusted = await self._text(request, caller)
        except GatewayError as error:
            refuse(error)
        operation = await self._engine.prepared(text, request.operation_name, caller=caller)
        if not trusted and not operation.introspects_only:
            _refuse_untrusted()
        return operation

    async def _text(self, request: GraphQLRequest, caller: Principal | None) -> tuple[str, bool]:
        """Return the document's text, and whether it may run as it is; where not, it may still be introspection."""
        digest = _digest_asked(request)
        if request.query is None:
            return await self._found(request, digest, caller), True
        if digest is not None and digest != _digest_of(request.query):
            raise BadUserInput("The document's SHA-256 is another than the request says.")
        if not await self._must_be_registered(request.query, caller):
            if digest is not None:
                self._remember(digest, request.query)
            return request.query, True
        if not self._rules.introspection_excepted:
            _refuse_untrusted()
        return request.query, False

    async def _found(self, request: GraphQLRequest, digest: bytes | None, caller: Principal | None) -> str:
        text = None if digest is None else self._automatic.get(digest) or await self._registered(digest, caller)
        if text is not None:
            return text
        if request.document_id is None:  # clients of automatic persisted queries go by this word
            raise DocumentNotFound("PersistedQueryNotFound")
        raise DocumentNotFound("No document is known by this documentId.")

    async def _registered(self, digest: bytes, caller: Principal | None) -> str | None:
        await self._engine.charge(caller, cost=1)
        return await self._rules.find(digest)

    async def _must_be_registered(self, text: str, caller: Principal | None) -> bool:
        """Tell whether this document is to be refused for not being registered."""
        rules = self._rules
        if not rules.trusted_only or (caller is not None and caller.kind in rules.excepted):
            return False
        return await self._registered(_digest_of(text), caller) is None

    def _remember(self, digest: bytes, text: str) -> None:
        if self._rules.automatic and not self._rules.trusted_only:
            self._automatic[digest] = text
            self._automatic.move_to_end(digest)
            if len(self._automatic) > self._rules.automatic:
                self._automatic.popitem(last=False)


def _refuse_untrusted() -> None:
    refuse(Forbidden("Only registered documents are run here: send the documentId of one."))


def _digest_of(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def _digest_asked(request: GraphQLRequest) -> bytes | None:
    """Read by which digest the document is named. None: by none, or by an id that cannot be one."""
    if request.document_id is not None:
        named: Any = request.document_id
    else:
        persisted = (request.extensions or {}).get("persistedQuery")
        if persisted is None:
            return None
        if not isinstance(persisted, dict) or persisted.get("version") != 1:
            raise BadUserInput("The extension persistedQuery has to be an object, of version 1.")
        named = persisted.get("sha256Hash")
    found = _DIGEST.fullmatch(named) if isinstance(named, str) else None
    return bytes.fromhex(found[1]) if found else None
