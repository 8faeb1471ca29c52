"""Revocation: closes the WebSockets and streams of callers whose token has expired or whose key was revoked."""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Final
from uuid import UUID

from gateway.domain.errors import Unauthenticated
from gateway.transport.connections import ConnectionRegistry

CHECK_SECONDS: Final = 2.0
"""A token's expiry, and a revocation whose notification was lost, take effect within this time."""

EndedKeys = Callable[[Collection[UUID]], Awaitable[Collection[UUID]]]
"""Returns which of these API keys have been revoked or have expired."""


async def check_credentials(
    registry: ConnectionRegistry, *, ended_keys: EndedKeys, now: Callable[[], datetime]
) -> None:
    """Close the connections whose principal's credential has expired or was revoked."""
    time = now()
    registry.close_unauthorized(
        lambda principal: principal.has_expired(now=time),
        Unauthenticated("The credential has expired. Connect again with a new one."),
    )
    principals = [connection.principal for connection in registry.connections]
    ids = {each.api_key_id for each in principals if each is not None and each.api_key_id is not None}
    if ended := await ended_keys(ids) if ids else ():
        registry.close_unauthorized(
            lambda principal: principal.api_key_id in ended, Unauthenticated("The API key was revoked, or has expired.")
        )
