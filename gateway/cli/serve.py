"""`gateway serve`: the database, the address, the application on it, and leaving well."""

import gc
import logging
import socket
from pathlib import Path
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

from gateway import __version__
from gateway.app import Welcome, create_app
from gateway.cli.database_target import DatabaseTarget, opened_gateway, place
from gateway.cli.default_keys import ACCOUNT, APPLICATION, DefaultKey, default_keys
from gateway.cli.graceful_shutdown import Server, cut_quietly, handle_signals
from gateway.cli.sockets import listening
from gateway.demo.catalogue import APPLICATIONS
from gateway.demo.loading import first_installation_id, load_example_data
from gateway.domain.installations import AuthorizationMethod
from gateway.settings import Settings, read_settings
from gateway.storage.database import open_database
from gateway.storage.migrations import check_migrations, migrate
from gateway.transport.graphiql.examples import ExampleSubjects, workflow_tabs
from gateway.transport.graphiql.page import PrefilledKey
from gateway.transport.protocols import HttpProtocol, WebSocketProtocol


async def serve(
    *, data: Path | None, host: str, port: int, demo: bool, migrate_first: bool, drain_seconds: float | None
) -> int:
    """Serve until a signal to stop; answer the status to exit with."""
    settings = read_settings()
    if drain_seconds is not None:
        settings = settings.model_copy(update={"drain_seconds": drain_seconds})
    show_log(settings.log_level)
    with listening(host, port) as listener, handle_signals() as stop:
        async with place(data, exclusive=True) as found:
            welcome = await _prepared(found, settings, demo=demo, migrate_first=migrate_first)
            app = create_app(
                settings, database_url=found.url, registry=stop.registry, welcome=welcome[1] if welcome else None
            )
            # Entered here and not by uvicorn: what fails in it is said by the command, and its end is never left out.
            async with app.router.lifespan_context(app):
                server = Server(server_configuration(cut_quietly(app, stop.registry), settings))
                _settle_memory()
                stop.serve_with(server)
                _announce(listener, found, keys=welcome[0] if welcome else (), settings=settings)
                await server.serve(sockets=[listener])
                await stop.abandon()
    return stop.status


def _settle_memory() -> None:
    """Leave what is there for good out of every collection of cyclic garbage, and collect less often.

    A request makes some thousand objects, hardly any of them in cycles. By Python's own measure their collection took a
    third of the time of a request; collected fifty times more rarely, garbage takes some megabytes more.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def show_log(level: str) -> None:
    """Write the log to the standard error. What libraries tell of their work as usual is not for operators."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger().setLevel(level.upper())
    for name in ("asyncio", "databases", "httpx", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)


async def _prepared(
    found: DatabaseTarget, settings: Settings, *, demo: bool, migrate_first: bool
) -> tuple[tuple[DefaultKey, ...], Welcome] | None:
    """See to it that the database can be served; the embedded one gets example data and keys as well."""
    if found.directory is None:
        if migrate_first:
            await migrate(found.url)
        async with open_database(found.url, pool_size=1) as database:
            await check_migrations(database)
        return None
    async with opened_gateway(found, settings) as services:
        if demo:
            await load_example_data(services)
        keys = await default_keys(services, found.directory)
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


def _announce(
    listener: socket.socket, found: DatabaseTarget, *, keys: tuple[DefaultKey, ...], settings: Settings
) -> None:
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


def server_configuration(app: ASGIApp, settings: Settings, *, lifespan: Literal["on", "off"] = "off") -> uvicorn.Config:
    """Configure uvicorn. `serve` enters the application's lifespan itself, and turns uvicorn's off."""
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        ws_max_size=settings.max_body_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        timeout_graceful_shutdown=settings.drain_seconds,  # type: ignore[arg-type]  # any number does
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        server_header=False,
    )
