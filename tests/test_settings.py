"""Settings: parsing, rejected values, and the component that each setting reaches."""

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from gateway.app import Components, build_components, create_app
from gateway.cli.serve import server_configuration
from gateway.demo.loading import load_example_data
from gateway.domain.principals import PrincipalKind
from gateway.operations.pipeline import OperationPipeline
from gateway.settings import SettingRefused, Settings, SettingUnknown, describe_settings, read_settings, variable
from gateway.storage.database import connection, open_database
from gateway.transport.connections import ConnectionRegistry
from gateway.transport.peers import Peers
from gateway.usecases.services import Services
from tests.cli.conftest import Run
from tests.cli.conftest import run as run  # noqa: PLC0414

ISSUER = {"GATEWAY_TOKEN_ISSUER": "https://id.example/realm", "GATEWAY_TOKEN_AUDIENCES": "https://gateway.example, two"}
PAGE = Path(__file__).parents[1] / ".github/docs/settings.md"
_PAGE_START = """\
# Settings

Environment variables, as `gateway serve --help` lists them. Wrong values and unknown names are refused at the start.

| variable | default | allowed | |
|---|---|---|---|
| `DATABASE_URL` | the embedded Postgres | `postgresql://…` | The database to serve. |"""

Read = Callable[[dict[str, str]], Settings]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """Read the settings of an environment that has these variables alone."""

    def read_from(environment: dict[str, str]) -> Settings:
        monkeypatch.setattr(os, "environ", environment)
        return read_settings()

    return read_from


def test_every_sort_of_value_is_read(read: Read) -> None:
    more = {
        "GATEWAY_GRAPHIQL": "Off",
        "GATEWAY_DRAIN_SECONDS": " 2.5 ",
        "GATEWAY_LOG_LEVEL": "WARNING",
        "GATEWAY_ALLOWED_ORIGINS": "https://app.example, http://localhost:3000",
        "GATEWAY_UNTRUSTED_DOCUMENTS": "",
        "GATEWAY_RATES": "account=7, anonymous=0",
        "GATEWAY_TOKEN_ALGORITHMS": "ES256,EdDSA",
        "GATEWAY_TOKEN_KINDS": "https://id.example/?role=admin=PLATFORM,erp=APPLICATION",
        "GATEWAY_TOKEN_CLAIMS": "kind=realm.role",
        "GATEWAY_TOKEN_ONLY_TYPED": "on",
    }
    assert read(ISSUER | more).model_dump(exclude_defaults=True) == {
        "graphiql": False,
        "drain_seconds": 2.5,
        "log_level": "warning",
        "allowed_origins": ("https://app.example", "http://localhost:3000"),
        "untrusted_documents": (),
        "rates": {"platform": 0, "application": 12_000_000, "account": 7, "anonymous": 0},
        "token_issuer": "https://id.example/realm",
        "token_audiences": ("https://gateway.example", "two"),
        "token_algorithms": ("ES256", "EdDSA"),
        "token_kinds": {
            "https://id.example/?role=admin": PrincipalKind.PLATFORM,
            "erp": PrincipalKind.APPLICATION,
        },
        "token_claims": {
            "kind": "realm.role",
            "application": "gateway_application_id",
            "account": "gateway_account_id",
        },
        "token_only_typed": True,
    }


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("DRAIN_SECONDS", "-1", "a number from 0 to 3600"),
        ("STATEMENT_SECONDS", "nan", "a number from 0.1 to 600"),
        ("POOL_SIZE", "0", "a whole number from 1 to 500"),
        ("MAX_BODY_BYTES", "1000.5", "a whole number from 1000 to 100000000"),
        ("MAX_DEPTH", "", "a whole number from 3 to 100"),
        ("GRAPHIQL", "perhaps", "on or off"),
        ("LOG_LEVEL", "loud", "debug, info, warning or error"),
        ("INTROSPECTION", "none", "anyone, callers or off"),
        ("RATES", "nobody=5", None),
        ("RATES", "account", None),
        ("TOKEN_ISSUER", "http://id.example", "an https:// address; http:// on this machine alone"),
        ("TOKEN_JWKS_URL", "id.example/keys", "an https:// address; http:// on this machine alone"),
        ("TOKEN_AUDIENCES", "one,,two", "names, with commas between"),
        ("TOKEN_CLAIMS", "kind=", None),
        ("TOKEN_CLAIMS", "subject=sub", None),
        *(("TOKEN_ALGORITHMS", unsafe, None) for unsafe in ("none", "RS256,HS256", "", "rs256")),
        *(("TOKEN_KINDS", unsafe, None) for unsafe in ("a=SYSTEM", "a", "=PLATFORM", "a=platform", "")),
        *(
            ("ALLOWED_ORIGINS", wrong, None)
            for wrong in ("*", "app.example", "https://app.example/", "https://App.example", "ftp://x")
        ),
    ],
)
def test_wrong_value_is_refused_in_one_line_that_says_what_is_allowed(
    name: str, value: str, allowed: str | None, read: Read
) -> None:
    (described,) = [one for one in describe_settings() if one.name == f"GATEWAY_{name}"]
    assert allowed in {None, described.allowed}
    with pytest.raises(SettingRefused) as refused:
        read(ISSUER | {f"GATEWAY_{name}": value})
    assert str(refused.value) == f"GATEWAY_{name} is {value!r}; allowed is {described.allowed}."


