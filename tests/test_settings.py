import pytest

from gateway.domain.principals import PrincipalKind
from gateway.settings import SettingRefused, Settings, describe_settings, read_settings

ISSUER = {"GATEWAY_TOKEN_ISSUER": "https://id.example/realm", "GATEWAY_TOKEN_AUDIENCES": "https://gateway.example, two"}


def test_what_tokens_have_to_be_is_read() -> None:
    more = {
        "GATEWAY_TOKEN_ALGORITHMS": "ES256,EdDSA",
        "GATEWAY_TOKEN_KINDS": "https://id.example/?role=admin=PLATFORM,erp=APPLICATION",
        "GATEWAY_TOKEN_KIND_CLAIM": "realm.role",
        "GATEWAY_TOKEN_ONLY_TYPED": "on",
    }
    assert read_settings(ISSUER | more) == Settings(
        token_issuer="https://id.example/realm",
        token_audiences=("https://gateway.example", "two"),
        token_algorithms=("ES256", "EdDSA"),
        token_kinds=(("https://id.example/?role=admin", PrincipalKind.PLATFORM), ("erp", PrincipalKind.APPLICATION)),
        token_kind_claim="realm.role",
        token_only_typed=True,
    )


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("GATEWAY_TOKEN_ISSUER", "http://id.example", "an https:// address; http:// on this machine alone"),
        ("GATEWAY_TOKEN_KEYS_URL", "id.example/keys", "an https:// address; http:// on this machine alone"),
        ("GATEWAY_TOKEN_KIND_CLAIM", " ", "the name of a claim, or names with dots between"),
        ("GATEWAY_TOKEN_AUDIENCES", "one,,two", "names, with commas between"),
        ("GATEWAY_TOKEN_LEEWAY_SECONDS", "301", "a whole number of seconds from 0 to 300"),
    ],
)
def test_wrong_value_is_refused_with_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingRefused) as refused:
        read_settings(ISSUER | {name: value})
    assert str(refused.value) == f"{name} is {value!r}; allowed is {allowed}."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("GATEWAY_TOKEN_ALGORITHMS", value) for value in ("none", "RS256,HS256", "", "rs256")),
        *(("GATEWAY_TOKEN_KINDS", value) for value in ("a=SYSTEM", "a", "=PLATFORM", "a=platform", "")),
    ],
)
def test_no_setting_lets_unsafe_tokens_in(name: str, value: str) -> None:
    with pytest.raises(SettingRefused, match=f"^{name} is "):
        read_settings(ISSUER | {name: value})


def test_issuer_without_audience_is_refused() -> None:
    with pytest.raises(SettingRefused, match=r"^GATEWAY_TOKEN_AUDIENCES is ''"):
        read_settings({"GATEWAY_TOKEN_ISSUER": "https://id.example"})


def test_defaults_are_shown_as_they_would_be_set() -> None:
    shown = {setting.name: setting.default for setting in describe_settings()}
    assert shown["GATEWAY_TOKEN_KINDS"] == "platform=PLATFORM,application=APPLICATION,account=ACCOUNT"
    assert shown["GATEWAY_TOKEN_ISSUER"] == shown["GATEWAY_TOKEN_REQUIRED_CLAIMS"] == "none"
    defaults = {name: shown[name] for name in shown if "TOKEN_" in name and shown[name] != "none"}
    assert read_settings(defaults) == Settings()
