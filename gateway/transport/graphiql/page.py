"""GraphiQL as the gateway serves it: the page, its files and what it starts with, all from this process."""

import gzip
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from gateway.domain.principals import PrincipalKind
from gateway.transport.graphiql.bundles import Bundle, BundleFile

NOT_BUILT: Final = "GraphiQL's page was not built: install the package (`pip install -e .` in a checkout).\n"

_SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_HOST: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]+)?")
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


@dataclass(frozen=True, kw_only=True, slots=True)
class PrefilledKey:
    """A key that the page offers, ready to use; only ever one of the embedded default's."""

    label: str
    secret: str = field(repr=False)
    kind: PrincipalKind


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleTab:
    """An operation that runs as it is, with the kind of key that it needs."""

    title: str
    query: str
    variables: Mapping[str, Any]
    key: PrincipalKind
    replaces: UUID | None = None
    """The installation whose place the one in this tab's result takes, in the variables of all tabs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prefilled:
    """What the page starts with: keys that are ready to use, and tabs that run as they are."""

    keys: Sequence[PrefilledKey] = ()
    tabs: Sequence[ExampleTab] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphiQL:
    """The page for one endpoint. Without a bundle it says how to get one."""

    bundle: Bundle | None
    endpoint: str = "/graphql"
    prefilled: Prefilled = Prefilled()

    async def page(self, request: Request) -> Response:
        """Answer a browser that opens the endpoint."""
        if self.bundle is None:
            return PlainTextResponse(NOT_BUILT, status_code=503, headers=_SECURITY_HEADERS)
        headers = {
            **_SECURITY_HEADERS,
            "Content-Security-Policy": content_security_policy(host=request.headers.get("host", "")),
            "Cache-Control": "no-cache",
            "Vary": "Accept",
        }
        return Response(self.bundle.page, media_type="text/html", headers=headers)

    async def page_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as `page` does, for an endpoint that hands over the whole connection."""
        response = await self.page(Request(scope, receive))
        await response(scope, receive, send)

    def routes(self) -> list[BaseRoute]:
        """Routes of what the page loads; the page itself belongs to the endpoint, which knows who wants it."""
        return [Route("/graphiql/config.json", self._config), Route("/graphiql/{name}", self._file)]

    async def _config(self, request: Request) -> Response:
        keys = self.prefilled.keys if may_be_given_keys(request) else ()
        content = {
            "endpoint": self.endpoint,
            "keys": [{"label": key.label, "secret": key.secret, "kind": key.kind.value} for key in keys],
            "tabs": [_described(tab) for tab in self.prefilled.tabs],
        }
        return JSONResponse(content, headers={**_SECURITY_HEADERS, "Cache-Control": "no-store"})

    def _file(self, request: Request) -> Response:
        """Not a coroutine: what has to be decompressed for a rare client is decompressed in a thread."""
        file = self.bundle.files.get(request.path_params["name"]) if self.bundle else None
        if file is None:
            return PlainTextResponse("Not found\n", status_code=404, headers=_SECURITY_HEADERS)
        return _file_response(file, request.headers)


def _described(tab: ExampleTab) -> dict[str, Any]:
    return {
        "title": tab.title,
        "query": tab.query,
        "variables": dict(tab.variables),
        "key": tab.key.value,
        "replaces": str(tab.replaces) if tab.replaces else None,
    }


def content_security_policy(*, host: str) -> str:
    """Allow the page what it consists of and the endpoint it talks to, and nothing else.

    Styles may stand inline because the editor writes style elements; the host is named for browsers whose 'self' leaves
    out sockets.
    """
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return "; ".join(
        [
            "default-src 'self'",
            "script-src 'self'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "font-src 'self'",
            "worker-src 'self'",
            f"connect-src 'self'{sockets}",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def may_be_given_keys(request: Request) -> bool:
    """Tell whether somebody at this very machine asks, by an address of this machine.

    The host is checked against names that were bound anew to a loopback address, the peer against a forged host.
    """
    headers = request.headers
    forwarded = any(name in headers for name in _FORWARDED)
    same_site = headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}
    peer = request.client.host if request.client else ""
    return not forwarded and same_site and _is_loopback(peer) and _is_loopback_host(headers.get("host", ""))


def _is_loopback_host(host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match["name"].strip("[]").lower()
    return name == "localhost" or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _file_response(file: BundleFile, headers: Headers) -> Response:
    compressed = _qualities(headers.get("accept-encoding", "")).get("gzip", 0.0) > 0
    tag = f'"{file.name}{"-gzip" if compressed else ""}"'
    answer = {**_SECURITY_HEADERS, "Cache-Control": _IMMUTABLE, "Vary": "Accept-Encoding", "ETag": tag}
    if tag in {known.strip().removeprefix("W/") for known in headers.get("if-none-match", "").split(",")}:
        return Response(status_code=304, headers=answer)
    if compressed:
        return Response(file.compressed, media_type=file.media_type, headers={**answer, "Content-Encoding": "gzip"})
    return Response(gzip.decompress(file.compressed), media_type=file.media_type, headers=answer)


def _qualities(header: str) -> dict[str, float]:
    """Read `a/b;q=0.5, c/d` as {"a/b": 0.5, "c/d": 1.0}; what is not understood counts nothing."""
    return dict(_quality(part) for part in header.lower().split(",") if part.strip())


def _quality(part: str) -> tuple[str, float]:
    value, *parameters = (piece.strip() for piece in part.split(";"))
    weights = [parameter[2:] for parameter in parameters if parameter.startswith("q=")]
    try:
        return value, float(weights[0]) if weights else 1.0
    except ValueError:
        return value, 0.0
