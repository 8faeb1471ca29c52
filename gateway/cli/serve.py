"""`gateway serve`: prepares the database, listens, and serves the application until a signal stops it."""

import asyncio
import ctypes
import gc
import logging
import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

from gateway import __version__
from gateway.app import create_app
from gateway.cli.database_target import DatabaseTarget, database_target, open_services
from gateway.cli.default_keys import default_keys
from gateway.cli.graceful_shutdown import Server, handle_signals
from gateway.cli.log_throttle import LOGGERS, LogThrottle
from gateway.cli.sockets import BACKLOG, connection_limits, listen
from gateway.demo.catalogue import APPLICATIONS
from gateway.demo.loading import load_example_data
from gateway.demo.scenarios import UNFINISHED_EXAMPLE
from gateway.domain.installations import AuthorizationMethod
from gateway.periodic import run_periodically
from gateway.settings import Settings, read_settings
from gateway.storage.database import open_database
from gateway.storage.migrations import check_migrations, migrate
from gateway.transport.graphiql.bundles import NOT_BUILT, load_bundle
from gateway.transport.graphiql.examples import ExampleSubjects, workflow_tabs
from gateway.transport.graphiql.page import OneTimeKeys, Prefilled, PrefilledKey
from gateway.transport.http.protocol import HttpProtocol
from gateway.transport.peers import Peers
from gateway.transport.websocket.protocol import WebSocketProtocol

_TRIM_SECONDS = 5.0


async def serve(
    *, data: Path | None, host: str, port: int, demo: bool, migrate_first: bool, drain_seconds: float | None
) -> int:
    """Serve until a signal; return the exit status."""
    settings = read_settings()
    if drain_seconds is not None:
        settings = settings.model_copy(update={"drain_seconds": drain_seconds})
    configure_logging(settings.log_level)
    with listen(host, port) as listener, handle_signals() as handler:
        async with database_target(data, exclusive=True) as target:
            keys = await _prepare_database(target, settings, demo=demo, migrate_first=migrate_first)
            prefilled = None if target.directory is None else _prefilled(keys)
            app = create_app(settings, database_url=target.url, registry=handler.registry, prefilled=prefilled)
            # Entered here and not by uvicorn, which logs an error at the start with its traceback, and leaves the end
            # of the lifespan out when it has to exit at once.
            async with (
                app.router.lifespan_context(app),
                run_periodically(_TRIM_SECONDS, _give_memory_back, name="give memory back"),
            ):
                handler.registry.peers.limits = connection_limits(settings)
                server = Server(server_configuration(app, settings, peers=handler.registry.peers))
                _collect_garbage_rarely()
                handler.server = server
                _print_address(listener, target, prefilled=prefilled, settings=settings)
                await server.serve(sockets=[listener])
                await handler.cancel_remaining()
    return handler.status


def configure_logging(level: str) -> None:
    """Write the log to the standard error. What libraries log about their usual work is not for operators."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger().setLevel(level.upper())
    for name in ("asyncio", "databases", "httpx", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in LOGGERS:
        logging.getLogger(name).addFilter(LogThrottle())


async def _prepare_database(
    target: DatabaseTarget, settings: Settings, *, demo: bool, migrate_first: bool
) -> tuple[PrefilledKey, ...]:
    """Check the migrations; fill the embedded database with example data and keys. Return these keys."""
    if target.directory is not None:
        async with open_services(target, settings) as services:
            if demo:
                await load_example_data(services)
            return await default_keys(services, target.directory)
    if migrate_first:
        await migrate(target.url)
    async with open_database(target.url, pool_size=1) as database:
        await check_migrations(database)
    return ()


def _prefilled(keys: Sequence[PrefilledKey]) -> Prefilled:
    """Return what GraphiQL starts with: the default keys, and tabs about the example that is not activated yet."""
    subjects = ExampleSubjects(
        application_id=UNFINISHED_EXAMPLE.application.id,
        application_slug=UNFINISHED_EXAMPLE.application.slug,
        account_id=UNFINISHED_EXAMPLE.account.id,
        installation_id=UNFINISHED_EXAMPLE.installation_id,
        api_key_application_id=next(
            one.id for one in APPLICATIONS if one.authorization_method is AuthorizationMethod.API_KEY
        ),
    )
    return Prefilled(keys=OneTimeKeys(keys=keys), tabs=workflow_tabs(subjects))


def server_configuration(
    app: ASGIApp, settings: Settings, *, peers: Peers, lifespan: Literal["on", "off"] = "off"
) -> uvicorn.Config:
    """Configure uvicorn. `serve` enters the application's lifespan itself, and turns uvicorn's off."""
    return uvicorn.Config(
        app,
        http=partial(HttpProtocol, peers=peers),  # type: ignore[arg-type]  # uvicorn only calls it
        ws=WebSocketProtocol,
        ws_max_size=settings.max_body_bytes,
        backlog=BACKLOG,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        timeout_graceful_shutdown=settings.drain_seconds,  # type: ignore[arg-type]  # any number does
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # nothing reads a client's address but `Peer`, which has the connection's
        server_header=False,
    )


def _collect_garbage_rarely() -> None:
    """Exempt the objects of the start from the collection of cyclic garbage, and collect less often.

    A request makes some thousand objects, hardly any of them in cycles. With Python's default thresholds the collection
    took a third of the time of a request; at fifty times the threshold, garbage takes some megabytes more.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def _give_memory_back() -> None:
    """Have glibc return free memory to the system, in a thread: 120 MB take 44 ms, and nothing 0.03 ms.

    By itself it returns what is free at the end of the heap only: 64 MB of unfinished heads stayed.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has it
    if trim is not None:
        await asyncio.to_thread(trim, 0)


def _print_address(
    listener: socket.socket, target: DatabaseTarget, *, prefilled: Prefilled | None, settings: Settings
) -> None:
    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/graphql"
    lines = [f"Installations gateway {__version__}", f"  {address}"]
    if settings.graphiql or (settings.graphiql is None and prefilled is not None):
        if load_bundle() is None:
            lines.append(f"  {NOT_BUILT}")
        elif prefilled is not None and prefilled.keys is not None:
            lines.append(f"  GraphiQL, with the keys filled in; works once: {address}#token={prefilled.keys.token}")
    if prefilled is not None and prefilled.keys is not None:
        lines += [f"  data in {target.directory}", "  keys, the same at every start:"]
        lines += [f"    {key.kind.value.lower():12} {key.secret}   {key.label}" for key in prefilled.keys.keys]
    lines.append("Ctrl-C stops it.")
    print("\n".join(lines), flush=True)
