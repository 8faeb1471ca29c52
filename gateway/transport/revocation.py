"""Streams end with their right to be there: an expired token or a revoked key closes what it opened."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from logging import getLogger
from typing import Final

from gateway.domain.errors import GatewayError, Unauthenticated
from gateway.transport.connections import ConnectionRegistry

LOG = getLogger("gateway.authentication")

EndedKeys = Callable[[Collection[str]], Awaitable[Collection[str]]]
"""Which of these credentials, by their principals' ids, have been revoked or have expired."""


class CredentialMonitor:
    """Looks over what is open: every so many seconds, and at once when it is told that keys were revoked."""

    def __init__(
        self, registry: ConnectionRegistry, *, ended_keys: EndedKeys, now: Callable[[], datetime], seconds: float = 2.0
    ) -> None:
        self._lifetime: Final = registry
        self._ended_keys: Final = ended_keys
        self._now: Final = now
        self._seconds: Final = seconds
        self._called: Final = asyncio.Event()

    def call(self) -> None:
        """Have it look now."""
        self._called.set()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look over what is open, for as long as the application lives."""
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch

    async def _watch(self) -> None:
        while True:
            self._called.clear()
            expel_expired(self._lifetime, now=self._now())
            try:
                await self._expel_revoked()
            except GatewayError as error:
                LOG.warning("Whose key was revoked cannot be told now: %s", error)
            except Exception:
                LOG.exception("Looking for revoked keys has failed; it will be tried again")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._called.wait()

    async def _expel_revoked(self) -> None:
        inside = {
            connection.principal.id
            for connection in self._lifetime.connections
            if connection.principal is not None and connection.principal.id is not None
        }
        ended = await self._ended_keys(inside) if inside else ()
        if ended:
            self._lifetime.expel(
                lambda principal: principal.id in ended, Unauthenticated("The key was revoked, or has expired.")
            )


def expel_expired(registry: ConnectionRegistry, *, now: datetime) -> None:
    """End the streams of principals whose credential has ended; to be done every second or so."""
    registry.expel(
        lambda principal: principal.has_expired(now=now),
        Unauthenticated("The credential has expired. Come again with a new one."),
    )
