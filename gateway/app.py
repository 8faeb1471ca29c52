"""The composition root: `create_app` builds the components from settings, and the ASGI application on top of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route, WebSocketRoute

from gateway.auth.access_tokens.verification import AccessTokens
from gateway.auth.authentication import Authentication
from gateway.background_tasks import expire_due, prune, summarise_times
from gateway.domain.errors import GatewayError
from gateway.feed.feed import Feed
from gateway.operations.pipeline import OperationPipeline
from gateway.periodic import run_logging_errors, run_periodically
from gateway.schema.context import Context
from gateway.settings import Settings
from gateway.storage.api_keys import KEYS_CHANNEL
from gateway.storage.database import Database
from gateway.storage.migrations import MigrationError, check_migrations
from gateway.transport.connections import CHECK_SECONDS, TICK_SECONDS, ConnectionRegistry
from gateway.transport.graphiql.bundles import load_bundle
from gateway.transport.graphiql.page import GraphiQL, Prefilled
from gateway.transport.http.endpoint import HttpEndpoint, HttpLimits
from gateway.transport.http.health import health_routes
from gateway.transport.http.metrics import OperationMetrics, metrics_routes, scraped_metrics
from gateway.transport.http.security_headers import GRAPHQL_PATH, browser_security, unexpected_error
from gateway.transport.websocket.connection import WebSocketEndpoint, WebSocketLimits
from gateway.usecases.api_keys import ApiKeyCache, find_ended_keys
from gateway.usecases.batch_loader import BatchLoaders
from gateway.usecases.documents import RegisteredDocuments
from gateway.usecases.services import Services, utc_now
from gateway.wiring import access_tokens, build_database, build_pipeline, build_services

EXPIRY_SECONDS = 1.0
KEY_USE_SECONDS = 5.0
RETENTION_SECONDS = 60.0
SUMMARY_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Components:
    """The components of one application."""

    settings: Settings
    registry: ConnectionRegistry
    database: Database
    services: Services
    feed: Feed
    api_key_cache: ApiKeyCache
    tokens: AccessTokens | None
    keys_revoked: asyncio.Event
    """Set when API keys were revoked: the credentials of open connections are checked at once."""
    pipeline: OperationPipeline
    metrics: OperationMetrics | None


class Application(Starlette):
    """The ASGI application; HttpProtocol and WebSocketProtocol call its GraphQL endpoints without it.

    The registry of the endpoints has to be checked periodically.
    """

    def __init__(
        self,
        endpoint: HttpEndpoint,
        websocket_endpoint: WebSocketEndpoint,
        *,
        routes: Sequence[BaseRoute] = (),
        allowed_origins: Collection[str] = (),
        **options: Any,
    ) -> None:
        """Make it of the GraphQL endpoints, and the routes beside them."""
        super().__init__(
            routes=[Route(GRAPHQL_PATH, endpoint), WebSocketRoute(GRAPHQL_PATH, websocket_endpoint), *routes],
            middleware=browser_security(allowed_origins),
            exception_handlers={Exception: unexpected_error},
            **options,
        )
        self.router.redirect_slashes = False  # the address would have whatever Host the request has
        self.endpoint, self.websocket_endpoint = endpoint, websocket_endpoint
        self.cross_origin = bool(allowed_origins)
        """Whether pages of other origins may call it: the response to a request with an Origin is the application's."""


def create_app(
    settings: Settings,
    *,
    database_url: str,
    registry: ConnectionRegistry | None = None,
    prefilled: Prefilled | None = None,
    now: Callable[[], datetime] = utc_now,
) -> Application:
    """Make the application. Its lifespan raises MigrationError for a database whose migrations are behind or ahead.

    `registry` lets the caller drain it. `prefilled` is given for the embedded database alone: then GraphiQL and metrics
    are served, and introspection needs no key, unless the settings say otherwise.
    """
    parts = build_components(
        settings, database_url=database_url, registry=registry or ConnectionRegistry(), prefilled=prefilled, now=now
    )
    graphiql = GraphiQL(bundle=load_bundle(), prefilled=prefilled or Prefilled()) if parts.settings.graphiql else None
    authentication = Authentication(
        keys=parts.api_key_cache.authenticate,
        known_key=parts.api_key_cache.known,
        tokens=parts.tokens.authenticate if parts.tokens else None,
        anonymous_introspection=parts.settings.introspection == "anyone",
    )
    websocket_limits = WebSocketLimits(per_caller=settings.max_caller_connections)
    return Application(
        HttpEndpoint(
            pipeline=parts.pipeline,
            authentication=authentication,
            registry=parts.registry,
            page=graphiql.page_app if graphiql else None,
            limits=HttpLimits(body_bytes=settings.max_body_bytes, batch=settings.max_batch),
        ),
        WebSocketEndpoint(
            pipeline=parts.pipeline, authentication=authentication, registry=parts.registry, limits=websocket_limits
        ),
        routes=[*(graphiql.routes() if graphiql else ()), *_operator_routes(parts)],
        allowed_origins=settings.allowed_origins,
        lifespan=lambda _app: _lifespan(parts),
    )


