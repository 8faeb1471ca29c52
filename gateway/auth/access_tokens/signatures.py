"""Reads a token's header, and verifies its signature."""

from collections.abc import Collection, Iterable
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.auth.access_tokens.errors import Reason, TokenRefused
from gateway.auth.access_tokens.options import ALGORITHMS

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

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]  # without the library's warning that EdDSA has a narrower name


_REGISTRY = _Registry(strict_check_header=False)  # RFC 7515 has unknown parameters ignored


def read_token(token: str, *, algorithms: Collection[str], only_access_tokens: bool) -> jws.CompactSignature:
    """Read a token's header; the caller has checked the token's size. Raises TokenRefused.

    What the token says is not to be trusted yet. `only_access_tokens` refuses tokens whose `typ` is not that of
    RFC 9068.
    """
    try:
        signature = jws.extract_compact(token.encode("ascii"), registry=_REGISTRY)
        header = signature.headers()
        if "crit" in header:  # no extension is supported
            raise TokenRefused(Reason.CRITICAL_HEADER)
        if header["alg"] not in algorithms:
            raise TokenRefused(Reason.ALGORITHM_NOT_ALLOWED)
        _REGISTRY.check_header(header)
    except _UNREADABLE:
        raise TokenRefused(Reason.MALFORMED) from None
    stated = header.get("typ")
    typ = None if stated is None else stated.lower()
    if typ not in _TYPES and (only_access_tokens or typ not in _PLAIN_TYPES):
        raise TokenRefused(Reason.WRONG_TYPE)
    return signature


def verified_claims(token: jws.CompactSignature, keys: Iterable[PublicKey]) -> dict[str, Any]:
    """Return the claims of a token that was read, if one of the keys signed it. Raises TokenRefused."""
    if not any(_is_signed_with(key, token) for key in keys):
        raise TokenRefused(Reason.WRONG_SIGNATURE)
    try:
        claims = orjson.loads(token.payload)
    except ValueError:
        raise TokenRefused(Reason.MALFORMED) from None
    if not isinstance(claims, dict):
        raise TokenRefused(Reason.MALFORMED)
    return claims


def _is_signed_with(key: PublicKey, token: jws.CompactSignature) -> bool:
    try:
        return jws.validate_compact(token, key, registry=_REGISTRY)
    except _UNREADABLE:  # a key that is not for this algorithm, or not for signatures
        return False
