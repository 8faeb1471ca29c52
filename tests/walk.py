"""Follow one real call through the gateway: `python -m tests.walk query|mutation|event`.

Prints the distinct functions of `gateway/` that the call enters, in order, with their files. The gateway is warm and
serves over a real socket on an embedded Postgres; `sys.setprofile` records its thread alone, and the client runs in
another one. Of several calls the shortest record counts: a periodic task may fall into any of them.

An event is followed from `Notifier.notify`, after the commit in one gateway, through the writer's part of `feed/` and
from the notification to the WebSocket frame in another gateway; each has an event loop and a thread of its own.
Comprehensions count as part of the function that they stand in.
"""

import asyncio
import json
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import httpx
import uvicorn
from websockets import Subprotocol
from websockets.sync.client import connect

from gateway.app import create_app
from gateway.cli.serve import server_configuration
from gateway.demo.loading import load_example_data
from gateway.demo.scenarios import UNFINISHED_EXAMPLE
from gateway.domain.principals import Principal, PrincipalKind
from gateway.settings import Settings
from gateway.storage.database import open_database
from gateway.storage.embedded import embedded_postgres_blocking
from gateway.storage.migrations import migrate
from gateway.transport.connections import ConnectionRegistry
from gateway.usecases.api_keys import issue_key
from gateway.usecases.services import Services

PACKAGE: Final = str(Path(__file__).parent.parent / "gateway")
RUNS: Final = 8
PLATFORM: Final = Principal(kind=PrincipalKind.PLATFORM, label="walk")
QUERY: Final = """query ($id: ID!) { installation(id: $id) {
  id status metadata createdAt updatedAt application { name slug } account { name } } }"""
ACTIVATE: Final = """mutation ($input: ActivateInstallationInput!) { activateInstallation(input: $input) {
  __typename ... on Installation { id status version } ... on Error { message } } }"""
DEACTIVATE: Final = """mutation ($input: DeactivateInstallationInput!) { deactivateInstallation(input: $input) {
  __typename } }"""
AUTHORIZE: Final = """mutation ($input: AuthorizeInstallationInput!) { authorizeInstallation(input: $input) {
  __typename } }"""
SUBSCRIBE: Final = "subscription { installationStatusChanged { installationId to } }"