def test_value_that_may_hold_a_password_is_not_shown(read: Read) -> None:
    with pytest.raises(SettingRefused) as refused:
        read({"GATEWAY_TOKEN_JWKS_URL": "https://us:secret@id.example/keys"})
    assert str(refused.value).startswith(
        "GATEWAY_TOKEN_JWKS_URL is a value that is not shown here; allowed is an https"
    )


def test_issuer_without_audience_is_refused(read: Read) -> None:
    with pytest.raises(SettingRefused, match=r"^GATEWAY_TOKEN_AUDIENCES is ''"):
        read({"GATEWAY_TOKEN_ISSUER": "https://id.example"})


def test_unknown_setting_is_refused_with_the_nearest_known_one_and_without_its_value(read: Read) -> None:
    with pytest.raises(SettingUnknown) as refused:
        read({"GATEWAY_POL_SIZE": "a secret"})
    assert (
        str(refused.value) == "GATEWAY_POL_SIZE is set, and there is no such setting. Did you mean GATEWAY_POOL_SIZE?"
    )


def test_variables_of_a_kubernetes_service_are_ignored(read: Read) -> None:
    variables = {
        "GATEWAY_SERVICE_HOST": "10.0.0.7",
        "GATEWAY_SERVICE_PORT": "80",
        "GATEWAY_SERVICE_PORT_HTTP": "80",
        "GATEWAY_PORT": "tcp://10.0.0.7:80",
        "GATEWAY_PORT_80_TCP": "tcp://10.0.0.7:80",
        "GATEWAY_PORT_80_TCP_ADDR": "10.0.0.7",
    }
    assert read(variables) == Settings()


def test_defaults_are_described_as_they_would_be_set(read: Read) -> None:
    described = {one.name: one.default for one in describe_settings()}
    assert described["GATEWAY_TOKEN_KINDS"] == "platform=PLATFORM,application=APPLICATION,account=ACCOUNT"
    follows_the_database = {"GATEWAY_GRAPHIQL", "GATEWAY_METRICS", "GATEWAY_INTROSPECTION"}
    defaults = {name: described[name] for name in described.keys() - follows_the_database if described[name] != "none"}
    assert read(defaults) == Settings()


def test_page_of_the_settings_equals_the_code() -> None:
    """Regenerate the page: `python -m tests.test_settings`."""
    assert PAGE.read_text(encoding="utf-8") == _settings_page()


@dataclass(frozen=True, kw_only=True)
class Built:
    """The components built from settings."""

    app: Starlette
    server: uvicorn.Config
    parts: Components
    pipeline: OperationPipeline

    @property
    def paths(self) -> set[str]:
        return {route.path for route in self.app.routes}  # type: ignore[attr-defined]  # all are routes with a path

    def endpoint(self, kind: type[Route | WebSocketRoute]) -> Any:
        return next(one.endpoint for one in self.app.routes if isinstance(one, kind) and one.path == "/graphql")

    @property
    def pool(self) -> Any:
        return self.parts.database._backend._options

    @property
    def tokens(self) -> Any:
        return self.parts.tokens


def build(settings: Settings) -> Built:
    url = "postgresql://nowhere.invalid/none"
    app = create_app(settings, database_url=url)
    parts = build_components(
        settings, database_url=url, registry=ConnectionRegistry(), prefilled=None, now=partial(datetime.now, UTC)
    )
    return Built(
        app=app,
        server=server_configuration(app, settings, peers=Peers()),
        parts=parts,
        pipeline=parts.pipeline,
    )


