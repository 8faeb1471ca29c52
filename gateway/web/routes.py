"""The web room's door: all that is served over HTTP and WebSocket, as routes of one application."""

from dataclasses import dataclass, field

from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from gateway.execution.budgets import Places
from gateway.execution.engine import Engine
from gateway.web.authentication import Authentication
from gateway.web.http import HttpEndpoint, HttpLimits, MakeContext
from gateway.web.intake import DocumentRules, Intake
from gateway.web.lifetime import Lifetime
from gateway.web.streams import StreamLimits
from gateway.web.websocket import SocketEndpoint, SocketLimits


@dataclass(frozen=True, kw_only=True, slots=True)
class WebLimits:
    """How much one client may ask for, and for how long."""

    http: HttpLimits = field(default_factory=HttpLimits)
    stream: StreamLimits = field(default_factory=StreamLimits)
    socket: SocketLimits = field(default_factory=SocketLimits)


def graphql_routes(
    *,
    path: str = "/graphql",
    engine: Engine,
    authentication: Authentication,
    make_context: MakeContext,
    lifetime: Lifetime,
    limits: WebLimits,
    documents: DocumentRules = DocumentRules(),  # noqa: B008 - frozen
    page: ASGIApp | None = None,
) -> list[BaseRoute]:
    """Return the routes of the GraphQL endpoint. The application has to run inside `lifetime.watching()`."""
    intake = Intake(engine, documents)
    http = HttpEndpoint(
        engine=engine,
        intake=intake,
        authentication=authentication,
        make_context=make_context,
        lifetime=lifetime,
        limits=limits.http,
        stream_limits=limits.stream,
        page=page,
    )
    socket = SocketEndpoint(
        engine=engine,
        intake=intake,
        authentication=authentication,
        make_context=make_context,
        lifetime=lifetime,
        limits=limits.socket,
        places=Places(limits.socket.per_caller, called="WebSockets"),
    )
    return [Route(path, http), WebSocketRoute(path, socket)]
