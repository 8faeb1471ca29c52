"""What browsers are told and asked: which pages may speak to the gateway, and how its answers may be used.

A credential is always sent on purpose, never by the browser by itself as cookies are; beside that a request that
changes something has to be JSON by POST, which no page sends elsewhere without asking first, by a preflight. CORS
answers that by the list of allowed origins. WebSockets have no preflight: there the origin is looked at before the
upgrade.
"""

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.transport.http.negotiation import Representation
from gateway.transport.http.responses import error_response

GRAPHQL_PATH: Final = "/graphql"
PREFLIGHT_SECONDS: Final = 600

_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
"""For all answers; those that say something else for themselves keep that."""
_VARY: Final = "Accept, Authorization, Origin"


def browser_rules(allowed_origins: Collection[str]) -> list[Middleware]:
    """Return what stands before the routes; origins are allowed as they are written, scheme and port included."""
    rules = [Middleware(AnswerHeaders), Middleware(SocketOrigins, allowed=frozenset(allowed_origins))]
    if allowed_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=tuple(allowed_origins),
            allow_methods=("GET", "POST"),
            allow_headers=("Accept", "Authorization", "Content-Type", "Last-Event-ID"),
            expose_headers=("Retry-After", "WWW-Authenticate"),
            max_age=PREFLIGHT_SECONDS,
        )
        rules.append(cors)
    return rules


async def unexpected_error(request: Request, error: Exception) -> Response:
    """Answer what nothing else has caught; the server logs it once more, with its traceback."""
    response = error_response(error, Representation.JSON)
    _complete(response.headers, path=request.url.path)
    return response


class AnswerHeaders:
    """Adds to each answer how browsers may use it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                _complete(MutableHeaders(scope=message), path=scope["path"])
            await send(message)

        await self._app(scope, receive, completed)


class SocketOrigins:
    """Refuses, by 403 and before the upgrade, sockets that a foreign page opens; no origin, no browser."""

    def __init__(self, app: ASGIApp, *, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and not self._may_open(Headers(scope=scope)):
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": 1008})
            return
        await self._app(scope, receive, send)

    def _may_open(self, headers: Headers) -> bool:
        origins = headers.getlist("origin")
        return all(origin in self._allowed or _is_own(origin, host=headers.get("host", "")) for origin in origins)


def _is_own(origin: str, *, host: str) -> bool:
    """Tell whether a page of this host is speaking; its scheme may have ended at a load balancer."""
    parts = urlsplit(origin)
    return parts.scheme in {"http", "https"} and bool(host) and parts.netloc.lower() == host.lower()


def _complete(headers: MutableHeaders, *, path: str) -> None:
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    if path == GRAPHQL_PATH:
        headers["vary"] = _VARY
