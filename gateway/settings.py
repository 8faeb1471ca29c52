"""The configuration, read once from environment variables; a wrong value is refused with what is allowed."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from annotated_types import Ge, Le
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.auth.access_tokens.options import ALGORITHMS, KINDS, trusted_url
from gateway.domain.principals import PrincipalKind

PREFIX = "GATEWAY_"

Caller = Literal["platform", "application", "account", "anonymous"]
TokenPart = Literal["kind", "application", "account"]
DEFAULT_RATES: dict[Caller, int] = {
    "platform": 0,
    "application": 12_000_000,
    "account": 6_000_000,
    "anonymous": 1_200_000,
}
DEFAULT_CLAIMS: dict[TokenPart, str] = {
    "kind": "gateway_kind",
    "application": "gateway_application_id",
    "account": "gateway_account_id",
}
DEFAULT_KINDS = {kind.value.lower(): kind for kind in KINDS}

_KUBERNETES_SERVICE_VARIABLE = re.compile(r"GATEWAY_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_\w+)?)")
"""Set by Kubernetes in every container beside a Service that is named gateway."""


class SettingRefused(Exception):
    """A setting has a value that is not allowed. A value with an @ is not shown: an address can hold a password."""

    def __init__(self, name: str, value: str, *, allowed: str) -> None:
        shown = "a value that is not shown here" if "@" in value else repr(value)
        super().__init__(f"{name} is {shown}; allowed is {allowed}.")


class SettingUnknown(Exception):
    """A variable has the prefix of the settings, and is none. Its value is not shown: it may be anything."""

    def __init__(self, name: str, *, known: Iterable[str]) -> None:
        near = get_close_matches(name, known, n=1)
        advice = f"Did you mean {near[0]}?" if near else "`gateway serve --help` lists the settings."
        super().__init__(f"{name} is set, and there is no such setting. {advice}")


@dataclass(frozen=True, slots=True)
class _Allowed:
    """What a type allows, in words; numbers have their range instead."""

    words: str


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _split(value: Any) -> Any:
    """Split text at its commas; values that come from code stay as they are."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _split_unless_empty(value: Any) -> Any:
    return _split(value) if value else ()


def _pairs(
    *, partition: Callable[[str, str], tuple[str, str, str]], defaults: Mapping[Any, Any]
) -> Callable[[Any], Any]:
    """Read `key=value` pairs with commas between; keys that are not given have their defaults."""

    def read(value: Any) -> Any:
        given = dict(partition(pair, "=")[::2] for pair in _split(value)) if isinstance(value, str) else value
        return {**defaults, **given}

    return read


def _require(condition: Callable[[Any], bool]) -> AfterValidator:
    def check(value: Any) -> Any:
        if not condition(value):
            raise ValueError
        return value

    return AfterValidator(check)


def _is_origin(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and text == f"{parts.scheme}://{parts.netloc}".lower()


_Name = Annotated[str, _require(lambda name: bool(name) and name.isprintable())]
_Names = Annotated[tuple[_Name, ...], BeforeValidator(_split), _Allowed("names, with commas between")]
_Address = Annotated[str, AfterValidator(trusted_url), _Allowed("an https:// address; http:// on this machine alone")]
_Origins = Annotated[
    tuple[Annotated[str, _require(_is_origin)], ...],
    BeforeValidator(_split_unless_empty),
    _Allowed("origins such as https://app.example, in lower case, with commas between them"),
]
_Algorithms = Annotated[
    tuple[Annotated[str, _require(ALGORITHMS.__contains__)], ...],
    BeforeValidator(_split),
    _Allowed(f"some of {' '.join(ALGORITHMS)}, with commas between"),
]
_Untrusted = Annotated[
    tuple[Annotated[Literal["platform", "application", "account", "introspection"], BeforeValidator(_lower)], ...],
    BeforeValidator(_split_unless_empty),
    _Allowed("some of platform, application, account, introspection, or nothing"),
]
_Rates = Annotated[
    dict[Caller, Annotated[int, Ge(0), Le(1_000_000_000)]],
    BeforeValidator(_pairs(partition=str.partition, defaults=DEFAULT_RATES)),
    _Allowed(f"some of {', '.join(DEFAULT_RATES)}, each with = and a whole number from 0 to 1000000000"),
]
_TokenClaims = Annotated[
    dict[TokenPart, _Name],
    BeforeValidator(_pairs(partition=str.partition, defaults=DEFAULT_CLAIMS)),
    _Allowed(f"some of {', '.join(DEFAULT_CLAIMS)}, each with = and the name of a claim, or names with dots between"),
]
_TokenKinds = Annotated[
    dict[_Name, Annotated[PrincipalKind, _require(KINDS.__contains__)]],
    BeforeValidator(_pairs(partition=str.rpartition, defaults={})),  # a claim's value may have an = of its own
    _Allowed("a claim's value, =, and " + " or ".join(kind.value for kind in KINDS) + ", with commas between"),
]
_Switch = Annotated[bool, _Allowed("on or off")]
_SwitchOrDefault = Annotated[bool | None, _Allowed("on or off")]
_Introspection = Annotated[
    Literal["anyone", "callers", "off"] | None, BeforeValidator(_lower), _Allowed("anyone, callers or off")
]
_Documents = Annotated[Literal["any", "trusted"], BeforeValidator(_lower), _Allowed("any or trusted")]
_LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"], BeforeValidator(_lower), _Allowed("debug, info, warning or error")
]


