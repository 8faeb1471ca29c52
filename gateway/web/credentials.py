"""From a credential to a principal: the one way in for HTTP, SSE and WebSockets, whatever kind of credential it is."""

from datetime import datetime

from gateway.domain.errors import Unauthenticated
from gateway.domain.principals import Principal
from gateway.web.authentication import Authenticate
from gateway.web.lifetime import Lifetime

KEY_MARK = "igw_"
"""How every API key begins; no token does, since theirs is the base64url of a JSON object."""


class Credentials:
    """Hands API keys and access tokens to those who know them. `tokens` is None where no issuer is configured."""

    def __init__(self, *, keys: Authenticate, tokens: Authenticate | None) -> None:
        self._keys = keys
        self._tokens = tokens

    async def authenticate(self, credential: str) -> Principal:
        """Tell whose credential this is. Raises Unauthenticated, or Unavailable where that cannot be told now."""
        if credential.startswith(KEY_MARK):
            return await self._keys(credential)
        if self._tokens is not None and _is_token_shaped(credential):
            return await self._tokens(credential)
        raise Unauthenticated("The credential is none that the gateway accepts.")


def _is_token_shaped(credential: str) -> bool:
    return credential.count(".") == 2  # noqa: PLR2004 - header, claims, signature


def expel_expired(lifetime: Lifetime, *, now: datetime) -> None:
    """End the streams of principals whose credential has ended; to be done every second or so."""
    lifetime.expel(
        lambda principal: principal.has_expired(now=now),
        Unauthenticated("The credential has expired. Come again with a new one."),
    )
