"""The configuration: read from the environment once, at the start; a wrong value is refused with what is allowed."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from gateway.auth.access_tokens.options import ALGORITHMS, KINDS, checked_address
from gateway.domain.principals import PrincipalKind


class SettingRefused(Exception):
    """A setting has a value that it cannot have."""

    def __init__(self, name: str, value: str, *, allowed: str) -> None:
        super().__init__(f"{name} is {value!r}; allowed is {allowed}.")


class SettingUnknown(Exception):
    """A variable looks like a setting, and is none. Its value is not shown: it may be anything."""

    def __init__(self, name: str, *, known: Iterable[str]) -> None:
        near = get_close_matches(name, known, n=1)
        advice = f"Did you mean {near[0]}?" if near else "`gateway serve --help` lists the settings."
        super().__init__(f"{name} is set, and there is no such setting. {advice}")


_SERVICE_LINK = re.compile(r"GATEWAY_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_\w+)?)")
"""What Kubernetes sets in every container beside a Service that is named gateway."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A sort of value: how it is read, and what is allowed, in words."""

    read: Callable[[str], Any]
    allowed: str


def _figure(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _between(least: float, most: float, *, number: Callable[[str], Any], unit: str) -> Kind:
    def read(text: str) -> Any:
        value = number(text)
        if not least <= value <= most:
            raise ValueError(text)
        return value

    sort = "a whole number" if number is int else "a number"
    return Kind(read=read, allowed=f"{sort} of {unit} from {_figure(least)} to {_figure(most)}")


def _switch(text: str) -> bool:
    return {"on": True, "off": False}[text.lower()]


def _level(text: str) -> str:
    return {level: level for level in ("debug", "info", "warning", "error")}[text.lower()]


def _one_of(*choices: str) -> Callable[[str], str]:
    return lambda text: {choice: choice for choice in choices}[text]


def _list_of(read: Callable[[str], Any], *, allowed: str) -> Kind:
    def read_all(text: str) -> Any:
        return tuple(read(one.strip()) for one in text.split(","))

    return Kind(read=read_all, allowed=f"{allowed}, with commas between")


def _name(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError(text)
    return text


def _named_kind(text: str) -> tuple[str, PrincipalKind]:
    value, _, kind = text.rpartition("=")
    return _name(value), {kind.value: kind for kind in KINDS}[kind]


def _introspection(text: str) -> str:
    return {choice: choice for choice in ("anyone", "callers", "off")}[text.lower()]


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.strip() for origin in text.split(",") if origin.strip())
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or origin != f"{parts.scheme}://{parts.netloc}".lower():
            raise ValueError(origin)
    return origins


_INTROSPECTION = Kind(read=_introspection, allowed="anyone, callers or off")
_ORIGINS = Kind(read=_origins, allowed="origins such as https://app.example, in lower case, with commas between them")


def _documents(text: str) -> str:
    return {choice: choice for choice in ("any", "trusted")}[text.lower()]


def _exceptions(text: str) -> tuple[str, ...]:
    known = {choice: choice for choice in ("platform", "application", "account", "introspection")}
    return tuple(known[part.strip().lower()] for part in text.split(",") if part.strip())


_DOCUMENTS = Kind(read=_documents, allowed="any or trusted")
_EXCEPTIONS = Kind(read=_exceptions, allowed="some of platform, application, account, introspection, or nothing")
_ON_OFF = Kind(read=_switch, allowed="on or off")
_LOG_LEVEL = Kind(read=_level, allowed="debug, info, warning or error")


_ADDRESS = Kind(read=checked_address, allowed="an https:// address; http:// on this machine alone")
_NAME = Kind(read=_name, allowed="the name of a claim, or names with dots between")
_NAMES = _list_of(_name, allowed="names")
_ALGORITHMS = _list_of(_one_of(*ALGORITHMS), allowed="some of " + " ".join(ALGORITHMS))
_KINDS = _list_of(_named_kind, allowed="a claim's value, =, and " + " or ".join(kind.value for kind in KINDS))


def _seconds(least: float, most: float) -> Kind:
    return _between(least, most, number=float, unit="seconds")


def _count(least: int, most: int, *, unit: str) -> Kind:
    return _between(least, most, number=int, unit=unit)


_COST = _count(10, 10_000_000, unit="units of cost")
_RATE = _count(0, 1_000_000_000, unit="units of cost")


def _setting(default: Any, kind: Kind, sentence: str) -> Any:
    return field(default=default, metadata={"kind": kind, "sentence": sentence})


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Each field is read from GATEWAY_ and its name in capitals.

    Those that are None by default follow the way the gateway is started: they are open in the embedded default, and
    closed with DATABASE_URL.
    """

    graphiql: bool | None = _setting(None, _ON_OFF, "Serve GraphiQL to browsers on /graphql.")
    metrics: bool | None = _setting(None, _ON_OFF, "Serve /metrics, for Prometheus, to whoever asks.")
    introspection: str | None = _setting(
        None,
        _INTROSPECTION,
        "Who may ask for the schema, and is told what a misspelt name may have meant: anyone, callers who say who they"
        " are, or nobody.",
    )
    allowed_origins: tuple[str, ...] = _setting(
        (), _ORIGINS, "Whose pages may speak to the gateway from a browser, beside its own."
    )
    documents: str = _setting(
        "any", _DOCUMENTS, "Which documents are run: any, or only those that `gateway documents register` stored."
    )
    untrusted_documents: tuple[str, ...] = _setting(
        ("platform",),
        _EXCEPTIONS,
        "Who may run any document where only trusted ones are run; introspection is GraphiQL's.",
    )
    automatic_documents: int = _setting(
        0,
        _count(0, 100_000, unit="documents"),
        "RequestCache by their SHA-256 for clients that send it (automatic persisted queries); 0: none.",
    )
    log_level: str = _setting("info", _LOG_LEVEL, "How much is logged.")
    pool_size: int = _setting(10, _count(1, 500, unit="connections"), "Connections to Postgres; the feed has two more.")
    acquire_seconds: float = _setting(5, _seconds(0.1, 60), "How long a request waits for a connection.")
    statement_seconds: float = _setting(10, _seconds(0.1, 600), "How long one SQL statement may take.")
    lock_seconds: float = _setting(5, _seconds(0.1, 600), "How long a statement waits for a locked row.")
    failure_limit: int = _setting(
        5, _count(1, 1000, unit="failures"), "Connection failures in a row that make an installation INACTIVE."
    )
    retention_days: int = _setting(
        0, _count(0, 36_500, unit="days"), "How long events are kept; 0 keeps them for ever."
    )
    clock_seconds: float = _setting(1, _seconds(0.05, 5), "How often expired authorizations and leases are looked for.")
    poll_seconds: float = _setting(1, _seconds(0.05, 60), "How often the event log is read when no notification comes.")
    drain_seconds: float = _setting(20, _seconds(0, 3600), "How long a stopping gateway lets running requests finish.")
    max_body_bytes: int = _setting(
        1_000_000, _count(1_000, 100_000_000, unit="bytes"), "The largest request body, and WebSocket message."
    )
    max_tokens: int = _setting(4_000, _count(100, 1_000_000, unit="tokens"), "The largest GraphQL document.")
    max_document_characters: int = _setting(
        200_000, _count(1_000, 10_000_000, unit="characters"), "The longest GraphQL document."
    )
    max_fields: int = _setting(500, _count(10, 100_000, unit="fields"), "Fields written in one document.")
    max_depth: int = _setting(16, _count(3, 100, unit="fields"), "How deep fields are nested in each other.")
    max_aliases: int = _setting(
        100, _count(0, 100_000, unit="aliases"), "In one operation, its fragments counted wherever they are spread."
    )
    max_root_fields: int = _setting(30, _count(1, 1_000, unit="fields"), "Selected at an operation's root.")
    max_directives: int = _setting(
        50, _count(0, 10_000, unit="directives"), "In one operation, its fragments counted wherever they are spread."
    )
    max_variable_values: int = _setting(
        20_000, _count(10, 10_000_000, unit="values"), "In an operation's variables, at any depth."
    )
    max_string_characters: int = _setting(
        100_000, _count(100, 100_000_000, unit="characters"), "In one string of an operation's variables."
    )
    max_batch: int = _setting(0, _count(0, 100, unit="operations"), "In one HTTP request; 0 refuses lists of them.")
    max_subscriptions: int = _setting(
        100, _count(1, 10_000, unit="operations"), "Operations at a time on one WebSocket."
    )
    max_caller_subscriptions: int = _setting(
        20_000, _count(1, 1_000_000, unit="subscriptions"), "At a time for one caller, in one gateway."
    )
    max_caller_sockets: int = _setting(
        10_000, _count(1, 1_000_000, unit="sockets"), "WebSockets at a time for one caller, in one gateway."
    )
    operation_seconds: float = _setting(30, _seconds(0.1, 3600), "How long a query or a mutation may take.")
    body_seconds: float = _setting(30, _seconds(0.1, 600), "How long a request's body may take to arrive.")
    platform_cost: int = _setting(20_000, _COST, "The most that one operation of the platform may cost.")
    application_cost: int = _setting(10_000, _COST, "The most that one operation of an application may cost.")
    account_cost: int = _setting(10_000, _COST, "The most that one operation of an account's user may cost.")
    platform_rate: int = _setting(0, _RATE, "What the platform may spend a minute in one gateway; 0: all it likes.")
    application_rate: int = _setting(12_000_000, _RATE, "What an application may spend a minute in one gateway.")
    account_rate: int = _setting(6_000_000, _RATE, "What an account may spend a minute in one gateway.")
    anonymous_rate: int = _setting(60_000, _RATE, "What all without a key may spend a minute, on introspection.")
    token_issuer: str = _setting(
        "", _ADDRESS, "The OAuth 2 issuer whose access tokens are accepted, as their iss has it. Without it, none are."
    )
    token_audiences: tuple[str, ...] = _setting(
        (), _NAMES, "What access tokens have to be for: their aud is one of these. Needed with an issuer."
    )
    token_keys_url: str = _setting(
        "", _ADDRESS, "Where the issuer's keys (its JWKS) are. Without it, where the issuer's metadata says."
    )
    token_algorithms: tuple[str, ...] = _setting(ALGORITHMS, _ALGORITHMS, "What access tokens may be signed with.")
    token_only_typed: bool = _setting(False, _ON_OFF, "Accept only tokens whose header has the typ at+jwt (RFC 9068).")
    token_required_claims: tuple[str, ...] = _setting(
        (), _NAMES, "Claims that tokens must have beside iss, aud, exp and sub."
    )
    token_leeway_seconds: int = _setting(
        30, _count(0, 300, unit="seconds"), "How far the issuer's clock and the gateway's may be apart."
    )
    max_token_characters: int = _setting(16_384, _count(512, 131_072, unit="characters"), "The longest access token.")
    token_kind_claim: str = _setting("gateway_kind", _NAME, "The claim that says what kind of caller a token is for.")
    token_kinds: tuple[tuple[str, PrincipalKind], ...] = _setting(
        tuple((kind.value.lower(), kind) for kind in KINDS), _KINDS, "Which values of that claim say which kind."
    )
    token_application_claim: str = _setting(
        "gateway_application_id", _NAME, "The claim with the id of the application that a token is bound to."
    )
    token_account_claim: str = _setting(
        "gateway_account_id", _NAME, "The claim with the id of the account that a token is bound to."
    )
    token_keys_refresh_seconds: float = _setting(
        300, _seconds(10, 86_400), "How old the issuer's keys become before they are fetched again."
    )
    token_keys_stale_seconds: float = _setting(
        21_600, _seconds(60, 604_800), "How old keys may become while their issuer does not answer."
    )
    token_keys_timeout_seconds: float = _setting(5, _seconds(0.1, 60), "How long the issuer may take for an answer.")


_EMBEDDED = {
    "graphiql": "on, and off with DATABASE_URL",
    "metrics": "on, and off with DATABASE_URL",
    "introspection": "anyone, and callers with DATABASE_URL",
}
"""The defaults of those that follow the way the gateway is started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """A setting as people read it."""

    name: str
    default: str
    allowed: str
    sentence: str


def describe_settings() -> Iterator[Description]:
    """Describe each setting, in the order of their fields."""
    for one in fields(Settings):
        yield Description(
            name=_variable(one.name),
            default=_EMBEDDED.get(one.name) or _shown(one.default),
            allowed=one.metadata["kind"].allowed,
            sentence=one.metadata["sentence"],
        )


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read all settings.

    Raises:
        SettingRefused: One has a value that it cannot have.
        SettingUnknown: A GATEWAY_… variable is none of ours.
    """
    known = {_variable(one.name): one for one in fields(Settings)}
    values: dict[str, Any] = {}
    for name, text in (os.environ if environment is None else environment).items():
        if not name.startswith("GATEWAY_") or _SERVICE_LINK.fullmatch(name):
            continue
        if name not in known:
            raise SettingUnknown(name, known=known)
        kind: Kind = known[name].metadata["kind"]
        try:
            values[known[name].name] = kind.read(text.strip())
        except (ValueError, KeyError):
            raise SettingRefused(name, text, allowed=kind.allowed) from None
    settings = Settings(**values)
    if settings.token_issuer and not settings.token_audiences:
        raise SettingRefused(
            "GATEWAY_TOKEN_AUDIENCES", "", allowed=f"{_NAMES.allowed}: there is a GATEWAY_TOKEN_ISSUER"
        )
    return settings


def read_setting(name: str, text: str) -> Any:
    """Read one value of a field of Settings. Raise ValueError, which says what is allowed."""
    kind: Kind = next(one for one in fields(Settings) if one.name == name).metadata["kind"]
    try:
        return kind.read(text.strip())
    except (ValueError, KeyError):
        raise ValueError(f"{text!r} is not allowed; allowed is {kind.allowed}") from None


def _variable(name: str) -> str:
    return f"GATEWAY_{name.upper()}"


def _shown(default: object) -> str:
    match default:
        case bool():
            return "on" if default else "off"
        case "" | ():
            return "none"
        case (str() as value, PrincipalKind() as kind):
            return f"{value}={kind.value}"
        case tuple():
            return ",".join(_shown(one) for one in default)
        case _:
            return str(default)
