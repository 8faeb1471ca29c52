"""The one place where the rooms are put together."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from gateway import __version__
from gateway.auth.access_tokens.verification import AccessTokens
from gateway.auth.authentication import Authentication, Credentials
from gateway.background_tasks import act_on_time, attempt, prune, repeated
from gateway.domain.errors import GatewayError
from gateway.domain.principals import Principal
from gateway.feed.feed import Feed
from gateway.schema.context import Context
from gateway.settings import Settings
from gateway.storage.api_keys import KEYS_CHANNEL
from gateway.storage.database import Database
from gateway.storage.migrations import MigrationError, check_migrations
from gateway.transport.connections import ConnectionRegistry
from gateway.transport.graphiql.bundles import load_bundle
from gateway.transport.graphiql.page import GraphiQL, Prefilled
from gateway.transport.http.health import health_routes
from gateway.transport.http.metrics import OperationMetrics, gauges, metrics_routes
from gateway.transport.http.security_headers import browser_rules, unforeseen
from gateway.transport.revocation import CredentialMonitor
from gateway.transport.routes import graphql_routes
from gateway.usecases.api_keys import ApiKeyCache, find_ended_keys
from gateway.usecases.batch_loader import BatchLoaders
from gateway.usecases.documents import RegisteredDocuments
from gateway.usecases.services import Services, utc_now
from gateway.wiring import access_tokens, build_database, build_engine, document_policy, web_limits

CLOCK_SECONDS = 1.0
KEY_USE_SECONDS = 5.0
RETENTION_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Components:
    """The parts of one application."""

    settings: Settings
    embedded: bool
    registry: ConnectionRegistry
    database: Database
    services: Services
    feed: Feed
    api_key_cache: ApiKeyCache
    batch_loaders: BatchLoaders
    tokens: AccessTokens | None
    credential_monitor: CredentialMonitor

    def context(self, principal: Principal | None, *, last_event_id: str | None = None) -> Context:
        """Make the surroundings of one operation."""
        return Context(
            services=self.services,
            feed=self.feed,
            api_key_cache=self.api_key_cache,
            batch_loaders=self.batch_loaders,
            caller=principal,
            last_event_id=last_event_id,
        )

    def unless_set(self, setting: bool | None) -> bool:
        """Follow a setting; where it is not set, the way the gateway was started."""
        return self.embedded if setting is None else setting

    @property
    def introspection(self) -> str:
        return self.settings.introspection or ("anyone" if self.embedded else "callers")


def create_app(
    settings: Settings,
    *,
    database_url: str,
    registry: ConnectionRegistry | None = None,
    prefilled: Prefilled | None = None,
    now: Callable[[], datetime] = utc_now,
) -> Starlette:
    """Make the application. Its lifespan refuses a database whose migrations are behind or ahead: MigrationError.

    `registry` is the caller's way to drain it. `prefilled` is given for the embedded database alone; then
    GraphiQL and metrics are served, and introspection needs no key, unless the settings say otherwise.
    """
    house = build_components(
        settings,
        database_url=database_url,
        registry=registry or ConnectionRegistry(),
        embedded=prefilled is not None,
        now=now,
    )
    graphiql = _graphiql(prefilled) if house.unless_set(settings.graphiql) else None
    meter = OperationMetrics() if house.unless_set(settings.metrics) else None
    return Starlette(
        routes=[
            *_graphql(house, graphiql=graphiql, meter=meter),
            *(graphiql.routes() if graphiql else ()),
            *(_metrics(house, meter=meter) if meter else ()),
            *health_routes(registry=house.registry, ready=lambda: _unreadiness(house.database)),
        ],
        middleware=browser_rules(settings.allowed_origins),
        exception_handlers={Exception: unforeseen},
        lifespan=lambda _app: _life(house),
    )


def build_components(
    settings: Settings,
    *,
    database_url: str,
    registry: ConnectionRegistry,
    embedded: bool,
    now: Callable[[], datetime],
) -> Components:
    """Make all parts; nothing is opened yet."""
    database = build_database(settings, url=database_url)
    # The feed is made last, since it has to be told of the others; nothing rings before it is there.
    services = Services(database=database, now=now, notify=lambda: feed.notify(), failure_limit=settings.failure_limit)  # noqa: PLW0108
    api_key_cache = ApiKeyCache(services)
    credential_monitor = CredentialMonitor(registry, ended_keys=partial(find_ended_keys, services), now=now)

    def forget_keys() -> None:
        api_key_cache.clear()
        credential_monitor.call()

    feed = Feed(database, url=database_url, listeners={KEYS_CHANNEL: forget_keys})
    return Components(
        settings=settings,
        embedded=embedded,
        registry=registry,
        database=database,
        services=services,
        feed=feed,
        api_key_cache=api_key_cache,
        batch_loaders=BatchLoaders(database),
        tokens=access_tokens(settings, now=now),
        credential_monitor=credential_monitor,
    )


@asynccontextmanager
async def _life(house: Components) -> AsyncIterator[None]:
    """Open what is needed, in this order, and close it in the other."""
    settings, services = house.settings, house.services
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(house.database)
        await check_migrations(house.database)
        await stack.enter_async_context(house.feed)
        await stack.enter_async_context(repeated(CLOCK_SECONDS, partial(act_on_time, services)))
        if settings.retention_days:
            pruning = partial(prune, services, days=settings.retention_days)
            await stack.enter_async_context(repeated(RETENTION_SECONDS, pruning))
        stack.push_async_callback(attempt, house.api_key_cache.store_last_used)
        await stack.enter_async_context(repeated(KEY_USE_SECONDS, house.api_key_cache.store_last_used))
        if house.tokens is not None:
            await stack.enter_async_context(house.tokens)
        await stack.enter_async_context(house.registry.watching())
        await stack.enter_async_context(house.credential_monitor.watching())
        yield


def _graphql(house: Components, *, graphiql: GraphiQL | None, meter: OperationMetrics | None) -> list[BaseRoute]:
    settings, tokens = house.settings, house.tokens
    credentials = Credentials(keys=house.api_key_cache.authenticate, tokens=tokens.authenticate if tokens else None)
    return graphql_routes(
        engine=build_engine(settings, introspection=house.introspection, observe=meter.observe if meter else None),
        authentication=Authentication(
            credentials.authenticate, anonymous_introspection=house.introspection == "anyone"
        ),
        make_context=house.context,
        registry=house.registry,
        limits=web_limits(settings),
        documents=document_policy(settings, RegisteredDocuments(house.services)),
        page=graphiql.page_app if graphiql else None,
    )


def _metrics(house: Components, *, meter: OperationMetrics) -> Sequence[BaseRoute]:
    return metrics_routes(
        meter,
        gauges=lambda: gauges(house.feed.stats, registry=house.registry, pool=house.database.usage),
        version=__version__,
    )


def _graphiql(prefilled: Prefilled | None) -> GraphiQL:
    return GraphiQL(bundle=load_bundle(), prefilled=prefilled or Prefilled())


async def _unreadiness(database: Database) -> str | None:
    try:
        await check_migrations(database)
    except (MigrationError, GatewayError) as error:
        return str(error)
    return None
