"""Health checks: /healthz returns whether the process is alive, /readyz whether it takes requests."""

import logging
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.transport.connections import ConnectionRegistry

LOG = logging.getLogger("gateway.health")

ReasonNotReady = Callable[[], Awaitable[str | None]]
"""Returns why the gateway is not ready; None where it is."""


def health_routes(*, registry: ConnectionRegistry, reason_not_ready: ReasonNotReady) -> list[Route]:
    """Return the routes /healthz and /readyz. A gateway that drains is alive, and not ready."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_request: Request) -> Response:
        try:
            reason = "The gateway is stopping." if registry.draining else await reason_not_ready()
        except Exception:
            LOG.exception("The readiness check failed")
            reason = "The check failed; the log says why."
        if reason is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)

    return [Route("/healthz", healthz, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]
