"""`gateway serve` with a route /observed that reports memory and counts: `python -m tests.live.observed serve …`."""

import asyncio
import gc
import sys
from typing import Any

import psutil
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway import app as composition
from gateway.cli import serve
from gateway.cli.commands import main
from gateway.feed import FeedStats
from gateway.transport.connections import ConnectionRegistry


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


if __name__ == "__main__":
    vars(serve)["create_app"] = observed_app  # it adds the route to the gateway's own application
    main(sys.argv[1:])
