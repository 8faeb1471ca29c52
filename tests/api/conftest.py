"""A whole gateway on a real socket, and clients over HTTP and WebSocket."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

import httpx
import pytest
import websockets
from playwright.async_api import Browser, async_playwright

from gateway import app
from gateway.domain.installations import Account, Application, AuthorizationMethod
from gateway.domain.principals import Principal, PrincipalKind
from gateway.settings import Settings
from gateway.storage.database import connection, open_database
from gateway.transport.connections import ConnectionRegistry
from gateway.usecases.api_keys import issue_key
from gateway.usecases.marketplace import register_account, register_application
from gateway.usecases.services import Services, utc_now
from tests.conftest import MakeDatabase
from tests.roles import SERVER, as_role
from tests.serving import DEADLINE, NO_CERTIFICATES, serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM_SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CLIENT_SECONDS = 60
"""For an answer on a machine whose cores are busy; httpx gives up after 5 s by default."""
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
        """Run an operation that has no errors; return its data."""
        answer = (await self.post(query, **variables)).json()
        assert "errors" not in answer, answer
        return answer["data"]

    async def errors(self, query: str, **variables: Any) -> list[dict[str, Any]]:
        answer = (await self.post(query, **variables)).json()
        errors: list[dict[str, Any]] = answer["errors"]
        return errors

    async def code(self, query: str, **variables: Any) -> str:
        """Run an operation that fails with one error; return its code."""
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

    async def next(self, *, within: float = 30.0) -> Any:
        """Return the data of the next event."""
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
    database_url: str
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


Serve = Callable[..., AbstractAsyncContextManager[Served]]
_FILLED = ("installation_events", "installations", "api_keys", "applications", "accounts", "documents")
_EMPTY = "; ".join(f"delete from {table}" for table in _FILLED)
"""Takes 1 ms for the rows of a test; `truncate` takes 25, for the files of all tables and indexes."""


@asynccontextmanager
async def serving_gateway(database_url: str, settings: Settings | None = None, **more: Any) -> AsyncIterator[Served]:
    """Serve a gateway as the README's serving role. Services and `database_url` are the superuser's."""
    registry = ConnectionRegistry()
    application = app.create_app(
        settings or Settings(), database_url=as_role(database_url, SERVER), registry=registry, **more
    )
    async with (
        serving(application, lifespan="on") as address,
        httpx.AsyncClient(verify=NO_CERTIFICATES, timeout=CLIENT_SECONDS) as http,
        open_database(database_url, pool_size=4) as database,
    ):
        await ready(http, f"{address}/readyz")
        services = Services(database=database, now=more.get("now", utc_now), notify=lambda: None)
        yield Served(
            url=f"{address}/graphql", database_url=database_url, services=services, registry=registry, http=http
        )
        registry.begin_drain()


async def ready(http: httpx.AsyncClient, url: str) -> None:
    async with asyncio.timeout(DEADLINE):
        while (await http.get(url)).status_code != 200:
            pass


@pytest.fixture(scope="session", autouse=True)
def _credentials_are_checked_often() -> Iterator[None]:
    """A gateway checks every two seconds whether the credential of a stream has expired."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(app, "CHECK_SECONDS", 0.1)
        yield


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Launch Chromium; each test opens a context of its own, which has a fresh profile."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_SWITCHES)
        yield browser
        await browser.close()


@pytest.fixture
def serve(database_url: str) -> Serve:
    """Serve a gateway of the test's own, for settings, a clock or faults; more than one on the same database."""
    return partial(serving_gateway, database_url)


NO_RATES = Settings(rates={"platform": 0, "application": 0, "account": 0, "anonymous": 0})
"""Of gateways that tests share: on a busy machine statements take long, and cost as much."""


@pytest.fixture(scope="session")
async def shared_gateway(make_database: MakeDatabase) -> AsyncIterator[Served]:
    async with make_database() as database_url, serving_gateway(database_url, NO_RATES) as served:
        yield served


@pytest.fixture
async def served(shared_gateway: Served) -> Served:
    """Return the session's gateway, with an empty database."""
    async with connection(shared_gateway.services.database) as held:
        await held.execute(_EMPTY)
    return shared_gateway


@pytest.fixture(scope="module")
async def module_gateway(make_database: MakeDatabase) -> AsyncIterator[Served]:
    """Serve a gateway whose rows stay for all tests of a module, which only read them."""
    async with make_database() as database_url, serving_gateway(database_url, NO_RATES) as served:
        yield served
