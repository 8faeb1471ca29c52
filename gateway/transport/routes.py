"""The web room's door: all that is served over HTTP and WebSocket, as routes of one application."""

from dataclasses import dataclass, field

from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from gateway.auth.authentication import Authentication
from gateway.operations.persisted_operations import DocumentPolicy, OperationResolver
from gateway.operations.pipeline import Engine
from gateway.operations.quotas import ConcurrencyLimiter
from gateway.transport.connections import ConnectionRegistry
from gateway.transport.http.endpoint import HttpEndpoint, HttpLimits, MakeContext
from gateway.transport.http.streaming import StreamLimits
from gateway.transport.websocket.connection import SocketEndpoint, SocketLimits


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
    registry: ConnectionRegistry,
    limits: WebLimits,
    documents: DocumentPolicy = DocumentPolicy(),  # noqa: B008 - frozen
    page: ASGIApp | None = None,
) -> list[BaseRoute]:
    """Return the routes of the GraphQL endpoint. The application has to run inside `lifetime.watching()`."""
    intake = OperationResolver(engine, documents)
    http = HttpEndpoint(
        engine=engine,
        intake=intake,
        authentication=authentication,
        make_context=make_context,
        registry=registry,
        limits=limits.http,
        stream_limits=limits.stream,
        page=page,
    )
    socket = SocketEndpoint(
        engine=engine,
        intake=intake,
        authentication=authentication,
        make_context=make_context,
        registry=registry,
        limits=limits.socket,
        places=ConcurrencyLimiter(limits.socket.per_caller, called="WebSockets"),
    )
    return [Route(path, http), WebSocketRoute(path, socket)]
