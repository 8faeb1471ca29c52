"""One request and its response on uvicorn, which does without ASGI where the GraphQL endpoint answers it.

By ASGI a request passes Starlette's application, its middlewares and its router, and is a scope, messages and headers
that are made, looked up and checked for it alone: it takes 130 us, without a socket, and 68 as an exchange (2026-11-26,
`python -m tests.benchmarks.requests`). The endpoint reads the exchange, and its answer is one write, in which only the
length and the date are not the same as always. Everything but a POST to the endpoint is ASGI, as uvicorn has it.
"""

import asyncio
from collections.abc import Coroutine
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import unquote

import httptools
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.transport.http.responses import JsonResponse
from gateway.transport.http.security_headers import GRAPHQL_PATH, BrowserSecurity, with_security_headers
from gateway.transport.peers import PEER_EXTENSION, Peer

if TYPE_CHECKING:
    from gateway.transport.http.endpoint import HttpEndpoint

_ENDPOINT: Final = GRAPHQL_PATH.encode()


class Exchange(RequestResponseCycle):
    """uvicorn's cycle, of which only what a request needs is made, and the HttpRequest that the endpoint reads."""

    disconnected = False
    response_started = False
    response_complete = False
    chunked_encoding: bool | None = None
    expected_content_length = 0
    access_log = False
    more_body = True
    """Whether the rest of the body is still to come."""
    query_string = b""
    """Of the URL of a POST to the endpoint."""
    is_read = False
    """Whether the whole body was taken."""
    arrived: asyncio.Event | None = None
    """Has `receive` look again at what has arrived; made when that is first awaited."""
    stays = True
    """uvicorn does not cancel its tasks when a client leaves."""
    _defaults: ClassVar[tuple[list[tuple[bytes, bytes]], bytes]] = ([], b"")
    """uvicorn's default headers, which change every second, and their text."""

    def __init__(self, protocol: HttpToolsProtocol, *, peer: Peer, method: str, version: str, keep_alive: bool) -> None:
        """Begin the exchange of the request whose head the protocol has read."""
        self.protocol = protocol
        self.transport, self.flow = protocol.transport, protocol.flow
        self.peer = peer
        self.method = method
        self.version = version
        self.url = protocol.url
        self.raw_headers = protocol.headers
        self.headers = dict(reversed(protocol.headers))
        """The first value of each name."""
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = self.headers.get(b"expect", b"").lower() == b"100-continue"
        self.body: Any = b""
        self.endpoint: HttpEndpoint | None = None
        """What answers this request by itself."""
        if self.url == _ENDPOINT and method == "POST" and version == "1.1" and not protocol.root_path:
            app: Any = protocol.app
            endpoint = getattr(app, "endpoint", None)
            if endpoint is not None and not (app.cross_origin and b"origin" in self.headers):
                self.endpoint = endpoint
        if self.endpoint is None:
            self.scope = self._make_scope()  # raises where the URL is invalid

    async def run_asgi(self, app: Any) -> None:
        """Have the endpoint answer, or else the application; uvicorn handles an exception of either."""
        if self.endpoint is not None:
            try:
                streaming = await self.endpoint.answer(self)
            except BaseException as error:  # noqa: BLE001 - uvicorn logs it, and closes the connection
                app = partial(_fail, error)
            else:
                if streaming is None:
                    return
                app = BrowserSecurity(streaming, allowed_origins=())
            self.scope = self._make_scope()
        await super().run_asgi(app)

    def take_body(self) -> bytes | None:
        """Return the whole body; None where some of it has not arrived."""
        if self.more_body:
            return None
        body, self.body, self.is_read = bytes(self.body), b"", True
        self.flow.resume_reading()
        return body

    def send_json(self, response: JsonResponse) -> Coroutine[Any, Any, None] | None:
        """Send the whole response; return what to await where the client has not read the one before it."""
        if self.disconnected:
            return None
        if self.flow.write_paused:
            return self._send_json_later(response)
        self.response_started = self.response_complete = True
        defaults = self.protocol.server_state.default_headers
        if Exchange._defaults[0] is not defaults:
            Exchange._defaults = (defaults, _lines(defaults))
        self.transport.write(
            b"%b%b%bcontent-length: %d\r\n%b%b\r\n%b"
            % (
                STATUS_LINE[response.status],
                Exchange._defaults[1],
                _lines(response.headers) if response.headers else b"",
                len(response.body),
                _constant_lines(response.content_type),
                b"" if self.keep_alive else b"connection: close\r\n",
                response.body,
            )
        )
        if not self.keep_alive:
            self.transport.close()
        self.protocol.on_response_complete()
        return None

    async def _send_json_later(self, response: JsonResponse) -> None:
        while self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        self.send_json(response)

    @property
    def message_event(self) -> asyncio.Event:  # type: ignore[override]  # made when it is first awaited
        """Set while there is something to receive."""
        if self.arrived is None:
            self.arrived = asyncio.Event()
            if self.body or not (self.more_body or self.is_read):
                self.arrived.set()
        return self.arrived

    def on_response(self) -> None:
        """Begin the next request, once uvicorn has sent the last of this one's response."""
        self.protocol.on_response_complete()

    @property
    def default_headers(self) -> Any:  # type: ignore[override]  # uvicorn's attribute
        """Those of all responses."""
        return self.protocol.server_state.default_headers

    @property
    def logger(self) -> Any:  # type: ignore[override]  # uvicorn's attribute
        """Where exceptions are logged."""
        return self.protocol.logger

    def _make_scope(self) -> Any:
        """Return the scope of ASGI. Raises HttpParserInvalidURLError."""
        protocol, url = self.protocol, httptools.parse_url(self.url)
        raw_path = url.path
        path = raw_path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": protocol.asgi_version, "spec_version": "2.3"},
            "http_version": self.version,
            "server": protocol.server,
            "client": protocol.client,
            "scheme": protocol.scheme,
            "root_path": protocol.root_path,
            "headers": self.raw_headers,
            "state": protocol.app_state.copy(),
            "extensions": {PEER_EXTENSION: self.peer},
            "method": self.method,
            "path": protocol.root_path + (unquote(path) if "%" in path else path),
            "raw_path": protocol.root_path.encode("ascii") + raw_path,
            "query_string": url.query or b"",
        }


async def _fail(error: BaseException, _scope: Scope, _receive: Receive, _send: Send) -> None:
    raise error


def _lines(headers: Any) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)


@lru_cache
def _constant_lines(content_type: bytes) -> bytes:
    """Return the headers of every response of the endpoint that has this type."""
    return _lines(with_security_headers([(b"content-type", content_type)], graphql=True))
