"""The way in: a token is verified, its principal returned, and the reason of a refusal kept for the log."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from gateway.auth.access_tokens.claims import ClaimNames, ClaimRules, check_claims, principal_of
from gateway.auth.access_tokens.errors import Reason, TokenRefused
from gateway.auth.access_tokens.jwks_cache import JwksCache
from gateway.auth.access_tokens.options import ALGORITHMS
from gateway.auth.access_tokens.signatures import read_token
from gateway.domain.errors import GatewayError, Unauthenticated, Unavailable
from gateway.domain.principals import Principal

LOG = logging.getLogger("gateway.authentication")

REFUSED = "The access token is not accepted."
"""The same for every reason: which one it is helps only whoever made the token up."""
REMEMBERED_TOKENS = 10_000
REMEMBER = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenForm:
    """What a token may look like before anything in it is believed."""

    algorithms: tuple[str, ...] = ALGORITHMS
    most_characters: int = 16_384
    only_access_tokens: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Remembered:
    principal: Principal
    until: datetime
    generation: int


class AccessTokens:
    """Verifies the tokens of one issuer. Enter it, so that the issuer's keys are at hand from the start.

    A token that was accepted is remembered for a minute, by its digest and never beyond its own end or its issuer's
    change of keys, so that a caller with many requests costs one verification.
    """

    def __init__(
        self,
        *,
        keys: JwksCache,
        form: TokenForm,
        rules: ClaimRules,
        names: ClaimNames,
        now: Callable[[], datetime],
    ) -> None:
        self._keys = keys
        self._form = form
        self._rules = rules
        self._names = names
        self._now = now
        self._remembered: dict[bytes, _Remembered] = {}

    async def __aenter__(self) -> Self:
        self._keys.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._keys.close()

    async def authenticate(self, token: str) -> Principal:
        """Return whom the token stands for.

        Raises:
            Unauthenticated: It is not accepted; the log has the reason.
            Unavailable: The issuer has not said yet, or not for too long, which keys it has.
        """
        attempt = _Attempt()
        try:
            return await self._principal(token, attempt=attempt)
        except TokenRefused as refused:
            LOG.info("access_token_refused reason=%s%s%s", refused.reason.value, _claim_named(refused), attempt)
            raise _answer(refused.reason) from None

    async def _principal(self, token: str, *, attempt: "_Attempt") -> Principal:
        if len(token) > self._form.most_characters:
            raise TokenRefused(Reason.TOO_LARGE)
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        remembered = self._remembered.get(digest)
        if remembered and self._now() < remembered.until and remembered.generation == self._keys.generation:
            return remembered.principal
        principal = await self._verified(token, attempt=attempt)
        self._remember(digest, principal)
        return principal

    async def _verified(self, token: str, *, attempt: "_Attempt") -> Principal:
        unverified = read_token(
            token, algorithms=self._form.algorithms, only_access_tokens=self._form.only_access_tokens
        )
        attempt.key_id = unverified.key_id
        claims = unverified.claims(await self._keys.matching(unverified.key_id))
        attempt.issuer = claims.get("iss")
        expires_at = check_claims(claims, self._rules, now=self._now())
        return principal_of(claims, names=self._names, expires_at=expires_at)

    def _remember(self, digest: bytes, principal: Principal) -> None:
        if principal.expires_at is None:
            return
        if len(self._remembered) >= REMEMBERED_TOKENS:
            self._remembered.clear()
        now = self._now()
        until = now + min(REMEMBER, principal.expires_at - now + self._rules.leeway)
        self._remembered[digest] = _Remembered(principal=principal, until=until, generation=self._keys.generation)


class _Attempt:
    """All of a token that the log may have."""

    key_id: object = None
    issuer: object = None

    def __str__(self) -> str:
        return "".join(
            f" {name}={ascii(value)[:100]}" for name, value in (("kid", self.key_id), ("iss", self.issuer)) if value
        )


def _claim_named(refused: TokenRefused) -> str:
    return f" claim={refused.claim}" if refused.claim else ""


def _answer(reason: Reason) -> GatewayError:
    if reason is Reason.ISSUER_UNAVAILABLE:
        # the token may be as good as any: clients keep it, and come again
        return Unavailable("Access tokens cannot be verified now. Try again later.")
    return Unauthenticated(REFUSED)
