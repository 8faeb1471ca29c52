"""The outer form of a token, and whether a key of its issuer signed it."""

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
"""What RFC 9068 has as `typ`."""
_PLAIN_TYPES = frozenset({None, "jwt", "application/jwt"})
_MOST_HEADER_CHARACTERS = 4096

_UNREADABLE = (JoseError, ValueError, TypeError, AttributeError, RecursionError)
"""All that texts which are no tokens make of a parser."""


class _Registry(jws.JWSRegistry):
    """The library's own, with the sizes and the algorithms of access tokens."""

    max_header_length = _MOST_HEADER_CHARACTERS  # thumbprints and addresses take more than the library expects

    def __init__(self, allowed: Collection[str]) -> None:
        super().__init__(strict_check_header=False)  # RFC 7515 has unknown parameters ignored
        self._allowed = allowed

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in self._allowed:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]  # without the library's warning at EdDSA, which has a narrower name by now


@dataclass(frozen=True, kw_only=True, slots=True)
class UnverifiedToken:
    """A token that has the form of one; nothing that it says is known to be so."""

    algorithm: str
    key_id: str | None
    _signature: jws.CompactSignature
    _registry: jws.JWSRegistry

    def claims(self, keys: Iterable[PublicKey]) -> dict[str, Any]:
        """Return what the token says, once a key proves to have signed it. Raises TokenRefused."""
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
    """Read the outer form of a token, whose size was checked before.

    `only_access_tokens` refuses those that do not say, by their `typ`, that they are what RFC 9068 describes.
    Raises TokenRefused.
    """
    registry = _Registry(algorithms)
    try:
        signature = jws.extract_compact(token.encode("ascii"), registry=registry)
        header = signature.headers()
        if "crit" in header:  # none of the extensions is known here
            raise TokenRefused(Reason.CRITICAL_HEADER)
        if header["alg"] not in algorithms:
            raise TokenRefused(Reason.ALGORITHM_NOT_ALLOWED)
        registry.check_header(header)
    except _UNREADABLE:
        raise TokenRefused(Reason.MALFORMED) from None
    _require_type(header.get("typ"), only_access_tokens=only_access_tokens)
    return UnverifiedToken(algorithm=header["alg"], key_id=header.get("kid"), _signature=signature, _registry=registry)


def _require_type(stated: str | None, *, only_access_tokens: bool) -> None:
    kind = None if stated is None else stated.lower()
    if kind not in _TYPES and (only_access_tokens or kind not in _PLAIN_TYPES):
        raise TokenRefused(Reason.WRONG_TYPE)
