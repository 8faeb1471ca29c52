"""A small site around GraphiQL's page: an endpoint of three fields that says whose key a request came with."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator

import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from gateway.domain.principals import PrincipalKind
from gateway.web.graphiql import ExampleTab, GraphiQL, PrefilledKey, wants_page

PLATFORM_KEY = PrefilledKey(label="the platform", secret="igw_platform", kind=PrincipalKind.PLATFORM)
ACCOUNT_KEY = PrefilledKey(label="an account", secret="igw_account", kind=PrincipalKind.ACCOUNT)

TABS = (
    ExampleTab(
        title="First",
        query="query First($name: String!) { greeting(name: $name) }",
        variables={"name": "world"},
        key=PrincipalKind.PLATFORM,
    ),
    ExampleTab(title="Create", query="mutation Create { create }", variables={}, key=PrincipalKind.ACCOUNT),
    ExampleTab(title="Watch", query="subscription Watch { ticks }", variables={}, key=PrincipalKind.ACCOUNT),
)


@strawberry.type
class Query:
    @strawberry.field
    def greeting(self, info: strawberry.Info, name: str) -> str:
        return f"hello {name} from {info.context['request'].headers.get('authorization')}"


@strawberry.type
class Mutation:
    @strawberry.mutation
    def create(self, info: strawberry.Info) -> str:
        return f"created by {info.context['request'].headers.get('authorization')}"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self, info: strawberry.Info) -> AsyncIterator[str]:
        yield f"tick for {info.context['connection_params'].get('Authorization')}"
        await asyncio.Event().wait()  # open until its client goes


def site(graphiql: GraphiQL) -> Starlette:
    schema = strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription)
    endpoint: GraphQL[None, None] = GraphQL(
        schema, graphql_ide=None, subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL]
    )

    class PageOrEndpoint:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive)
            answer: ASGIApp = await graphiql.page(request) if wants_page(request) else endpoint
            await answer(scope, receive, send)

    routes = [Route("/graphql", PageOrEndpoint()), WebSocketRoute("/graphql", endpoint), *graphiql.routes()]
    return Starlette(routes=routes)


@contextlib.contextmanager
def served(app: Starlette) -> Iterator[str]:
    """Serve on a free loopback port; gives the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until_started(server)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)


def wait_until_started(server: uvicorn.Server) -> None:
    deadline = time.monotonic() + 10
    while not server.started:
        if time.monotonic() > deadline:
            raise TimeoutError("the server did not start within 10 seconds")
        time.sleep(0.01)
