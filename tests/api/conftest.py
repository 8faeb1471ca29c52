"""A whole gateway on a real socket, and clients that speak to it as anybody would."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import pytest
import uvicorn
import websockets

from gateway.app import create_app
from gateway.domain.installations import Account, Application, AuthorizationMethod
from gateway.domain.principals import Principal, PrincipalKind
from gateway.settings import Settings
from gateway.storage.database import open_database
from gateway.transport.connections import ConnectionRegistry
from gateway.transport.protocols import HttpProtocol, WebSocketProtocol
from gateway.usecases.api_keys import issue_key
from gateway.usecases.marketplace import register_account, register_application
from gateway.usecases.services import Services, utc_now

PLATFORM = Principal(kind=PrincipalKind.PLATFORM, label="tests")


@dataclass(kw_only=True)
class Client:
    """One caller over HTTP, and over WebSocket with the same key."""

    http: httpx.AsyncClient
    url: str
    secret: str | None

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"} if self.secret else {}

    async def post(self, query: str, **variables: Any) -> httpx.Response:
        body = {"query": query, "variables": variables}
        # The standard encoder: it sends what a test means to send, lone surrogates and NaN included.
        return await self.http.post(
            self.url, content=json.dumps(body), headers={"Content-Type": "application/json", **self.headers}
        )

    async def data(self, query: str, **variables: Any) -> Any:
        """Run an operation that has no errors; answer its data."""
        answer = (await self.post(query, **variables)).json()
        assert "errors" not in answer, answer
        return answer["data"]

    async def errors(self, query: str, **variables: Any) -> list[dict[str, Any]]:
        answer = (await self.post(query, **variables)).json()
        errors: list[dict[str, Any]] = answer["errors"]
        return errors

    async def code(self, query: str, **variables: Any) -> str:
        """Run an operation that fails with one error; answer its code."""
        (error,) = await self.errors(query, **variables)
        code: str = error["extensions"]["code"]
        return code

    @asynccontextmanager
    async def subscription(self, query: str, **variables: Any) -> AsyncIterator["Subscribed"]:
        """Follow over graphql-transport-ws. A test that must miss nothing gives a cursor as `after`."""
        address = self.url.replace("http", "ws", 1)
        async with websockets.connect(address, subprotocols=[websockets.Subprotocol("graphql-transport-ws")]) as socket:
            await socket.send(json.dumps({"type": "connection_init", "payload": self.headers}))
            assert json.loads(await socket.recv()) == {"type": "connection_ack"}
            payload = {"query": query, "variables": variables}
            await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
            yield Subscribed(socket=socket)


@dataclass(kw_only=True)
class Subscribed:
    socket: websockets.ClientConnection
    received: list[Any] = field(default_factory=list)

    async def next(self, *, within: float = 5.0) -> Any:
        """Answer the data of the next event."""
        async with asyncio.timeout(within):
            while True:
                message = json.loads(await self.socket.recv())
                if message["type"] == "ping":
                    await self.socket.send(json.dumps({"type": "pong"}))
                    continue
                assert message["type"] == "next", message
                assert "errors" not in message["payload"], message
                self.received.append(message["payload"]["data"])
                return self.received[-1]

    async def take(self, count: int) -> list[Any]:
        return [await self.next() for _ in range(count)]


@dataclass(kw_only=True)
class Served:
    """A gateway that is being served, with the means to fill it."""

    url: str
    services: Services
    registry: ConnectionRegistry
    http: httpx.AsyncClient

    def client(self, secret: str | None) -> Client:
        return Client(http=self.http, url=self.url, secret=secret)

    async def key(
        self, kind: PrincipalKind, *, application_id: UUID | None = None, account_id: UUID | None = None
    ) -> Client:
        """Make a client with a new key."""
        issued = await issue_key(
            self.services,
            PLATFORM,
            kind=kind,
            application_id=application_id,
            account_id=account_id,
            label=f"a test's {kind.value.lower()}",
            expires_at=None,
        )
        return self.client(issued.secret)

    async def platform(self) -> Client:
        return await self.key(PrincipalKind.PLATFORM)

    async def of_application(self, application: Application, *, account: Account | None = None) -> Client:
        return await self.key(
            PrincipalKind.APPLICATION, application_id=application.id, account_id=account.id if account else None
        )

    async def of_account(self, account: Account) -> Client:
        return await self.key(PrincipalKind.ACCOUNT, account_id=account.id)

    async def application(
        self,
        slug: str = "ledgerline",
        *,
        method: AuthorizationMethod = AuthorizationMethod.OAUTH,
        requires_configuration: bool = False,
        listed: bool = True,
    ) -> Application:
        return await register_application(
            self.services,
            PLATFORM,
            slug=slug,
            name=slug.replace("-", " ").title(),
            description=f"About {slug}.",
            categories=("accounting",),
            logo_url=None,
            authorization_method=method,
            requires_configuration=requires_configuration,
            listed=listed,
        )

    async def account(self, name: str = "Acme Bakery") -> Account:
        return await register_account(self.services, PLATFORM, account_id=None, name=name)


Serve = Callable[..., Any]


@pytest.fixture
def serve(database_url: str) -> Serve:
    """Serve a gateway on the test's database; more than one, where a test wants that."""

    @asynccontextmanager
    async def served(settings: Settings | None = None, **more: Any) -> AsyncIterator[Served]:
        settings, registry = settings or Settings(), ConnectionRegistry()
        app = create_app(settings, database_url=database_url, registry=registry, **more)
        config = uvicorn.Config(
            app,
            http=HttpProtocol,
            ws=WebSocketProtocol,
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=5,
        )
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            running = asyncio.create_task(server.serve(sockets=[listener]))
            async with httpx.AsyncClient() as http, open_database(database_url, pool_size=4) as own:
                url = f"http://127.0.0.1:{port}/graphql"
                await ready(http, url.replace("/graphql", "/readyz"), running=running)
                services = Services(database=own, now=more.get("now", utc_now), notify=lambda: None)
                try:
                    yield Served(url=url, services=services, registry=registry, http=http)
                finally:
                    registry.begin()
                    server.should_exit = True
                    await running

    return served


async def ready(http: httpx.AsyncClient, url: str, *, running: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(10):
        while True:
            assert not running.done(), "the gateway did not start"
            response = await http.get(url)
            if response.status_code == 200:
                return


@pytest.fixture
async def served(serve: Serve) -> AsyncIterator[Served]:
    async with serve() as one:
        yield one
