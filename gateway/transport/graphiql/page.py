"""Serves GraphiQL: the page, its files, its configuration with example tabs, and the keys of the embedded database.

Keys are handed out once, for a token that `gateway serve` prints in the page's address. The address of the peer or the
Host header would not do: every user of the machine and every TCP forwarder reaches a loopback address. The token stands
in the address's fragment, which browsers do not send, so it is in no log and no Referer header. The page keeps the keys
in its session storage: a cookie would be sent to every port of the machine.
"""

import gzip
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from gateway.domain.principals import PrincipalKind
from gateway.execution.encoding import encode
from gateway.transport.graphiql.bundles import NOT_BUILT, Bundle
from gateway.transport.http.security_headers import GRAPHQL_PATH

REFUSED: Final = "The token is not valid: it works once, and until the gateway stops.\n"

_SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_UNCACHED: Final = {**_SECURITY_HEADERS, "Cache-Control": "no-store"}
_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_MEDIA_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".ttf": "font/ttf"}
"""The operating system's table may differ, and browsers refuse a module of the wrong type."""
_HOST: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]+)?")
_GZIP: Final = re.compile(r"(?:^|,)\s*gzip\s*(?:;\s*q=(?P<weight>[01](?:\.\d*)?)\s*)?(?=,|$)")


@dataclass(frozen=True, kw_only=True, slots=True)
class PrefilledKey:
    """A key that the page offers, ready to use. Only keys of the embedded database are offered."""

    label: str
    secret: str = field(repr=False)
    kind: PrincipalKind


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleTab:
    """A tab whose operation can be run as it is, with the kind of key that it needs."""

    title: str
    query: str
    variables: Mapping[str, Any]
    key: PrincipalKind
    replaces: UUID | None = None
    """The installation whose id the one in this tab's result replaces, in the variables of all tabs."""


@dataclass(kw_only=True, slots=True)
class OneTimeKeys:
    """Keys that are handed out once, for a token."""

    keys: Sequence[PrefilledKey]
    token: str | None = field(repr=False, default_factory=lambda: secrets.token_urlsafe(32))
    """None after the keys were handed out."""

    def take(self, token: str) -> Sequence[PrefilledKey] | None:
        """Return the keys, and end the token; return None for any other token. Compares in constant time."""
        if self.token is None or not hmac.compare_digest(self.token.encode(), token.encode()):
            return None
        self.token = None
        return self.keys


@dataclass(frozen=True, kw_only=True, slots=True)
class Prefilled:
    """What the page starts with: keys that are ready to use, and tabs that run as they are."""

    keys: OneTimeKeys | None = None
    tabs: Sequence[ExampleTab] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphiQL:
    """GraphiQL for one endpoint. Without a bundle the page says how to get one."""

    bundle: Bundle | None
    prefilled: Prefilled = Prefilled()

    async def page_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the page, as an ASGI application: the GraphQL endpoint passes browsers' requests on to it."""
        if self.bundle is None:
            response: Response = PlainTextResponse(f"{NOT_BUILT}\n", status_code=503, headers=_SECURITY_HEADERS)
        else:
            headers = {
                **_SECURITY_HEADERS,
                "Content-Security-Policy": content_security_policy(host=Headers(scope=scope).get("host", "")),
                "Cache-Control": "no-cache",
                "Vary": "Accept",
            }
            response = Response(self.bundle.page, media_type="text/html", headers=headers)
        await response(scope, receive, send)

    def routes(self) -> list[BaseRoute]:
        """Return the routes of what the page loads, and one that leads from the root to the page."""
        return [
            # The address has no host, so it is the one that was asked, whatever its Host header names.
            Route("/", RedirectResponse(GRAPHQL_PATH, headers=_SECURITY_HEADERS), methods=["GET"]),
            Route("/graphiql/config.json", self._config),
            Route("/graphiql/keys", self._keys, methods=["POST"]),
            Route("/graphiql/{name}", self._file),
        ]

    async def _config(self, _request: Request) -> Response:
        content = {
            "endpoint": GRAPHQL_PATH,
            "offersKeys": self.prefilled.keys is not None,
            "tabs": self.prefilled.tabs,
        }
        return _json(content)

    async def _keys(self, request: Request) -> Response:
        """Hand out the keys for the token. POST, because browsers may repeat a GET whose connection broke."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        offered = self.prefilled.keys
        keys = offered.take(token) if offered is not None and scheme == "Bearer" else None
        if keys is None:
            return PlainTextResponse(REFUSED, status_code=403, headers=_UNCACHED)
        return _json(keys)

    def _file(self, request: Request) -> Response:
        """Serve a file. Not a coroutine, so that Starlette decompresses in a thread for clients without gzip."""
        name, headers = request.path_params["name"], request.headers
        content = self.bundle.files.get(name) if self.bundle else None
        if content is None:
            return PlainTextResponse("Not found\n", status_code=404, headers=_SECURITY_HEADERS)
        compressed = _accepts_gzip(headers.get("accept-encoding", ""))
        tag = f'"{name}{"-gzip" if compressed else ""}"'
        answer = {**_SECURITY_HEADERS, "Cache-Control": _IMMUTABLE, "Vary": "Accept-Encoding", "ETag": tag}
        if tag in {known.strip().removeprefix("W/") for known in headers.get("if-none-match", "").split(",")}:
            return Response(status_code=304, headers=answer)
        if compressed:
            answer["Content-Encoding"] = "gzip"
        else:
            content = gzip.decompress(content)
        return Response(content, media_type=_MEDIA_TYPES[Path(name).suffix], headers=answer)


def _json(content: Any) -> Response:
    """Return the response with tabs or keys, which the page reads by the names of their fields."""
    return Response(encode(content), media_type="application/json", headers=_UNCACHED)


def content_security_policy(*, host: str) -> str:
    """Return a policy that allows the page its own files and its endpoint, and nothing else.

    Inline styles are allowed because the editor writes style elements. The host is named for browsers whose 'self'
    does not include WebSockets.
    """
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
        f" font-src 'self'; worker-src 'self'; connect-src 'self'{sockets};"
        " object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _accepts_gzip(header: str) -> bool:
    """Return whether an Accept-Encoding header has gzip with a weight above 0; what is no number counts as 0."""
    weight = _GZIP.search(header.lower())
    return weight is not None and float(weight["weight"] or 1) > 0
