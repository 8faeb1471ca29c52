"""The one place where the rooms are put together."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from gateway import __version__
from gateway.choices import access_tokens, build_database, build_engine, document_rules, web_limits
from gateway.chores import act_on_time, attempt, prune, repeated
from gateway.domain.principals import Principal
from gateway.feed.feed import Feed
from gateway.schema.context import Context
from gateway.settings import Settings
from gateway.storage.api_keys import KEYS_CHANNEL
from gateway.storage.database import Database
from gateway.storage.migrations import MigrationError, check_migrations
from gateway.usecases.api_keys import KeyRing, find_ended_keys
from gateway.usecases.documents import RegisteredDocuments
from gateway.usecases.gateway import Gateway
from gateway.usecases.lookups import Lookups
from gateway.web.access_tokens.verification import AccessTokens
from gateway.web.authentication import Authentication
from gateway.web.browsers import browser_rules, unforeseen
from gateway.web.credentials import Credentials
from gateway.web.doorkeeper import Doorkeeper
from gateway.web.graphiql.bundles import load_bundle
from gateway.web.graphiql.page import ExampleTab, GraphiQL, PrefilledKey
from gateway.web.health import health_routes
from gateway.web.lifetime import Lifetime
from gateway.web.metrics import OperationMeter, gauges, metrics_routes
from gateway.web.routes import graphql_routes

KEY_USE_SECONDS = 5.0
RETENTION_SECONDS = 60.0


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Welcome:
    """What GraphiQL offers to whoever tries the embedded default: keys ready to use, and tabs that run as they are."""

    keys: Sequence[PrefilledKey]
    tabs: Sequence[ExampleTab]


@dataclass(frozen=True, kw_only=True, slots=True)
class _House:
    """The parts of one application."""

    settings: Settings
    embedded: bool
    lifetime: Lifetime
    database: Database
    gateway: Gateway
    feed: Feed
    key_ring: KeyRing
    lookups: Lookups
    tokens: AccessTokens | None
    doorkeeper: Doorkeeper

    def context(self, principal: Principal | None, *, last_event_id: str | None = None) -> Context:
        """Make the surroundings of one operation."""
        return Context(
            gateway=self.gateway,
            feed=self.feed,
            key_ring=self.key_ring,
            lookups=self.lookups,
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
    lifetime: Lifetime | None = None,
    welcome: Welcome | None = None,
    now: Callable[[], datetime] = utc_now,
) -> Starlette:
    """Make the application. Its lifespan refuses a database whose migrations are behind or ahead: MigrationError.

    `lifetime` is the caller's way to drain it. `welcome` is for the embedded default alone, which also answers
    introspection without a key, and shows GraphiQL, unless the settings say otherwise.
    """
    house = _house(settings, database_url=database_url, lifetime=lifetime or Lifetime(), welcome=welcome, now=now)
    graphiql = _graphiql(welcome) if house.unless_set(settings.graphiql) else None
    meter = OperationMeter() if house.unless_set(settings.metrics) else None
    return Starlette(
        routes=[
            *_graphql(house, graphiql=graphiql, meter=meter),
            *(graphiql.routes() if graphiql else ()),
            *(_metrics(house, meter=meter) if meter else ()),
            *health_routes(lifetime=house.lifetime, ready=lambda: _unreadiness(house.database)),
        ],
        middleware=browser_rules(settings.allowed_origins),
        exception_handlers={Exception: unforeseen},
        lifespan=lambda _app: _life(house),
    )


def _house(
    settings: Settings,
    *,
    database_url: str,
    lifetime: Lifetime,
    welcome: Welcome | None,
    now: Callable[[], datetime],
) -> _House:
    database = build_database(settings, url=database_url)
    # The feed is made last, since it has to be told of the others; nothing rings before it is there.
    gateway = Gateway(database=database, now=now, ring=lambda: feed.ring(), failure_limit=settings.failure_limit)  # noqa: PLW0108
    key_ring = KeyRing(gateway)
    doorkeeper = Doorkeeper(lifetime, ended_keys=partial(find_ended_keys, gateway), now=now)

    def hear_of_keys() -> None:
        key_ring.forget()
        doorkeeper.call()

    feed = Feed(database, url=database_url, poll_seconds=settings.poll_seconds, heard={KEYS_CHANNEL: hear_of_keys})
    return _House(
        settings=settings,
        embedded=welcome is not None,
        lifetime=lifetime,
        database=database,
        gateway=gateway,
        feed=feed,
        key_ring=key_ring,
        lookups=Lookups(gateway),
        tokens=access_tokens(settings, now=now),
        doorkeeper=doorkeeper,
    )


@asynccontextmanager
async def _life(house: _House) -> AsyncIterator[None]:
    """Open what is needed, in this order, and close it in the other."""
    settings, gateway = house.settings, house.gateway
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(house.database)
        await check_migrations(house.database)
        await stack.enter_async_context(house.feed)
        await stack.enter_async_context(repeated(settings.clock_seconds, partial(act_on_time, gateway)))
        if settings.retention_days:
            pruning = partial(prune, gateway, days=settings.retention_days)
            await stack.enter_async_context(repeated(RETENTION_SECONDS, pruning))
        stack.push_async_callback(attempt, house.key_ring.note_use)
        await stack.enter_async_context(repeated(KEY_USE_SECONDS, house.key_ring.note_use))
        if house.tokens is not None:
            await stack.enter_async_context(house.tokens)
        await stack.enter_async_context(house.lifetime.watching())
        await stack.enter_async_context(house.doorkeeper.watching())
        yield


def _graphql(house: _House, *, graphiql: GraphiQL | None, meter: OperationMeter | None) -> list[BaseRoute]:
    settings, tokens = house.settings, house.tokens
    credentials = Credentials(keys=house.key_ring.authenticate, tokens=tokens.authenticate if tokens else None)
    return graphql_routes(
        engine=build_engine(settings, introspection=house.introspection, observe=meter.observe if meter else None),
        authentication=Authentication(
            credentials.authenticate, anonymous_introspection=house.introspection == "anyone"
        ),
        make_context=house.context,
        lifetime=house.lifetime,
        limits=web_limits(settings),
        documents=document_rules(settings, RegisteredDocuments(house.gateway)),
        page=graphiql.page_app if graphiql else None,
    )


def _metrics(house: _House, *, meter: OperationMeter) -> Sequence[BaseRoute]:
    return metrics_routes(
        meter,
        gauges=lambda: gauges(house.feed.observations, lifetime=house.lifetime, pool=house.database.usage),
        version=__version__,
    )


def _graphiql(welcome: Welcome | None) -> GraphiQL:
    return GraphiQL(bundle=load_bundle(), keys=welcome.keys if welcome else (), tabs=welcome.tabs if welcome else ())


async def _unreadiness(database: Database) -> str | None:
    try:
        await check_migrations(database)
    except MigrationError as error:
        return str(error)
    return None
