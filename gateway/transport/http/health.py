"""Health checks: /healthz returns whether the process is alive, /readyz whether it takes requests."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.transport.connections import ConnectionRegistry

LOG = logging.getLogger("gateway.health")

ReasonNotReady = Callable[[], Awaitable[str | None]]
"""Returns why the gateway is not ready; None where it is."""


REMEMBERED_SECONDS = 1.0
"""Anybody may ask, and the check runs a statement."""


class _Readiness:
    """The last outcome of the check."""

    def __init__(self, check: ReasonNotReady) -> None:
        self._check = check
        self._checking = asyncio.Lock()
        self._checked_at = float("-inf")
        self._reason: str | None = None

    async def reason_not_ready(self) -> str | None:
        """Return why the gateway was not ready when it was last checked."""
        async with self._checking:  # requests that come together wait for the same check
            if time.monotonic() - self._checked_at >= REMEMBERED_SECONDS:
                try:
                    self._reason = await self._check()
                except Exception:
                    LOG.exception("The readiness check failed")
                    self._reason = "The check failed; the log says why."
                self._checked_at = time.monotonic()
            return self._reason


def health_routes(*, registry: ConnectionRegistry, reason_not_ready: ReasonNotReady) -> list[Route]:
    """Return the routes /healthz and /readyz. A gateway that drains is alive, and not ready."""
    readiness = _Readiness(reason_not_ready)

    async def readyz(_request: Request) -> Response:
        reason = "The gateway is stopping." if registry.draining else await readiness.reason_not_ready()
        if reason is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)

    alive = JSONResponse({"status": "alive"})
    return [Route("/healthz", alive, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]
