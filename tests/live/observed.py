"""`gateway serve` with a route /observed that reports memory and counts; with CHANGES_ALONE, it makes no batches."""

import asyncio
import gc
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import psutil
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway import app as composition
from gateway import wiring
from gateway.cli import serve
from gateway.cli.commands import main
from gateway.feed import FeedStats
from gateway.transport.connections import ConnectionRegistry
from gateway.usecases.services import Services

CHANGES_ALONE = {"TESTS_CHANGES_ALONE": "1"}
"""The environment of a gateway that makes each change in a transaction of its own."""


def observed_app(*arguments: Any, registry: ConnectionRegistry, **more: Any) -> Starlette:
    app = composition.create_app(*arguments, registry=registry, **more)
    (stats,) = (one for one in gc.get_objects() if isinstance(one, FeedStats))

    async def report(_request: Request) -> JSONResponse:
        gc.collect()
        return JSONResponse(
            {
                "subscribers": stats.subscribers,
                "catchups": stats.catchups,
                "connections": len(registry.connections),
                "tasks": len(asyncio.all_tasks()),
                "memory": psutil.Process().memory_info().rss,
            }
        )

    app.router.routes.append(Route("/observed", report))
    return app


def run_observed(arguments: Sequence[str]) -> None:
    """Run a command of the gateway, in a process that runs nothing else."""
    vars(serve)["create_app"] = observed_app  # it adds the route to the gateway's own application
    if CHANGES_ALONE.items() <= os.environ.items():
        vars(wiring)["Services"] = partial(Services, batch_writes=False)
    main(arguments)
