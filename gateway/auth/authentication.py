"""Who is calling: from a header, or a WebSocket's first message, to a principal."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.domain.errors import Unauthenticated
from gateway.domain.principals import Principal
from gateway.execution.documents import Operation

Authenticate = Callable[[str], Awaitable[Principal]]
"""From a credential to whom it belongs. Raises Unauthenticated where that is nobody."""


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


class Authentication:
    """Turns what a client shows into a principal, or into None where it shows nothing and that may do."""

    def __init__(self, authenticate: Authenticate, *, anonymous_introspection: bool) -> None:
        self._authenticate = authenticate
        self._anonymous_introspection = anonymous_introspection

    async def principal(self, authorization: str | None) -> Principal | None:
        """Return whom an Authorization header's value belongs to. Raises Unauthenticated."""
        if authorization is not None:
            return await self._authenticate(_credential(authorization))
        if not self._anonymous_introspection:
            _refuse_anonymous()
        return None

    def allow(self, principal: Principal | None, operation: Operation) -> None:
        """Raise Unauthenticated where nobody in particular asks for more than the schema."""
        if principal is None and not (self._anonymous_introspection and operation.introspects_only):
            _refuse_anonymous()


def authorization_of(payload: Mapping[str, Any]) -> str | None:
    """Return what a `connection_init` payload has in place of the header. Raises Unauthenticated for nonsense."""
    for name, value in payload.items():
        if name.lower() == "authorization" and value is not None:
            if isinstance(value, str):
                return value
            raise Unauthenticated("The payload's Authorization has to be a string: Bearer, and a key.")
    return None


def _credential(authorization: str) -> str:
    scheme, _, credential = authorization.strip().partition(" ")
    match scheme.lower():
        case "bearer" if credential.strip():
            return credential.strip()
        case "basic":
            return _user_name(credential.strip())
        case _:
            raise Unauthenticated("The Authorization has to be Bearer, or Basic with a key as the user name.")


def _user_name(credential: str) -> str:
    try:
        user_name, _, password = base64.b64decode(credential, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Unauthenticated("The Basic credentials cannot be read.") from None
    if password or not user_name:
        raise Unauthenticated("With Basic the key is the user name, and the password is empty.")
    return user_name


def _refuse_anonymous() -> None:
    raise Unauthenticated("Say who you are: Authorization: Bearer, and a key.")
