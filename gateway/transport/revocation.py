"""Revocation: closes the WebSockets and streams of callers whose token has expired or whose key was revoked."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final

from gateway.domain.errors import Unauthenticated
from gateway.periodic import run_periodically
from gateway.transport.connections import ConnectionRegistry

CHECK_SECONDS: Final = 2.0
"""A token's expiry, and a revocation whose notification was lost, take effect within this time."""

EndedKeys = Callable[[Collection[str]], Awaitable[Collection[str]]]
"""Returns which of these API keys, by their principals' ids, have been revoked or have expired."""


class CredentialMonitor:
    """Checks the credentials of open connections at an interval, and at once when keys were revoked."""

    def __init__(self, registry: ConnectionRegistry, *, ended_keys: EndedKeys, now: Callable[[], datetime]) -> None:
        self._registry: Final = registry
        self._ended_keys: Final = ended_keys
        self._now: Final = now
        self._wake: Final = asyncio.Event()

    def check_now(self) -> None:
        """Check without waiting for the next interval; for a notification that keys were revoked."""
        self._wake.set()

    def running(self) -> AbstractAsyncContextManager[None]:
        """Check for as long as the context lasts."""
        return run_periodically(CHECK_SECONDS, self._check, name="checking credentials", wake=self._wake)

    async def _check(self) -> None:
        close_expired(self._registry, now=self._now())
        ids = {
            connection.principal.id
            for connection in self._registry.connections
            if connection.principal is not None and connection.principal.id is not None
        }
        ended = await self._ended_keys(ids) if ids else ()
        if ended:
            self._registry.close_unauthorized(
                lambda principal: principal.id in ended, Unauthenticated("The API key was revoked, or has expired.")
            )


def close_expired(registry: ConnectionRegistry, *, now: datetime) -> None:
    """Close the connections of principals whose credential has expired."""
    registry.close_unauthorized(
        lambda principal: principal.has_expired(now=now),
        Unauthenticated("The credential has expired. Connect again with a new one."),
    )
