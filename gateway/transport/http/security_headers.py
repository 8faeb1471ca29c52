"""Browser security: CORS, the origins of WebSockets, and the security headers of every response.

No page of another site can act for a user: credentials are sent on purpose and never by the browser itself, as cookies
are, and a request that changes something is JSON by POST, for which browsers need a preflight. WebSockets have no
preflight, so their origin is checked before the upgrade.
"""

from collections.abc import Collection, Iterable
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.transport.http.negotiation import Representation
from gateway.transport.http.responses import error_response

GRAPHQL_PATH: Final = "/graphql"
PREFLIGHT_SECONDS: Final = 600

_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
"""Of every response that does not set them itself."""
_VARY: Final = (b"vary", b"Accept, Authorization, Origin")
Header = tuple[bytes, bytes]


def browser_security(allowed_origins: Collection[str]) -> list[Middleware]:
    """Return the middleware. Origins are compared as written, with scheme and port."""
    middleware = [Middleware(BrowserSecurity, allowed_origins=frozenset(allowed_origins))]
    if allowed_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=tuple(allowed_origins),
            allow_methods=("GET", "POST"),
            allow_headers=(
                "*",
            ),  # answers with the names that are asked for: a listed origin may send Authorization already
            expose_headers=("Retry-After", "WWW-Authenticate"),
            max_age=PREFLIGHT_SECONDS,
        )
        middleware.append(cors)
    return middleware


async def unexpected_error(_request: Request, error: Exception) -> Any:
    """Return the response to an exception that nothing else has caught; it passes no middleware.

    Starlette calls it as an ASGI application, and asks for a type of its own.
    """
    response = error_response(error, Representation.JSON)
    return response._replace(headers=tuple(with_security_headers(response.headers, graphql=True)))


def with_security_headers(headers: Iterable[Header], *, graphql: bool) -> list[Header]:
    """Return the headers of a response with those that it lacks. An answer of the endpoint varies by what it reads."""
    given = list(headers)
    names = {name for name, _ in given}
    given += [header for header in _HEADERS if header[0] not in names]
    if graphql:
        given = [header for header in given if header[0] != b"vary"] + [_VARY]
    return given


class BrowserSecurity:
    """Adds the security headers to responses, and refuses WebSockets of other origins with 403."""

    def __init__(self, app: ASGIApp, *, allowed_origins: Collection[str]) -> None:
        self._app = app
        self._allowed_origins = allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            if self._is_allowed(Headers(scope=scope)):
                await self._app(scope, receive, send)
            else:
                await receive()  # websocket.connect
                await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                graphql = scope["path"] == GRAPHQL_PATH
                message["headers"] = with_security_headers(message.get("headers", ()), graphql=graphql)
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _is_allowed(self, headers: Headers) -> bool:
        """Return whether all origins are allowed, or the gateway's own. A client without an origin is no browser."""
        host = headers.get("host", "").lower()
        own = {f"http://{host}", f"https://{host}"} if host else set()  # a load balancer may have ended TLS
        return all(origin in self._allowed_origins or origin.lower() in own for origin in headers.getlist("origin"))
