"""Verifies access tokens: returns the principal of a token, and logs why another is refused."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from cachetools import TLRUCache

from gateway.auth.access_tokens.claims import LEEWAY, ClaimNames, ClaimRules, check_claims, principal_of
from gateway.auth.access_tokens.errors import Reason, TokenRefused
from gateway.auth.access_tokens.jwks_cache import JwksCache
from gateway.auth.access_tokens.options import ALGORITHMS
from gateway.auth.access_tokens.signatures import read_token, verified_claims
from gateway.domain.errors import Unauthenticated, Unavailable
from gateway.domain.principals import Principal
from gateway.domain.text import sha256_of

LOG = logging.getLogger("gateway.authentication")

REFUSED = "The access token is not accepted."
"""The same for every reason: the reason would only help to forge tokens."""
MAX_TOKEN_CHARACTERS = 16_384
MAX_CACHED_TOKENS = 10_000
CACHE_TIME = timedelta(seconds=60)


@dataclass(kw_only=True, eq=False)
class AccessTokens:
    """Verifies the tokens of one issuer. `async with` fetches the issuer's keys from the start.

    The principal of a token is cached for a minute by the token's digest, so that many requests cost one verification.
    It is dropped when the token expires and when the issuer's keys change.
    """

    keys: JwksCache
    rules: ClaimRules
    names: ClaimNames
    now: Callable[[], datetime]
    algorithms: tuple[str, ...] = ALGORITHMS
    only_access_tokens: bool = False

    def __post_init__(self) -> None:
        self._cache: TLRUCache[tuple[int, bytes], Principal, datetime] = TLRUCache(
            MAX_CACHED_TOKENS, self._cached_until, timer=self.now
        )

    async def __aenter__(self) -> Self:
        self.keys.fetch()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.keys.close()

    async def authenticate(self, token: str) -> Principal:
        """Return the principal of a token.

        Raises:
            Unauthenticated: It is not accepted; the log has the reason.
            Unavailable: The issuer's keys are not known yet, or too old.
        """
        stated: dict[str, object] = {}
        try:
            return await self._principal(token, stated)
        except TokenRefused as refused:
            details = "".join(f" {name}={ascii(value)[:100]}" for name, value in stated.items() if value)
            LOG.info("access_token_refused reason=%s%s", refused, details)
            if refused.reason is Reason.ISSUER_UNAVAILABLE:
                # The token may be valid: clients keep it, and try again.
                raise Unavailable("Access tokens cannot be verified now. Try again later.") from None
            raise Unauthenticated(REFUSED) from None

    async def _principal(self, token: str, stated: dict[str, object]) -> Principal:
        """Return the principal of a token; collect what it states about its key and issuer, for the log."""
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise TokenRefused(Reason.TOO_LARGE)
        digest = sha256_of(token)
        cached = self._cache.get((self.keys.generation, digest))
        if cached is not None:
            return cached
        unverified = read_token(token, algorithms=self.algorithms, only_access_tokens=self.only_access_tokens)
        stated["kid"] = key_id = unverified.headers().get("kid")
        claims = verified_claims(unverified, await self.keys.matching(key_id))
        stated["iss"] = claims.get("iss")
        expires_at = check_claims(claims, self.rules, now=self.now())
        principal = principal_of(claims, names=self.names, expires_at=expires_at)
        self._cache[self.keys.generation, digest] = principal
        return principal

    def _cached_until(self, _key: object, principal: Principal, now: datetime) -> datetime:
        if principal.expires_at is None:
            return now
        # The end of a token may be the last moment that a datetime can have: nothing is added to it.
        return now + min(CACHE_TIME, principal.expires_at - now + LEEWAY)
