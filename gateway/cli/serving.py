"""`gateway serve`: the database, the address, the application on it, and leaving well."""

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from gateway import __version__
from gateway.app import Welcome, create_app
from gateway.cli.default_keys import ACCOUNT, APPLICATION, DefaultKey, default_keys
from gateway.cli.places import Place, opened_gateway, place
from gateway.demo.catalogue import APPLICATIONS
from gateway.demo.loading import first_installation_id, load_example_data
from gateway.domain.installations import AuthorizationMethod
from gateway.settings import Settings, read_settings
from gateway.storage.database import open_database
from gateway.storage.migrations import check_migrations, migrate
from gateway.web.graphiql.examples import ExampleSubjects, workflow_tabs
from gateway.web.graphiql.page import PrefilledKey
from gateway.web.lifetime import Lifetime
from gateway.web.protocols import HttpProtocol, WebSocketProtocol

BACKLOG = 2048


async def serve(
    *, data: Path | None, host: str, port: int, demo: bool, migrate_first: bool, drain_seconds: float | None
) -> int:
    """Serve until a signal to stop; a second one stops at once."""
    settings = read_settings()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("databases", "uvicorn", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    lifetime = Lifetime()
    with _listening(host, port) as listener, _stoppable(lifetime) as stop:
        async with place(data, exclusive=True) as found:
            welcome = await _prepared(found, settings, demo=demo, migrate_first=migrate_first)
            app = create_app(
                settings, database_url=found.url, lifetime=lifetime, welcome=welcome[1] if welcome else None
            )
            server = _Server(_configuration(app, settings, drain_seconds=drain_seconds))
            stop.serve_with(server)
            _announce(listener, found, keys=welcome[0] if welcome else (), settings=settings)
            await server.serve(sockets=[listener])
            return 0 if server.started else 1


async def _prepared(
    found: Place, settings: Settings, *, demo: bool, migrate_first: bool
) -> tuple[tuple[DefaultKey, ...], Welcome] | None:
    """See to it that the database can be served; the embedded one gets example data and keys as well."""
    if found.directory is None:
        if migrate_first:
            await migrate(found.url)
        async with open_database(found.url, pool_size=1) as database:
            await check_migrations(database)
        return None
    async with opened_gateway(found, settings) as gateway:
        if demo:
            await load_example_data(gateway)
        keys = await default_keys(gateway, found.directory)
    return keys, _welcome(keys)


def _welcome(keys: tuple[DefaultKey, ...]) -> Welcome:
    unconnected = next(one for one in APPLICATIONS if one.method is AuthorizationMethod.API_KEY)
    subjects = ExampleSubjects(
        application_id=APPLICATION.id,
        application_slug=APPLICATION.slug,
        account_id=ACCOUNT.id,
        installation_id=first_installation_id(APPLICATION, ACCOUNT),
        api_key_application_id=unconnected.id,
    )
    prefilled = [PrefilledKey(label=key.label, secret=key.secret, kind=key.kind) for key in keys]
    return Welcome(keys=prefilled, tabs=workflow_tabs(subjects))


def _announce(listener: socket.socket, found: Place, *, keys: tuple[DefaultKey, ...], settings: Settings) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    lines = [f"Installations gateway {__version__}", f"  http://{shown}:{port}/graphql"]
    if found.directory is not None:
        if settings.graphiql is not False:
            lines[-1] += "   (open it in a browser for GraphiQL)"
        lines += [f"  data in {found.directory}", "  keys, the same at every start:"]
        lines += [f"    {key.kind.value.lower():12} {key.secret}   {key.label}" for key in keys]
    lines.append("Ctrl-C stops it.")
    print("\n".join(lines), flush=True)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Take the address before anything is started for it."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise OSError(f"cannot listen on {host} port {port}: {error.strerror}. Choose another --port.") from error
    with listener:
        yield listener


def _configuration(app: Starlette, settings: Settings, *, drain_seconds: float | None) -> uvicorn.Config:
    drain = settings.drain_seconds if drain_seconds is None else drain_seconds
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        ws_max_size=settings.max_body_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(drain)),
    )


class _Server(uvicorn.Server):
    """A server that leaves signals to whoever started it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Stop:
    """What a signal does: before the server runs it ends the start; then it drains; then it stops at once."""

    def __init__(self, lifetime: Lifetime, work: "asyncio.Task[object]") -> None:
        self._lifetime = lifetime
        self._work = work
        self._server: uvicorn.Server | None = None

    def serve_with(self, server: uvicorn.Server) -> None:
        self._server = server

    def __call__(self) -> None:
        if self._server is None:
            self._work.cancel()
        elif self._lifetime.draining:
            self._server.force_exit = True
        else:
            self._lifetime.begin()
            self._server.should_exit = True


@contextmanager
def _stoppable(lifetime: Lifetime) -> Iterator[_Stop]:
    loop, work = asyncio.get_running_loop(), asyncio.current_task()
    assert work is not None  # noqa: S101 - a coroutine runs in a task
    stop = _Stop(lifetime, work)
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        yield stop
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