def _operator_routes(parts: Components) -> list[Route]:
    routes = health_routes(registry=parts.registry, reason_not_ready=partial(_reason_not_ready, parts.database))
    if parts.metrics is not None:
        read = partial(scraped_metrics, parts.feed.stats, registry=parts.registry, pool_usage=parts.database.usage)
        routes += metrics_routes(parts.metrics, read=read)
    return routes


def build_components(
    settings: Settings,
    *,
    database_url: str,
    registry: ConnectionRegistry,
    prefilled: Prefilled | None,
    now: Callable[[], datetime],
) -> Components:
    """Make all components; none of them is open yet."""
    settings = _with_defaults(settings, embedded=prefilled is not None)
    metrics = OperationMetrics() if settings.metrics else None
    database = build_database(settings, url=database_url)
    feed = Feed(database, url=database_url)
    services = build_services(settings, database=database, now=now, notify=feed.notify)
    api_key_cache = ApiKeyCache(services)
    keys_revoked = asyncio.Event()
    feed.listeners[KEYS_CHANNEL] = partial(_forget_keys, api_key_cache, keys_revoked)
    make_context = partial(
        Context, services=services, feed=feed, api_key_cache=api_key_cache, batch_loaders=BatchLoaders(database)
    )
    return Components(
        settings=settings,
        registry=registry,
        database=database,
        services=services,
        feed=feed,
        api_key_cache=api_key_cache,
        tokens=access_tokens(settings, now=now),
        keys_revoked=keys_revoked,
        pipeline=build_pipeline(
            settings,
            make_context=make_context,
            registered=RegisteredDocuments(services),
            run_to_completion=registry.run_to_completion,
            observe=metrics.observe if metrics else None,
        ),
        metrics=metrics,
    )


def _forget_keys(api_key_cache: ApiKeyCache, keys_revoked: asyncio.Event) -> None:
    """Read every key anew: some were revoked."""
    api_key_cache.clear()
    keys_revoked.set()


def _with_defaults(settings: Settings, *, embedded: bool) -> Settings:
    """Fill in the settings whose default depends on the database."""
    defaults = {"graphiql": embedded, "metrics": embedded, "introspection": "anyone" if embedded else "callers"}
    return settings.model_copy(
        update={name: value for name, value in defaults.items() if getattr(settings, name) is None}
    )


@asynccontextmanager
async def _lifespan(parts: Components) -> AsyncIterator[None]:
    """Open the components in this order, and close them in the reverse one."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(parts.database)
        await check_migrations(parts.database)
        await stack.enter_async_context(parts.feed)
        expire = partial(expire_due, parts.services)
        await stack.enter_async_context(run_periodically(EXPIRY_SECONDS, expire, name="expiring installations"))
        summarise = partial(summarise_times, parts.services)
        await stack.enter_async_context(run_periodically(SUMMARY_SECONDS, summarise, name="summarising times"))
        if parts.settings.retention_days:
            pruning = partial(prune, parts.services, days=parts.settings.retention_days)
            await stack.enter_async_context(run_periodically(RETENTION_SECONDS, pruning, name="pruning events"))
        store, name = parts.api_key_cache.store_last_used, "storing the use of keys"
        stack.push_async_callback(run_logging_errors, store, name=name)
        await stack.enter_async_context(run_periodically(KEY_USE_SECONDS, store, name=name))
        if parts.tokens is not None:
            await stack.enter_async_context(parts.tokens)
        await stack.enter_async_context(
            run_periodically(TICK_SECONDS, parts.registry.check, name="checking connections")
        )
        ended = partial(find_ended_keys, parts.services)
        check = partial(parts.registry.check_credentials, ended_keys=ended, now=parts.services.now)
        await stack.enter_async_context(
            run_periodically(CHECK_SECONDS, check, name="checking credentials", wake=parts.keys_revoked)
        )
        yield


async def _reason_not_ready(database: Database) -> str | None:
    try:
        await check_migrations(database)
    except (MigrationError, GatewayError) as error:
        return str(error)
    return None
