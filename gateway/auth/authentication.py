"""Authentication: from an Authorization header, or a WebSocket's `connection_init`, to a principal."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.domain.errors import Unauthenticated
from gateway.domain.principals import Principal

KnownKey = Callable[[bytes], Principal | None]
"""Returns the principal of an API key that was authenticated before and is valid still; None: authenticate it."""
Authenticate = Callable[[str], Awaitable[Principal]]
"""Returns the principal of a credential. Raises Unauthenticated, or Unavailable where it cannot be checked now."""

API_KEY_PREFIX = "igw_"
"""How every API key begins. No access token does: tokens begin with the base64url of a JSON object."""
_TOKEN_DOTS = 2  # header, claims, signature


@dataclass(frozen=True, kw_only=True, slots=True)
class Authentication:
    """Checks credentials. `tokens` is None where no token issuer is configured."""

    keys: Authenticate
    tokens: Authenticate | None
    anonymous_introspection: bool
    known_key: KnownKey = field(default=lambda _secret: None)

    async def authenticate(self, authorization: str | None) -> Principal | None:
        """Return the principal of an Authorization header's value; None for an anonymous caller, which may introspect.

        Raises Unauthenticated and Unavailable.
        """
        if authorization is None:
            if self.anonymous_introspection:
                return None
            raise Unauthenticated("A credential is missing. Send Authorization: Bearer and a key.")
        scheme, _, credential = authorization.strip().partition(" ")
        scheme, credential = scheme.lower(), credential.strip()
        if scheme == "basic":
            credential = _user_name(credential)
        elif scheme != "bearer" or not credential:
            raise Unauthenticated("The Authorization has to be Bearer, or Basic with a key as the user name.")
        if credential.startswith(API_KEY_PREFIX):
            return await self.keys(credential)
        if self.tokens is not None and credential.count(".") == _TOKEN_DOTS:
            return await self.tokens(credential)
        raise Unauthenticated("The credential is neither an API key nor an access token that the gateway accepts.")


def authorization_of(payload: Mapping[str, Any]) -> str | None:
    """Return what a `connection_init` payload has in place of the header. Raises Unauthenticated."""
    for name, value in payload.items():
        if name.lower() == "authorization" and value is not None:
            if isinstance(value, str):
                return value
            raise Unauthenticated("The payload's Authorization has to be a string: Bearer, and a key.")
    return None


def _user_name(credential: str) -> str:
    try:
        user_name, _, password = base64.b64decode(credential, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Unauthenticated("The Basic credentials cannot be read.") from None
    if password or not user_name:
        raise Unauthenticated("With Basic the key is the user name, and the password is empty.")
    return user_name
