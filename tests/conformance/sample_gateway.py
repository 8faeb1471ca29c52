"""A small schema for the tests of the transports, and a gateway that serves it on a loopback port."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Hashable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Self, cast
from urllib.parse import urlsplit

import strawberry
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from strawberry.scalars import JSON

from gateway.app import Application
from gateway.auth.authentication import Authentication
from gateway.domain.errors import CursorExpired, Forbidden, Unauthenticated, Unavailable
from gateway.domain.principals import Principal, PrincipalKind
from gateway.execution.documents import Documents
from gateway.operations.pipeline import OperationPipeline
from gateway.periodic import run_periodically
from gateway.transport.connections import ConnectionRegistry
from gateway.transport.http.endpoint import HttpEndpoint, HttpLimits
from gateway.transport.http.health import health_routes
from gateway.transport.websocket.connection import WebSocketEndpoint, WebSocketLimits
from tests.serving import serving

TICK_SECONDS = 0.05
"""Between the checks of all connections; a gateway checks them once a second."""
LARGE_BYTES = 20_000_000
"""Of the answer of /large."""
KEY = "igw_first"
OTHER_KEY = "igw_second"
PRINCIPALS = {
    KEY: Principal(kind=PrincipalKind.PLATFORM, id="first"),
    OTHER_KEY: Principal(kind=PrincipalKind.PLATFORM, id="second"),
}


@dataclass(frozen=True, kw_only=True)
class Tick:
    """An event and its position in a log; it has no share key where the position is negative."""

    place: int

    @property
    def share_key(self) -> Hashable:
        return None if self.place < 0 else self.place

    @property
    def cursor(self) -> str:
        return f"c{self.place}"


@dataclass
class State:
    """The state behind the resolvers, which tests change and inspect."""

    ticks: list[int] = field(default_factory=list)
    ticked: asyncio.Condition = field(default_factory=asyncio.Condition)
    executions: list[int] = field(default_factory=list)
    subscribers: int = 0
    prepared: list[frozenset[str]] = field(default_factory=list)
    mutations: int = 0
    abandoned: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str | None = None
    checks: int = 0

    async def tick(self, *places: int) -> None:
        async with self.ticked:
            self.ticks.extend(places)
            self.ticked.notify_all()

    async def follow(self, after: int) -> AsyncGenerator[Tick, None]:
        self.subscribers += 1
        try:
            for number in itertools.count(after):
                async with self.ticked:
                    while len(self.ticks) <= number:
                        await self.ticked.wait()
                yield Tick(place=self.ticks[number])
        finally:
            self.subscribers -= 1


@dataclass(frozen=True, kw_only=True)
class Context:
    state: State
    caller: Principal | None
    last_event_id: str | None = None
    read: list[str] = field(default_factory=list)
    """What the resolvers read of the state."""
    subscription_size: int = 1
    prepared_fields: ClassVar[frozenset[str] | None] = None

    @property
    def share_key(self) -> Hashable:
        return None if self.caller is None else self.caller.bounds

    @property
    def has_read(self) -> bool:
        return bool(self.read)

    def for_event(self) -> Self:
        return replace(self, read=[])

    def abandon(self) -> None:
        self.state.abandoned += 1

    async def prepare(self, root_fields: Collection[str]) -> None:
        self.state.prepared.append(frozenset(root_fields))
        if "forbidden" in root_fields:
            raise Forbidden("This is not for you.")


def _context(info: strawberry.Info) -> Context:
    return cast("Context", info.context)


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"Hello, {name}!"

    @strawberry.field
    async def echo(self, value: JSON) -> JSON | None:
        return value

    @strawberry.field
    def broken(self) -> str | None:
        raise RuntimeError("postgres://secret@nowhere")

    @strawberry.field
    def required(self) -> str:
        raise RuntimeError("secret")

    @strawberry.field
    def unavailable(self) -> str | None:
        raise Unavailable("The database does not answer.")

    @strawberry.field
    def forbidden(self) -> str:
        return "never"

    @strawberry.field
    def self(self) -> "Query":
        return Query()

    @strawberry.field
    def caller(self, info: strawberry.Info) -> str | None:
        caller = _context(info).caller
        return None if caller is None else caller.id

    @strawberry.field
    def padding(self, size: int) -> str:
        return "x" * size

    @strawberry.field
    async def gated(self, info: strawberry.Info) -> str:
        await _context(info).state.gate.wait()
        return "open"


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def change(self, info: strawberry.Info, *, gated: bool = False) -> int:
        state = _context(info).state
        if gated:
            await state.gate.wait()
        state.mutations += 1
        return state.mutations


@strawberry.type
class TickView:
    tick: strawberry.Private[Tick]

    @property
    def share_key(self) -> Hashable:
        return self.tick.share_key

    @property
    def cursor(self) -> str:
        return self.tick.cursor

    @strawberry.field
    async def place(self, info: strawberry.Info) -> int:
        _context(info).state.executions.append(self.tick.place)
        await asyncio.sleep(0)
        return self.tick.place

    @strawberry.field
    async def latest(self, info: strawberry.Info) -> int:
        """The latest place, as it is now."""
        context = _context(info)
        context.read.append("latest")
        context.state.executions.append(self.tick.place)
        latest = context.state.ticks[-1]
        await asyncio.sleep(0)
        return latest

    @strawberry.field
    async def held(self, info: strawberry.Info) -> str:
        await _context(info).state.gate.wait()
        return "free"

    @strawberry.field
    def padding(self, size: int) -> str:
        return "x" * size


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self, info: strawberry.Info, after: int | None = None) -> AsyncIterator[TickView]:
        context = _context(info)
        start = int((context.last_event_id or "c0")[1:]) if after is None else after
        async with aclosing(context.state.follow(start)) as ticks:
            async for tick in ticks:
                yield TickView(tick=tick)

    @strawberry.subscription
    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    @strawberry.subscription
    async def expiring(self) -> AsyncIterator[int]:
        yield 1
        raise CursorExpired("The log begins later.", oldest="c7")

    @strawberry.subscription
    async def crashing(self) -> AsyncIterator[int]:
        yield 1
        raise RuntimeError("secret")


SCHEMA = strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription)


async def authenticate(credential: str) -> Principal:
    if credential == "igw_hanging":
        await asyncio.Event().wait()
    if credential == "igw_unlucky":
        raise Unavailable("The database does not answer.")
    if credential == "igw_crashing":
        raise RuntimeError("secret")
    if credential not in PRINCIPALS:
        raise Unauthenticated("This key is not known.")
    return PRINCIPALS[credential]


@dataclass(kw_only=True)
class Gateway:
    """A gateway that serves."""

    url: str
    state: State
    pipeline: OperationPipeline
    registry: ConnectionRegistry
    _advanced: float = 0.0

    def advance(self, seconds: float) -> None:
        """Check the connections as the registry would after this time, without waiting for it."""
        self._advanced += seconds
        now = asyncio.get_running_loop().time() + self._advanced
        for connection in self.registry.connections:
            connection.on_tick(now)

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1)


@asynccontextmanager
async def served(
    *,
    http_limits: HttpLimits = HttpLimits(),  # noqa: B008 - frozen
    websocket_limits: WebSocketLimits = WebSocketLimits(),  # noqa: B008 - frozen
    anonymous_introspection: bool = True,
    page: bool = True,
    ws_max_size: int = 100_000,
    keep_alive: float = 5,
    hide_suggestions: bool = False,
    **options: Any,
) -> AsyncIterator[Gateway]:
    state = State()
    registry = ConnectionRegistry()
    pipeline = OperationPipeline(
        Documents(SCHEMA, hide_suggestions=hide_suggestions),
        make_context=partial(Context, state=state),
        run_to_completion=registry.run_to_completion,
        **options,
    )

    async def reason_not_ready() -> str | None:
        state.checks += 1
        if state.reason == "crash":
            raise RuntimeError("secret")
        return state.reason

    authentication = Authentication(keys=authenticate, tokens=None, anonymous_introspection=anonymous_introspection)
    application = Application(
        HttpEndpoint(
            pipeline=pipeline,
            authentication=authentication,
            registry=registry,
            page=HTMLResponse("<title>A page</title>") if page else None,
            limits=http_limits,
        ),
        WebSocketEndpoint(pipeline=pipeline, authentication=authentication, registry=registry, limits=websocket_limits),
        routes=[
            Route("/large", lambda _request: Response(b"x" * LARGE_BYTES)),
            *health_routes(registry=registry, reason_not_ready=reason_not_ready),
        ],
    )
    ticking = run_periodically(TICK_SECONDS, registry.check, name="checking connections")
    async with (
        ticking,
        serving(application, peers=registry.peers, ws_max_size=ws_max_size, timeout_keep_alive=keep_alive) as address,
    ):
        yield Gateway(url=f"{address}/graphql", state=state, pipeline=pipeline, registry=registry)
