"""A small site around GraphiQL: its endpoint answers with the key of the request, and has two events."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import strawberry
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from strawberry.asgi import GraphQL
from strawberry.scalars import JSON
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from gateway.domain.principals import PrincipalKind
from gateway.transport.graphiql.page import ExampleTab, GraphiQL, PrefilledKey

PLATFORM_KEY = PrefilledKey(label="the platform", secret="igw_platform", kind=PrincipalKind.PLATFORM)
ACCOUNT_KEY = PrefilledKey(label="an account", secret="igw_account", kind=PrincipalKind.ACCOUNT)

OLD_INSTALLATION = uuid.UUID("00000000-0000-4000-8000-000000000001")
NEW_INSTALLATION = uuid.UUID("00000000-0000-4000-8000-000000000002")

TABS = (
    ExampleTab(
        title="First",
        query="query First($name: String!) { greeting(name: $name) }",
        variables={"name": "world"},
        key=PrincipalKind.PLATFORM,
    ),
    ExampleTab(title="Create", query="mutation Create { create }", variables={}, key=PrincipalKind.ACCOUNT),
    ExampleTab(
        title="Authorize",
        query="mutation Authorize { authorize { __typename id } }",
        variables={},
        key=PrincipalKind.PLATFORM,
        replaces=OLD_INSTALLATION,
    ),
    ExampleTab(
        title="Activate",
        query="mutation Activate($id: ID!) { activate(id: $id) }",
        variables={"id": str(OLD_INSTALLATION)},
        key=PrincipalKind.PLATFORM,
    ),
    ExampleTab(
        title="Metadata",
        query="query Metadata($some: JSON, $all: JSON!, $page: Page!) { echo(some: $some, all: $all, page: $page) }",
        variables={"unknown": 1, "page": {}, "all": [], "some": {"region": "eu-west"}},
        key=PrincipalKind.PLATFORM,
    ),
    ExampleTab(title="Watch", query="subscription Watch { ticks }", variables={}, key=PrincipalKind.ACCOUNT),
)


@strawberry.type
class Installation:
    id: strawberry.ID


@strawberry.type
class Named:
    name: str


@strawberry.type
class Installed:
    application: Named
    account: Named


@strawberry.type
class Actor:
    kind: str
    label: str | None


@strawberry.type
class Reason:
    code: str
    message: str | None


@strawberry.type
class SyncStep:
    name: str
    done: int
    total: int | None


@strawberry.interface
class InstallationEvent:
    id: strawberry.ID
    cursor: str
    occurred_at: str = "2026-11-22T12:00:00Z"
    installation_id: strawberry.ID = strawberry.ID(str(OLD_INSTALLATION))
    actor: Actor
    installation: Installed | None


@strawberry.type
class InstallationStatusChanged(InstallationEvent):
    from_: str | None = strawberry.field(name="from")
    to: str | None
    reason: Reason


@strawberry.type
class InstallationMetadataUpdated(InstallationEvent):
    changed_keys: list[str]


@strawberry.type
class InstallationSyncProgressed(InstallationEvent):
    steps: list[SyncStep]


@strawberry.type
class InstallationConnectionReported(InstallationEvent):
    succeeded: bool
    failures: int
    message: str | None


@strawberry.input
class Page:
    size: int = 20


@strawberry.type
class Query:
    @strawberry.field
    def greeting(self, info: strawberry.Info, name: str) -> str:
        return f"hello {name} from {info.context['request'].headers.get('authorization')}"

    @strawberry.field
    def event_cursor(self) -> str:
        return "beginning"

    @strawberry.field
    def echo(self, some: JSON | None, all: JSON, page: Page) -> JSON:  # noqa: A002 - the argument's name in the API
        return JSON({"some": some, "all": all, "size": page.size})


@strawberry.type
class Mutation:
    @strawberry.mutation
    def authorize(self) -> Installation:
        return Installation(id=strawberry.ID(str(NEW_INSTALLATION)))

    @strawberry.mutation
    def activate(self, id: strawberry.ID) -> str:  # noqa: A002 - the argument's name in the API
        return f"activated {id}"

    @strawberry.mutation
    def create(self, info: strawberry.Info) -> str:
        return f"created by {info.context['request'].headers.get('authorization')}"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self, info: strawberry.Info) -> AsyncIterator[str]:
        yield f"tick for {info.context['connection_params'].get('Authorization')}"
        await asyncio.Event().wait()  # open until the client unsubscribes

    @strawberry.subscription
    async def installation_events(
        self, info: strawberry.Info, after: str | None = None
    ) -> AsyncIterator[InstallationEvent]:
        if after == "beginning":
            yield InstallationStatusChanged(
                id=strawberry.ID("1"),
                cursor="first",
                actor=Actor(kind="PLATFORM", label=info.context["connection_params"].get("Authorization")),
                installation=Installed(application=Named(name="Ledger"), account=Named(name="Bakery")),
                from_="AUTHORIZED",
                to="ACTIVATED",
                reason=Reason(code="CONFIGURATION_COMPLETED", message=None),
            )
            await drop_socket(info)
        yield InstallationSyncProgressed(
            id=strawberry.ID("2"),
            cursor="second",
            actor=Actor(kind="APPLICATION", label=None),
            installation=None,
            steps=[SyncStep(name=f"after {after}", done=3, total=40)],
        )
        await asyncio.Event().wait()


async def drop_socket(info: strawberry.Info) -> None:
    """Close the connection, as a gateway does that is stopped."""
    await info.context["request"].close(1012)


def site(graphiql: GraphiQL) -> Starlette:
    schema = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[
            InstallationStatusChanged,
            InstallationMetadataUpdated,
            InstallationSyncProgressed,
            InstallationConnectionReported,
        ],
    )
    endpoint: GraphQL[None, None] = GraphQL(
        schema, graphql_ide=None, subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL]
    )

    class PageOrEndpoint:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            wants_page = "text/html" in Headers(scope=scope).get("accept", "")
            answer: ASGIApp = graphiql.page_app if wants_page else endpoint
            await answer(scope, receive, send)

    routes = [Route("/graphql", PageOrEndpoint()), WebSocketRoute("/graphql", endpoint), *graphiql.routes()]
    return Starlette(routes=routes)