class Settings(BaseSettings):
    """Each field is read from the variable GATEWAY_ and its name in capitals.

    Fields that are None by default depend on how the gateway is started: open with the embedded database, closed with
    DATABASE_URL.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        enable_decoding=False,
        str_strip_whitespace=True,
        allow_inf_nan=False,
        validate_default=False,
        frozen=True,
    )

    graphiql: _SwitchOrDefault = Field(default=None, description="Serve GraphiQL to browsers on /graphql.")
    metrics: _SwitchOrDefault = Field(default=None, description="Serve /metrics, for Prometheus, without a key.")
    introspection: _Introspection = Field(
        default=None,
        description="Who may read the schema, and gets suggestions for misspelt names; callers: those with a key.",
    )
    allowed_origins: _Origins = Field(
        default=(), description="Origins whose pages may call the gateway from a browser, beside its own."
    )
    documents: _Documents = Field(
        default="any",
        description="Which documents are run: any, or only those that `gateway documents register` stored.",
    )
    untrusted_documents: _Untrusted = Field(
        default=("platform",),
        description="Callers that run any document though only trusted ones are run; introspection is GraphiQL's.",
    )
    automatic_documents: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="How many automatic persisted queries are kept: documents that clients send with their SHA-256.",
    )
    log_level: _LogLevel = Field(default="info", description="The least severe messages that are logged.")
    pool_size: int = Field(
        default=10, ge=1, le=500, description="Connections to Postgres; the event feed has two more."
    )
    statement_seconds: float = Field(
        default=10,
        ge=0.1,
        le=600,
        description="How long an SQL statement may take; half of it may be waiting for a locked row.",
    )
    operation_seconds: float = Field(
        default=30, ge=0.1, le=3600, description="How long a query or a mutation may take."
    )
    failure_limit: int = Field(
        default=5, ge=1, le=1000, description="Connection failures in a row that make an installation INACTIVE."
    )
    sync_hours: int = Field(
        default=24,
        ge=1,
        le=8_760,
        description="How long one synchronisation may take, however often its lease is renewed. The account cannot"
        " disconnect before it ends.",
    )
    retention_days: int = Field(default=0, ge=0, le=36_500, description="How many days events are kept; 0: for ever.")
    drain_seconds: float = Field(
        default=20, ge=0, le=3600, description="How long running requests may continue after a signal to stop."
    )
    max_body_bytes: int = Field(
        default=1_000_000, ge=1_000, le=100_000_000, description="The largest request body or WebSocket message."
    )
    max_depth: int = Field(default=16, ge=3, le=100, description="How deep the fields of a document may be nested.")
    max_batch: int = Field(default=0, ge=0, le=100, description="Operations in one HTTP request; 0: no batches.")
    max_operation_cost: int = Field(
        default=250_000,
        ge=1_000,
        le=100_000_000,
        description="What one operation may cost, in microseconds of CPU; for the platform twice as much, for each"
        " event of a subscription a tenth.",
    )
    max_caller_connections: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Open WebSockets of one caller, in one gateway process."
    )
    max_caller_subscriptions: int = Field(
        default=20_000,
        ge=1,
        le=1_000_000,
        description="Running subscriptions of one caller, in one gateway process. One that filters by several ids"
        " counts as one for each.",
    )
    rates: _Rates = Field(
        default=DEFAULT_RATES,
        description="Units of cost, about microseconds of CPU of gateway and Postgres, that a caller may spend in a"
        " minute in one gateway process; 0: no limit. Callers that are not named keep their default; all callers"
        " without a key count as one.",
    )
    token_issuer: _Address = Field(
        default="",
        description="The OAuth 2 issuer whose access tokens are accepted, as their iss has it. Without it, none are.",
    )
    token_audiences: _Names = Field(
        default=(), description="Access tokens have to have one of these in their aud. Required with an issuer."
    )
    token_jwks_url: _Address = Field(
        default="",
        description="The address of the issuer's keys (its JWKS). Without it, the issuer's metadata is asked.",
    )
    token_algorithms: _Algorithms = Field(default=ALGORITHMS, description="Signature algorithms of access tokens.")
    token_only_typed: _Switch = Field(
        default=False, description="Accept only tokens whose header has the typ at+jwt (RFC 9068)."
    )
    token_required_claims: _Names = Field(
        default=(), description="Claims that access tokens must have beside iss, aud, exp and sub."
    )
    token_claims: _TokenClaims = Field(
        default=DEFAULT_CLAIMS,
        description="The claims with the kind of caller, the id of its application and the id of its account.",
    )
    token_kinds: _TokenKinds = Field(
        default=DEFAULT_KINDS, description="Which values of the kind's claim mean which kind."
    )


_OPEN_WHEN_EMBEDDED = {
    "graphiql": "on, and off with DATABASE_URL",
    "metrics": "on, and off with DATABASE_URL",
    "introspection": "anyone, and callers with DATABASE_URL",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingDescription:
    """A setting as operators read it."""

    name: str
    default: str
    allowed: str
    description: str


def describe_settings() -> Iterator[SettingDescription]:
    """Describe each setting, in the order of the fields."""
    for name, field in Settings.model_fields.items():
        yield SettingDescription(
            name=variable(name),
            default=_OPEN_WHEN_EMBEDDED.get(name) or _written(field.default),
            allowed=_allowed(field),
            description=field.description or "",
        )


def read_settings() -> Settings:
    """Read all settings from the environment.

    Raises:
        SettingRefused: One has a value that is not allowed.
        SettingUnknown: A GATEWAY_… variable is no setting.
    """
    known = {variable(name) for name in Settings.model_fields}
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known and not _KUBERNETES_SERVICE_VARIABLE.fullmatch(name):
            raise SettingUnknown(name, known=known)
    try:
        settings = Settings()
    except ValidationError as error:
        raise _refused(str(error.errors()[0]["loc"][0])) from None
    if settings.token_issuer and not settings.token_audiences:
        allowed = f"{_allowed(Settings.model_fields['token_audiences'])}: there is a GATEWAY_TOKEN_ISSUER"
        raise SettingRefused("GATEWAY_TOKEN_AUDIENCES", "", allowed=allowed)
    return settings


def read_setting(name: str, text: str) -> Any:
    """Read one value of a field of Settings. Raise ValueError, which says what is allowed."""
    field = Settings.model_fields[name]
    try:
        return TypeAdapter[Any](Annotated[field.annotation, field]).validate_python(text)  # type: ignore[arg-type]  # made at run time
    except ValidationError:
        raise ValueError(f"{text!r} is not allowed; allowed is {_allowed(field)}") from None


def _refused(name: str) -> SettingRefused:
    return SettingRefused(variable(name), os.environ[variable(name)], allowed=_allowed(Settings.model_fields[name]))


def variable(name: str) -> str:
    """Return the environment variable of a field of Settings."""
    return f"{PREFIX}{name.upper()}"


def _allowed(field: FieldInfo) -> str:
    words = [part.words for part in field.metadata if isinstance(part, _Allowed)]
    if words:
        return words[0]
    (least,) = (part.ge for part in field.metadata if isinstance(part, Ge))
    (most,) = (part.le for part in field.metadata if isinstance(part, Le))
    return f"a {'whole ' if field.annotation is int else ''}number from {least} to {most}"


def _written(default: Any) -> str:
    """Return a default as it would be set."""
    match default:
        case bool():
            return "on" if default else "off"
        case "" | ():
            return "none"
        case tuple():
            return ",".join(default)
        case dict():
            return ",".join(f"{key}={_written(value)}" for key, value in default.items())
        case PrincipalKind():
            return default.value
        case _:
            return str(default)