REACHED: dict[str, tuple[str, Callable[[Built], Any], Any]] = {
    "graphiql": ("on", lambda built: "/graphiql/config.json" in built.paths, True),
    "metrics": ("on", lambda built: "/metrics" in built.paths, True),
    "introspection": ("off", lambda built: built.pipeline.documents.hide_suggestions, True),
    "allowed_origins": (
        "https://app.example",
        lambda built: [
            one.kwargs["allow_origins"] for one in built.app.user_middleware if "allow_origins" in one.kwargs
        ],
        [("https://app.example",)],
    ),
    "documents": ("trusted", lambda built: built.pipeline._policy.trusted_only, True),
    "untrusted_documents": ("account", lambda built: built.pipeline._policy.excepted, {PrincipalKind.ACCOUNT}),
    "automatic_documents": ("17", lambda built: built.pipeline._policy.automatic, 17),
    "pool_size": ("17", lambda built: (built.pool["max_size"], built.pipeline._shares.most), (17, 8)),
    "statement_seconds": (
        "17",
        lambda built: [built.pool["server_settings"][name] for name in ("statement_timeout", "lock_timeout")],
        ["17000", "8500"],
    ),
    "operation_seconds": ("17", lambda built: built.pipeline._deadlines.seconds, 17),
    "failure_limit": ("17", lambda built: built.parts.services.failure_limit, 17),
    "sync_hours": ("17", lambda built: built.parts.services.longest_sync, timedelta(hours=17)),
    "drain_seconds": ("17", lambda built: built.server.timeout_graceful_shutdown, 17),
    "max_body_bytes": (
        "1700",
        lambda built: (built.endpoint(Route).limits.body_bytes, built.server.ws_max_size),
        (1700, 1700),
    ),
    "max_depth": ("17", lambda built: built.pipeline.documents._limits.depth, 17),
    "max_batch": ("17", lambda built: built.endpoint(Route).limits.batch, 17),
    "max_operation_cost": (
        "1700",
        lambda built: [
            built.pipeline._quotas[kind].operation for kind in (PrincipalKind.PLATFORM, PrincipalKind.ACCOUNT)
        ],
        [3400, 1700],
    ),
    "max_caller_connections": ("17", lambda built: built.endpoint(WebSocketRoute).limits.per_caller, 17),
    "max_caller_subscriptions": ("17", lambda built: built.pipeline._subscriptions._limit, 17),
    "rates": (
        "platform=1,application=2,account=3,anonymous=4",
        lambda built: {kind: quota.minute for kind, quota in built.pipeline._quotas.items() if quota.minute},
        {PrincipalKind.PLATFORM: 1, PrincipalKind.APPLICATION: 2, PrincipalKind.ACCOUNT: 3, None: 4},
    ),
    "token_issuer": (
        "https://other.example",
        lambda built: (built.tokens.rules.issuer, built.tokens.keys.client._issuer),
        ("https://other.example", "https://other.example"),
    ),
    "token_audiences": ("seventeen", lambda built: built.tokens.rules.audiences, ("seventeen",)),
    "token_jwks_url": (
        "https://keys.example",
        lambda built: built.tokens.keys.client._configured,
        "https://keys.example",
    ),
    "token_algorithms": ("ES512", lambda built: built.tokens.algorithms, ("ES512",)),
    "token_only_typed": ("on", lambda built: built.tokens.only_access_tokens, True),
    "token_required_claims": ("jti", lambda built: built.tokens.rules.required, ("jti",)),
    "token_claims": (
        "kind=a,application=b,account=c",
        lambda built: (built.tokens.names.kind, built.tokens.names.application, built.tokens.names.account),
        ("a", "b", "c"),
    ),
    "token_kinds": ("erp=ACCOUNT", lambda built: built.tokens.names.kinds, {"erp": PrincipalKind.ACCOUNT}),
}
"""A value for each setting, where it has to arrive, and as what."""


@pytest.fixture(scope="module")
def before() -> dict[str, Any]:
    """Return the values at these places with default settings."""
    built = build(
        Settings(token_issuer=ISSUER["GATEWAY_TOKEN_ISSUER"], token_audiences=("https://gateway.example", "two"))
    )
    return {each: look(built) for each, (_, look, _) in REACHED.items()}


@pytest.mark.parametrize("name", REACHED)
def test_setting_reaches_its_component_and_no_other(name: str, before: dict[str, Any], read: Read) -> None:
    value, _, expected = REACHED[name]
    built = build(read(ISSUER | {variable(name): value}))
    assert before[name] != expected
    assert {each: REACHED[each][1](built) for each in REACHED} == before | {name: expected}


def test_log_level_is_the_least_that_is_logged(run: Run) -> None:
    root = logging.getLogger()
    before = root.level
    try:
        run("serve", "--port", "0", GATEWAY_LOG_LEVEL="error", DATABASE_URL="postgresql://127.0.0.1:1/none")
        assert root.level == logging.ERROR
    finally:
        root.setLevel(before)


async def test_events_older_than_the_retention_are_pruned(database_url: str) -> None:
    count = "select count(*) from installation_events"
    async with open_database(database_url) as database:
        await load_example_data(Services(database=database, notify=lambda: None))
        async with connection(database) as held, asyncio.timeout(10):
            loaded = await held.fetchval(count)
            app = create_app(Settings(retention_days=59), database_url=database_url)
            async with app.router.lifespan_context(app):
                while await held.fetchval(count) == loaded:
                    pass
            assert await held.fetchval(f"{count} where occurred_at > now() - interval '59 days'") > loaded / 2


def test_every_setting_is_shown_to_reach_its_component() -> None:
    assert set(Settings.model_fields) == {*REACHED, "log_level", "retention_days"}


def _settings_page() -> str:
    """Return the page of the settings in Markdown."""
    rows = [
        f"| `{setting.name}` | {setting.default} | {setting.allowed} | {setting.description} |"
        for setting in describe_settings()
    ]
    return "\n".join([_PAGE_START, *rows, ""])


if __name__ == "__main__":
    PAGE.write_text(_settings_page(), encoding="utf-8")
