"""What the settings say, as the values that the rooms take."""

from collections.abc import Callable
from datetime import datetime, timedelta

from graphql import NoSchemaIntrospectionCustomRule

from gateway.auth.access_tokens.claims import ClaimNames, ClaimRules
from gateway.auth.access_tokens.jwks_cache import JwksCache, KeyAges
from gateway.auth.access_tokens.jwks_client import JwksClient
from gateway.auth.access_tokens.verification import AccessTokens, TokenForm
from gateway.domain.principals import PrincipalKind
from gateway.execution.costs import CostModel
from gateway.execution.limits import DocumentLimits, VariableLimits
from gateway.operations.observation import Observe
from gateway.operations.persisted_operations import DocumentPolicy
from gateway.operations.pipeline import Engine
from gateway.operations.quotas import Quota, Quotas
from gateway.schema.costs import FIELD_WEIGHTS
from gateway.schema.schema import build_schema
from gateway.settings import Settings
from gateway.storage.database import Database, open_database
from gateway.transport.http.endpoint import HttpLimits
from gateway.transport.routes import WebLimits
from gateway.transport.websocket.connection import SocketLimits
from gateway.usecases.documents import RegisteredDocuments


def build_database(settings: Settings, *, url: str) -> Database:
    """Make the handle on Postgres."""
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
        costs=CostModel(weights=FIELD_WEIGHTS),
        allowances=allowances(settings),
        max_subscriptions=settings.max_caller_subscriptions,
        operation_seconds=settings.operation_seconds,
        observe=observe,
    )


def web_limits(settings: Settings) -> WebLimits:
    """Say how much one request, one socket and one caller may take."""
    return WebLimits(
        http=HttpLimits(
            body_bytes=settings.max_body_bytes, body_seconds=settings.body_seconds, batch=settings.max_batch
        ),
        socket=SocketLimits(operations=settings.max_subscriptions, per_caller=settings.max_caller_sockets),
    )


def document_rules(settings: Settings, registered: RegisteredDocuments) -> DocumentPolicy:
    """Say which documents are run."""
    excepted = settings.untrusted_documents
    return DocumentPolicy(
        find=registered.find,
        trusted_only=settings.documents == "trusted",
        excepted=frozenset(kind for kind in PrincipalKind if kind.value.lower() in excepted),
        introspection_excepted="introspection" in excepted,
        automatic=settings.automatic_documents,
    )


def allowances(settings: Settings) -> Quotas:
    """Say what each kind of caller may spend."""
    return Quotas(
        kinds={
            PrincipalKind.PLATFORM: _allowance(settings.platform_cost, settings.platform_rate),
            PrincipalKind.APPLICATION: _allowance(settings.application_cost, settings.application_rate),
            PrincipalKind.ACCOUNT: _allowance(settings.account_cost, settings.account_rate),
        },
        nobody=_allowance(settings.account_cost, settings.anonymous_rate),
    )


def _allowance(operation: int, minute: int) -> Quota:
    return Quota(operation=operation, minute=minute or None)


def access_tokens(settings: Settings, *, now: Callable[[], datetime]) -> AccessTokens | None:
    """Make the verifier of access tokens; None where no issuer is set."""
    if not settings.token_issuer:
        return None
    documents = JwksClient(
        issuer=settings.token_issuer,
        jwks_url=settings.token_keys_url or None,
        timeout_seconds=settings.token_keys_timeout_seconds,
    )
    ages = KeyAges(refresh=settings.token_keys_refresh_seconds, stale=settings.token_keys_stale_seconds)
    return AccessTokens(
        keys=JwksCache(documents, ages=ages),
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
