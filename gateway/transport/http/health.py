"""What those who run the gateway ask it: whether it is alive, and whether it is ready for work."""

import logging
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.transport.connections import ConnectionRegistry

LOG = logging.getLogger("gateway.health")

Ready = Callable[[], Awaitable[str | None]]
"""Says why the gateway is not ready for work, or None where it is."""


def health_routes(*, registry: ConnectionRegistry, ready: Ready) -> list[Route]:
    """Return the routes /healthz and /readyz. While the gateway drains it is alive, and not ready."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_request: Request) -> Response:
        reason = "The gateway is stopping." if registry.draining else await _reason(ready)
        if reason is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)

    return [Route("/healthz", healthz, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]


async def _reason(ready: Ready) -> str | None:
    try:
        return await ready()
    except Exception:
        LOG.exception("The check for readiness failed")
        return "The check failed; the log says why."
