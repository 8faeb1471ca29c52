"""The one place where the rooms are put together."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from graphql import NoSchemaIntrospectionCustomRule
from starlette.applications import Starlette

from gateway import __version__
from gateway.domain.errors import GatewayError
from gateway.domain.principals import Principal, PrincipalKind
from gateway.execution.budgets import Allowance, Allowances
from gateway.execution.engine import Engine
from gateway.execution.limits import DocumentLimits, VariableLimits
from gateway.execution.observing import Observe
from gateway.feed.feed import Feed
from gateway.schema.context import Context
from gateway.schema.costs import COSTS
from gateway.schema.schema import build_schema
from gateway.settings import Settings
from gateway.storage.api_keys import KEYS_CHANNEL
from gateway.storage.database import Database, open_database
from gateway.storage.migrations import MigrationError, check_migrations
from gateway.usecases.api_keys import KeyRing, find_ended_keys
from gateway.usecases.clock import BATCH_SIZE, expire_due_installations
from gateway.usecases.documents import RegisteredDocuments
from gateway.usecases.gateway import Gateway
from gateway.usecases.lookups import Lookups
from gateway.usecases.retention import PRUNED_AT_ONCE, prune_old_events
from gateway.web.access_tokens.claims import ClaimNames, ClaimRules
from gateway.web.access_tokens.documents import IssuerDocuments
from gateway.web.access_tokens.keys import IssuerKeys, KeyAges
from gateway.web.access_tokens.verification import AccessTokens, TokenForm
from gateway.web.authentication import Authentication
from gateway.web.browsers import browser_rules, unforeseen
from gateway.web.credentials import Credentials
from gateway.web.doorkeeper import Doorkeeper
from gateway.web.graphiql.bundles import load_bundle
from gateway.web.graphiql.page import ExampleTab, GraphiQL, PrefilledKey
from gateway.web.health import health_routes
from gateway.web.http import HttpLimits
from gateway.web.intake import DocumentRules
from gateway.web.lifetime import Lifetime
from gateway.web.metrics import OperationMeter, gauges, metrics_routes
from gateway.web.routes import WebLimits, graphql_routes
from gateway.web.websocket import SocketLimits

LOG = logging.getLogger("gateway")
KEY_USE_SECONDS = 5.0
RETENTION_SECONDS = 60.0


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Welcome:
    """What GraphiQL offers to whoever tries the embedded default: keys ready to use, and tabs that run as they are."""

    keys: Sequence[PrefilledKey]
    tabs: Sequence[ExampleTab]


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
    lifetime = lifetime or Lifetime()
    database = _database(settings, url=database_url)
    gateway = Gateway(database=database, now=now, ring=lambda: feed.ring(), failure_limit=settings.failure_limit)  # noqa: PLW0108 - the feed comes below
    key_ring, lookups = KeyRing(gateway), Lookups(gateway)
    tokens = _access_tokens(settings, now=now)
    credentials = Credentials(keys=key_ring.authenticate, tokens=tokens.authenticate if tokens else None)
    doorkeeper = Doorkeeper(lifetime, ended_keys=partial(find_ended_keys, gateway), now=now)

    def hear_of_keys() -> None:
        key_ring.forget()
        doorkeeper.call()

    feed = Feed(database, url=database_url, poll_seconds=settings.poll_seconds, heard={KEYS_CHANNEL: hear_of_keys})
    graphiql = _graphiql(settings, welcome=welcome)
    metrics = _embedded_unless_set(settings.metrics, welcome=welcome)
    introspection = settings.introspection or ("callers" if welcome is None else "anyone")

    operations = OperationMeter() if metrics else None
    engine = build_engine(settings, introspection=introspection, observe=operations.observe if operations else None)

    def make_context(principal: Principal | None, *, last_event_id: str | None = None) -> Context:
        return Context(
            gateway=gateway,
            feed=feed,
            key_ring=key_ring,
            lookups=lookups,
            caller=principal,
            last_event_id=last_event_id,
        )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(database)
            await check_migrations(database)
            await stack.enter_async_context(feed)
            await stack.enter_async_context(_repeated(settings.clock_seconds, lambda: _tick(gateway)))
            if settings.retention_days:
                await stack.enter_async_context(
                    _repeated(RETENTION_SECONDS, lambda: _prune(gateway, days=settings.retention_days))
                )
            stack.push_async_callback(_attempt, key_ring.note_use)
            await stack.enter_async_context(_repeated(KEY_USE_SECONDS, key_ring.note_use))
            if tokens is not None:
                await stack.enter_async_context(tokens)
            await stack.enter_async_context(lifetime.watching())
            await stack.enter_async_context(doorkeeper.watching())
            yield

    return Starlette(
        routes=[
            *graphql_routes(
                engine=engine,
                authentication=Authentication(
                    credentials.authenticate,
                    anonymous_introspection=introspection == "anyone",
                ),
                make_context=make_context,
                lifetime=lifetime,
                limits=WebLimits(
                    http=HttpLimits(
                        body_bytes=settings.max_body_bytes, body_seconds=settings.body_seconds, batch=settings.max_batch
                    ),
                    socket=SocketLimits(operations=settings.max_subscriptions, per_caller=settings.max_caller_sockets),
                ),
                documents=_document_rules(settings, RegisteredDocuments(gateway)),
                page=graphiql.page_app if graphiql else None,
            ),
            *(graphiql.routes() if graphiql else ()),
            *(
                metrics_routes(
                    operations,
                    gauges=lambda: gauges(feed.observations, lifetime=lifetime, pool=database.usage),
                    version=__version__,
                )
                if operations
                else ()
            ),
            *health_routes(lifetime=lifetime, ready=lambda: _unreadiness(database)),
        ],
        middleware=browser_rules(settings.allowed_origins),
        exception_handlers={Exception: unforeseen},
        lifespan=lifespan,
    )


def _database(settings: Settings, *, url: str) -> Database:
    return open_database(
        url,
        pool_size=settings.pool_size,
        acquire_seconds=settings.acquire_seconds,
        statement_seconds=settings.statement_seconds,
        lock_seconds=settings.lock_seconds,
    )


def build_engine(settings: Settings, *, introspection: str, observe: Observe | None = None) -> Engine:
    """Make what runs operations on the schema."""
    closed = introspection == "off"
    return Engine(
        build_schema(),
        rules=(NoSchemaIntrospectionCustomRule,) if closed else (),
        hide_suggestions=closed,
        limits=DocumentLimits(
            characters=settings.max_document_characters,
            tokens=settings.max_tokens,
            written_fields=settings.max_fields,
            depth=settings.max_depth,
            aliases=settings.max_aliases,
            root_fields=settings.max_root_fields,
            directives=settings.max_directives,
        ),
        variable_limits=VariableLimits(
            values=settings.max_variable_values, string_characters=settings.max_string_characters
        ),
        costs=COSTS,
        allowances=_allowances(settings),
        max_subscriptions=settings.max_caller_subscriptions,
        operation_seconds=settings.operation_seconds,
        observe=observe,
    )


def _document_rules(settings: Settings, registered: RegisteredDocuments) -> DocumentRules:
    excepted = settings.untrusted_documents
    return DocumentRules(
        find=registered.find,
        trusted_only=settings.documents == "trusted",
        excepted=frozenset(kind for kind in PrincipalKind if kind.value.lower() in excepted),
        introspection_excepted="introspection" in excepted,
        automatic=settings.automatic_documents,
    )


def _allowances(settings: Settings) -> Allowances:
    return Allowances(
        kinds={
            PrincipalKind.PLATFORM: _allowance(settings.platform_cost, settings.platform_rate),
            PrincipalKind.APPLICATION: _allowance(settings.application_cost, settings.application_rate),
            PrincipalKind.ACCOUNT: _allowance(settings.account_cost, settings.account_rate),
        },
        nobody=_allowance(settings.account_cost, settings.anonymous_rate),
    )


def _allowance(operation: int, minute: int) -> Allowance:
    return Allowance(operation=operation, minute=minute or None)


def _access_tokens(settings: Settings, *, now: Callable[[], datetime]) -> AccessTokens | None:
    if not settings.token_issuer:
        return None
    documents = IssuerDocuments(
        issuer=settings.token_issuer,
        jwks_url=settings.token_keys_url or None,
        timeout_seconds=settings.token_keys_timeout_seconds,
    )
    ages = KeyAges(refresh=settings.token_keys_refresh_seconds, stale=settings.token_keys_stale_seconds)
    return AccessTokens(
        keys=IssuerKeys(documents, ages=ages),
        form=TokenForm(
            algorithms=settings.token_algorithms,
            most_characters=settings.max_token_characters,
            only_access_tokens=settings.token_only_typed,
        ),
        rules=ClaimRules(
            issuer=settings.token_issuer,
            audiences=settings.token_audiences,
            leeway=timedelta(seconds=settings.token_leeway_seconds),
            required=settings.token_required_claims,
        ),
        names=ClaimNames(
            kind=settings.token_kind_claim,
            application=settings.token_application_claim,
            account=settings.token_account_claim,
            kinds=dict(settings.token_kinds),
        ),
        now=now,
    )


def _embedded_unless_set(setting: bool | None, *, welcome: Welcome | None) -> bool:
    return welcome is not None if setting is None else setting


def _graphiql(settings: Settings, *, welcome: Welcome | None) -> GraphiQL | None:
    if not _embedded_unless_set(settings.graphiql, welcome=welcome):
        return None
    return GraphiQL(bundle=load_bundle(), keys=welcome.keys if welcome else (), tabs=welcome.tabs if welcome else ())


async def _unreadiness(database: Database) -> str | None:
    try:
        await check_migrations(database)
    except MigrationError as error:
        return str(error)
    return None


async def _tick(gateway: Gateway) -> None:
    while await expire_due_installations(gateway) == BATCH_SIZE:
        pass


async def _prune(gateway: Gateway, *, days: int) -> None:
    older_than = gateway.now() - timedelta(days=days)
    while await prune_old_events(gateway, older_than=older_than) == PRUNED_AT_ONCE:
        pass


async def _attempt(work: Callable[[], Awaitable[None]]) -> None:
    """Do what can be done again later, where it fails."""
    try:
        await work()
    except GatewayError as error:
        LOG.warning("Put off: %s", error)
    except Exception:
        LOG.exception("What is done again and again has failed")


@asynccontextmanager
async def _repeated(seconds: float, work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do some work now and every so many seconds, whatever became of it the last time."""

    async def repeat() -> None:
        while True:
            await _attempt(work)
            await asyncio.sleep(seconds)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