class Record:
    """The functions that a thread enters while recording; install it in that thread."""

    def __init__(self) -> None:
        self.functions: dict[CodeType, None] = {}
        self.active = False
        self.starts_at: str | None = None
        """The qualified name of the function whose call begins the record; None: it begins at once."""

    def install(self) -> None:
        sys.setprofile(self._on_event)

    def begin(self, *, at: str | None = None) -> None:
        self.functions = {}
        self.starts_at = at
        self.active = True

    def end(self) -> list[str]:
        self.active = False
        return [f"{code.co_filename.removeprefix(PACKAGE)[1:]} {code.co_qualname}" for code in self.functions]

    def _on_event(self, frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event != "call" or not self.active or not code.co_filename.startswith(PACKAGE):
            return
        if code.co_name in {"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"}:
            return
        if self.starts_at is not None and code.co_qualname != self.starts_at:
            return
        self.starts_at = None
        self.functions.setdefault(code)


class GatewayThread:
    """A gateway that serves `url` in a thread of its own, with a record of what it enters."""

    def __init__(self, database_url: str) -> None:
        self.record = Record()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/graphql"
        registry = ConnectionRegistry()
        app = create_app(Settings(), database_url=database_url, registry=registry)
        self._server = uvicorn.Server(server_configuration(app, Settings(), peers=registry.peers, lifespan="on"))
        self._thread = threading.Thread(target=self._run)

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            while httpx.get(self.url.replace("/graphql", "/readyz")).status_code != httpx.codes.OK:
                time.sleep(0.02)
            yield
        finally:
            self._server.should_exit = True
            self._thread.join()

    def _run(self) -> None:
        self.record.install()
        asyncio.run(self._server.serve(sockets=[self._listener]))


class Caller:
    """Calls one gateway over one connection."""

    def __init__(self, gateway: GatewayThread, secret: str) -> None:
        self._url = gateway.url
        self.headers = {"Authorization": f"Bearer {secret}"}
        self._http = httpx.Client(headers=self.headers, timeout=10)

    def call(self, document: str, **variables: Any) -> Any:
        answer = self._http.post(self._url, json={"query": document, "variables": variables}).json()
        assert "errors" not in answer, answer
        return answer["data"]


async def prepare(database_url: str) -> str:
    """Load the example data and return the secret of a platform's key."""
    async with open_database(database_url, pool_size=2) as database:
        services = Services(database=database, notify=lambda: None)
        await load_example_data(services)
        issued = await issue_key(
            services,
            PLATFORM,
            kind=PrincipalKind.PLATFORM,
            application_id=None,
            account_id=None,
            label="walk",
            expires_at=None,
        )
        return issued.secret


def shortest(run: Callable[[], list[str]]) -> list[str]:
    """Make a call several times and return the shortest record of it; the first one warms up."""
    return min([run() for _ in range(RUNS)][1:], key=len)


def recorded(record: Record, call: Callable[[], object]) -> list[str]:
    record.begin()
    call()
    time.sleep(0.005)  # what the gateway does after its answer
    return record.end()


def walk_query(database_url: str, secret: str) -> list[str]:
    gateway = GatewayThread(database_url)
    with gateway.running():
        caller, installation = Caller(gateway, secret), str(UNFINISHED_EXAMPLE.installation_id)
        return shortest(lambda: recorded(gateway.record, lambda: caller.call(QUERY, id=installation)))


def walk_mutation(database_url: str, secret: str) -> list[str]:
    gateway = GatewayThread(database_url)
    with gateway.running():
        caller, change = Caller(gateway, secret), Change(secret, gateway)

        def run() -> list[str]:
            change.undo()
            time.sleep(0.05)  # what the preparation left for later turns of the loop is not part of the call
            return recorded(gateway.record, lambda: caller.call(ACTIVATE, input=change.target))

        return shortest(run)


class Change:
    """Brings the example's first installation back to AUTHORIZED, so that it can be activated again."""

    def __init__(self, secret: str, gateway: GatewayThread) -> None:
        self.target = {"id": str(UNFINISHED_EXAMPLE.installation_id)}
        self._pair = {
            "applicationId": str(UNFINISHED_EXAMPLE.application.id),
            "accountId": str(UNFINISHED_EXAMPLE.account.id),
        }
        self._caller = Caller(gateway, secret)

    def undo(self) -> None:
        self._caller.call(DEACTIVATE, input=self.target)
        self._caller.call(AUTHORIZE, input=self._pair)


def walk_event(database_url: str, secret: str) -> list[str]:
    writer, reader = GatewayThread(database_url), GatewayThread(database_url)
    with writer.running(), reader.running():
        caller, change = Caller(writer, secret), Change(secret, writer)
        address = reader.url.replace("http", "ws", 1)
        with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as client:
            client.send(json.dumps({"type": "connection_init", "payload": caller.headers}))
            client.recv()
            client.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": SUBSCRIBE}}))
            time.sleep(0.3)

            def run() -> list[str]:
                change.undo()
                client.recv(), client.recv()
                time.sleep(0.05)
                writer.record.begin(at="Notifier.notify")
                reader.record.begin(at="LogReader._on_notify")
                caller.call(ACTIVATE, input=change.target)
                client.recv()
                time.sleep(0.005)
                notified = [line for line in writer.record.end() if line.startswith(("feed/", "storage/queries.py"))]
                return [*notified, *(line for line in reader.record.end() if line not in notified)]

            return shortest(run)


WALKS: Final = {"query": walk_query, "mutation": walk_mutation, "event": walk_event}


@contextmanager
def prepared_database() -> Iterator[tuple[str, str]]:
    """Start Postgres with the example data; yield its URL, and the secret of a platform's key."""
    with (
        tempfile.TemporaryDirectory(prefix="gateway-") as directory,
        embedded_postgres_blocking(Path(directory), exclusive=True, settings={"fsync": "off"}) as database_url,
    ):
        asyncio.run(migrate(database_url))
        yield database_url, asyncio.run(prepare(database_url))


def main() -> None:
    kinds = sys.argv[1:] or list(WALKS)
    with prepared_database() as (database_url, secret):
        for kind in kinds:
            functions = WALKS[kind](database_url, secret)
            files = {line.split()[0] for line in functions}
            sys.stdout.write("\n".join([*functions, f"{kind}: {len(functions)} functions in {len(files)} files", ""]))


if __name__ == "__main__":
    main()
