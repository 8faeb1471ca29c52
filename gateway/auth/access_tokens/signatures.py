"""Reads a token's header, and verifies its signature."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.auth.access_tokens.errors import Reason, TokenRefused

PublicKey = RSAKey | ECKey | OKPKey

_TYPES = frozenset({"at+jwt", "application/at+jwt"})
"""The `typ` of RFC 9068."""
_PLAIN_TYPES = frozenset({None, "jwt", "application/jwt"})
_MOST_HEADER_CHARACTERS = 4096

_UNREADABLE = (JoseError, ValueError, TypeError, AttributeError, RecursionError)
"""What the parser raises for text that is no token."""


class _Registry(jws.JWSRegistry):
    """The library's registry, with our limit of sizes and our algorithms."""

    max_header_length = _MOST_HEADER_CHARACTERS  # thumbprints and addresses take more than the library's limit

    def __init__(self, allowed: Collection[str]) -> None:
        super().__init__(strict_check_header=False)  # RFC 7515 has unknown parameters ignored
        self._allowed = allowed

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in self._allowed:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]  # without the library's warning that EdDSA has a narrower name


@dataclass(frozen=True, kw_only=True, slots=True)
class UnverifiedToken:
    """A token whose form is right. What it says is not to be trusted yet."""

    algorithm: str
    key_id: str | None
    _signature: jws.CompactSignature
    _registry: jws.JWSRegistry

    def claims(self, keys: Iterable[PublicKey]) -> dict[str, Any]:
        """Return the claims if one of the keys signed the token. Raises TokenRefused."""
        if not any(self._signed_with(key) for key in keys):
            raise TokenRefused(Reason.WRONG_SIGNATURE)
        try:
            claims = orjson.loads(self._signature.payload)
        except ValueError:
            raise TokenRefused(Reason.MALFORMED) from None
        if not isinstance(claims, dict):
            raise TokenRefused(Reason.MALFORMED)
        return claims

    def _signed_with(self, key: PublicKey) -> bool:
        try:
            return jws.validate_compact(self._signature, key, registry=self._registry)
        except _UNREADABLE:  # a key that is not for this algorithm, or not for signatures
            return False


def read_token(token: str, *, algorithms: Collection[str], only_access_tokens: bool) -> UnverifiedToken:
    """Read a token's header; the caller has checked the token's size. Raises TokenRefused.

    `only_access_tokens` refuses tokens whose `typ` is not that of RFC 9068.
    """
    registry = _Registry(algorithms)
    try:
        signature = jws.extract_compact(token.encode("ascii"), registry=registry)
        header = signature.headers()
        if "crit" in header:  # no extension is supported
            raise TokenRefused(Reason.CRITICAL_HEADER)
        if header["alg"] not in algorithms:
            raise TokenRefused(Reason.ALGORITHM_NOT_ALLOWED)
        registry.check_header(header)
    except _UNREADABLE:
        raise TokenRefused(Reason.MALFORMED) from None
    stated = header.get("typ")
    typ = None if stated is None else stated.lower()
    if typ not in _TYPES and (only_access_tokens or typ not in _PLAIN_TYPES):
        raise TokenRefused(Reason.WRONG_TYPE)
    return UnverifiedToken(algorithm=header["alg"], key_id=header.get("kid"), _signature=signature, _registry=registry)
