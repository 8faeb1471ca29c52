"""From settings to the components that they configure."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from graphql import NoSchemaIntrospectionCustomRule
from strawberry import Schema

from gateway.auth.access_tokens.claims import ClaimNames, ClaimRules
from gateway.auth.access_tokens.jwks_cache import JwksCache
from gateway.auth.access_tokens.jwks_client import JwksClient
from gateway.auth.access_tokens.verification import AccessTokens
from gateway.domain.principals import PrincipalKind
from gateway.execution.context import MakeContext
from gateway.execution.costs import CostModel
from gateway.execution.documents import Documents
from gateway.execution.limits import DocumentLimits
from gateway.operations.persisted_operations import DocumentPolicy
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.quotas import Quota
from gateway.schema.costs import FIELD_WEIGHTS, FILTERED, LOOKUPS, PRODUCTS, STATEMENTS, UNREAD_WHEN_EMPTY, list_sizes
from gateway.schema.schema import build_schema
from gateway.settings import Settings
from gateway.storage.database import Database, open_database
from gateway.usecases.documents import RegisteredDocuments
from gateway.usecases.services import Services


def build_database(settings: Settings, *, url: str) -> Database:
    """Make the handle on Postgres. Waiting for a locked row is given up after half the time of a statement."""
    return open_database(
        url,
        pool_size=settings.pool_size,
        statement_seconds=settings.statement_seconds,
        lock_seconds=settings.statement_seconds / 2,
    )


def build_services(
    settings: Settings, *, database: Database, now: Callable[[], datetime], notify: Callable[[], None]
) -> Services:
    """Make what the use cases work with."""
    return Services(
        database=database,
        now=now,
        notify=notify,
        failure_limit=settings.failure_limit,
        longest_sync=timedelta(hours=settings.sync_hours),
    )


def build_cost_model(schema: Schema) -> CostModel:
    """Make the model that operations are priced by."""
    return CostModel(
        weights=FIELD_WEIGHTS,
        products=PRODUCTS,
        statements=STATEMENTS,
        lookups=LOOKUPS,
        list_sizes=list_sizes(schema),
        filtered=FILTERED,
        unread_when_empty=UNREAD_WHEN_EMPTY,
    )


def build_documents(settings: Settings, *, introspection: bool) -> Documents:
    """Make the cache of valid documents. Without introspection, error messages suggest no names either."""
    schema = build_schema()
    return Documents(
        schema,
        rules=() if introspection else (NoSchemaIntrospectionCustomRule,),
        hide_suggestions=not introspection,
        limits=DocumentLimits(depth=settings.max_depth),
        costs=build_cost_model(schema),
    )


def build_pipeline(
    settings: Settings, *, make_context: MakeContext, registered: RegisteredDocuments, **callbacks: Any
) -> OperationPipeline:
    """Make the pipeline that runs operations on the schema. `callbacks` are passed on."""
    untrusted = settings.untrusted_documents
    return OperationPipeline(
        build_documents(settings, introspection=settings.introspection != "off"),
        make_context=make_context,
        policy=DocumentPolicy(
            find=registered.find,
            trusted_only=settings.documents == "trusted",
            excepted=frozenset(kind for kind in PrincipalKind if kind.value.lower() in untrusted),
            introspection_excepted="introspection" in untrusted,
            automatic=settings.automatic_documents,
        ),
        quotas=quotas(settings),
        max_subscriptions=settings.max_caller_subscriptions,
        pool_size=settings.pool_size,
        operation_seconds=settings.operation_seconds,
        **callbacks,
    )


def quotas(settings: Settings) -> dict[PrincipalKind | None, Quota]:
    """Return what each kind of caller may spend. An operation of the platform may cost twice as much as others."""
    cost, rates = settings.max_operation_cost, settings.rates
    return {
        PrincipalKind.PLATFORM: Quota(operation=2 * cost, minute=rates["platform"] or None),
        PrincipalKind.APPLICATION: Quota(operation=cost, minute=rates["application"] or None),
        PrincipalKind.ACCOUNT: Quota(operation=cost, minute=rates["account"] or None),
        None: Quota(operation=cost, minute=rates["anonymous"] or None),
    }


def access_tokens(settings: Settings, *, now: Callable[[], datetime]) -> AccessTokens | None:
    """Make the verifier of access tokens; None where no issuer is set."""
    if not settings.token_issuer:
        return None
    return AccessTokens(
        keys=JwksCache(JwksClient(issuer=settings.token_issuer, jwks_url=settings.token_jwks_url or None)),
        rules=ClaimRules(
            issuer=settings.token_issuer,
            audiences=settings.token_audiences,
            required=settings.token_required_claims,
        ),
        names=ClaimNames(**settings.token_claims, kinds=settings.token_kinds),
        now=now,
        algorithms=settings.token_algorithms,
        only_access_tokens=settings.token_only_typed,
    )
