import contextlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.auth.access_tokens import verification
from gateway.auth.access_tokens.claims import ClaimNames
from gateway.auth.access_tokens.errors import TokenRefused
from gateway.auth.access_tokens.options import ALGORITHMS
from gateway.auth.access_tokens.signatures import read_token
from gateway.auth.access_tokens.verification import REFUSED, AccessTokens
from gateway.auth.authentication import Authentication
from gateway.domain.errors import Unauthenticated
from gateway.domain.principals import Principal, PrincipalKind
from tests.api.token_issuer import AUDIENCE, Issuer, segment, serving_issuer, signed

RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
OTHER_RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
APPLICATION = UUID("00000000-0000-4000-8000-00000000000a")
ACCOUNT = UUID("00000000-0000-4000-8000-00000000000b")


@pytest.fixture(scope="module")
async def issuer() -> AsyncIterator[Issuer]:
    async with serving_issuer() as serving:
        serving.publish(RSA, EC, ED)
        yield serving


@pytest.fixture(scope="module")
async def tokens(issuer: Issuer) -> AsyncIterator[AccessTokens]:
    async with issuer.tokens() as entered:
        yield entered


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="gateway.authentication")


async def reason_of_refusal(tokens: AccessTokens, token: str, caplog: pytest.LogCaptureFixture) -> str:
    """Authenticate with a token that is refused; return the reason that is logged."""
    caplog.clear()
    with pytest.raises(Unauthenticated) as refused:
        await tokens.authenticate(token)
    assert (refused.value.message, refused.value.code, refused.value.extensions) == (REFUSED, "UNAUTHENTICATED", {})
    assert refused.value.__cause__ is None
    lines = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert len(lines) == 1
    parts = [part for part in token.split(".") if part]
    assert not any(part in caplog.text for part in parts if len(part) > 8)  # shorter ones are words
    return lines[0].removeprefix("access_token_refused ")


def expiry(issuer: Issuer) -> datetime:
    return issuer.time.now() + timedelta(seconds=300)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA, "RS256"), (RSA, "RS512"), (RSA, "PS256"), (EC, "ES256"), (ED, "EdDSA"), (ED, "Ed25519")],
)
async def test_token_of_each_algorithm_is_accepted(
    issuer: Issuer, tokens: AccessTokens, key: RSAKey | ECKey | OKPKey, algorithm: str
) -> None:
    assert await tokens.authenticate(issuer.token(key, algorithm=algorithm)) == Principal(
        kind=PrincipalKind.PLATFORM, id="a-client", label="the-client", expires_at=expiry(issuer)
    )


async def test_application_bound_to_an_account_is_read_from_its_claims(issuer: Issuer, tokens: AccessTokens) -> None:
    token = issuer.token(
        EC,
        algorithm="ES256",
        gateway_kind="application",
        gateway_application_id=str(APPLICATION),
        gateway_account_id=str(ACCOUNT).upper(),
        client_id=None,
    )
    assert await tokens.authenticate(token) == Principal(
        kind=PrincipalKind.APPLICATION,
        application_id=APPLICATION,
        account_id=ACCOUNT,
        id="a-client",
        label="a-client",
        expires_at=expiry(issuer),
    )


async def test_claims_are_found_by_their_configured_paths(issuer: Issuer) -> None:
    names = ClaimNames(
        kind="realm.roles",
        application="https://gateway.example/application",
        account="company.id",
        kinds={"gateway-account": PrincipalKind.ACCOUNT},
    )
    claims = {
        "gateway_kind": None,
        "realm": {"roles": ["reader", "gateway-account"]},
        "company": {"id": str(ACCOUNT)},
    }
    async with issuer.tokens(names=names) as tokens:
        principal = await tokens.authenticate(issuer.token(EC, algorithm="ES256", **claims))
    assert (principal.kind, principal.application_id, principal.account_id) == (PrincipalKind.ACCOUNT, None, ACCOUNT)


async def test_kind_is_one_value_of_a_scope(issuer: Issuer) -> None:
    names = ClaimNames(kind="scope", application="-", account="-", kinds={"gateway:all": PrincipalKind.PLATFORM})
    async with issuer.tokens(names=names) as tokens:
        principal = await tokens.authenticate(issuer.token(EC, algorithm="ES256", scope="openid gateway:all"))
    assert principal.kind is PrincipalKind.PLATFORM


def _forged(issuer: Issuer, header: dict[str, Any], *, secret: bytes | None = None) -> str:
    signed = f"{segment(header)}.{segment(issuer.claims())}"
    signature = b"" if secret is None else hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{segment(signature)}"


def _with_public_key_as_secret(issuer: Issuer) -> str:
    return _forged(issuer, {"alg": "HS256", "kid": "rsa"}, secret=RSA.as_pem(private=False))


def _with_public_jwk_as_secret(issuer: Issuer) -> str:
    return _forged(issuer, {"alg": "HS256", "kid": "rsa"}, secret=json.dumps(RSA.as_dict(private=False)).encode())


def _tampered(issuer: Issuer) -> str:
    header, _, signature = issuer.token(EC, algorithm="ES256").split(".")
    return f"{header}.{segment(issuer.claims(sub='another-client'))}.{signature}"


def _with_signature_cut_off(issuer: Issuer) -> str:
    return issuer.token(EC, algorithm="ES256").rpartition(".")[0] + "."


def _with_its_own_key(issuer: Issuer) -> str:
    return issuer.token(OTHER_RSA, algorithm="RS256", header={"jwk": OTHER_RSA.as_dict(private=False)})


def _with(**changes: Any) -> Callable[[Issuer], str]:
    return lambda issuer: issuer.token(EC, algorithm="ES256", **changes)


def _seconds(**changes: int) -> Callable[[Issuer], str]:
    def token(issuer: Issuer) -> str:
        now = int(issuer.time.now().timestamp())
        times: dict[str, Any] = {name: now + change for name, change in changes.items()}
        return issuer.token(EC, algorithm="ES256", **times)

    return token


REFUSALS: dict[str, tuple[Callable[[Issuer], str], str]] = {
    "unsigned": (lambda issuer: _forged(issuer, {"alg": "none", "kid": "rsa"}), "algorithm_not_allowed"),
    "unsigned in capitals": (lambda issuer: _forged(issuer, {"alg": "NONE"}), "algorithm_not_allowed"),
    "no algorithm": (lambda issuer: _forged(issuer, {"kid": "rsa"}), "malformed"),
    "algorithm is no text": (lambda issuer: _forged(issuer, {"alg": ["RS256"]}), "algorithm_not_allowed"),
    "public key as secret": (_with_public_key_as_secret, "algorithm_not_allowed"),
    "public JWK as secret": (_with_public_jwk_as_secret, "algorithm_not_allowed"),
    "algorithm of another kind of key": (
        lambda issuer: _forged(issuer, {"alg": "ES256", "kid": "rsa"}, secret=b"x"),
        "wrong_signature kid='rsa'",
    ),
    "wrong key": (
        lambda issuer: issuer.token(OTHER_RSA, algorithm="RS256"),
        "wrong_signature kid='rsa'",
    ),
    "its own key in its header": (_with_its_own_key, "wrong_signature kid='rsa'"),
    "claims tampered with": (_tampered, "wrong_signature kid='ec'"),
    "signature cut off": (_with_signature_cut_off, "wrong_signature kid='ec'"),
    "unknown key": (_with(header={"kid": "nobody's"}), 'unknown_key kid="nobody\'s"'),
    "key id with a line break": (_with(header={"kid": "a\nb"}), "unknown_key kid='a\\nb'"),
    "critical extension": (_with(header={"crit": ["kid"]}), "critical_header"),
    "critical unknown extension": (
        lambda issuer: _forged(issuer, {"alg": "ES256", "crit": ["x"], "x": 1}),
        "critical_header",
    ),
    "critical unencoded payload": (
        lambda issuer: _forged(issuer, {"alg": "ES256", "crit": ["b64"], "b64": False}),
        "critical_header",
    ),
    "ID token by its header": (_with(header={"typ": "id+jwt"}), "wrong_type"),
    "a type that is no text": (lambda issuer: _forged(issuer, {"alg": "ES256", "typ": 1}), "malformed"),
    "wrong issuer": (
        _with(iss="https://elsewhere.example"),
        "wrong_issuer claim=iss kid='ec' iss='https://elsewhere.example'",
    ),
    "issuer with a slash more": (lambda issuer: _with(iss=f"{issuer.address}/")(issuer), "wrong_issuer"),
    "wrong audience": (_with(aud="https://elsewhere.example"), "wrong_audience claim=aud kid='ec'"),
    "wrong audiences": (_with(aud=["https://elsewhere.example", f"{AUDIENCE}/"]), "wrong_audience"),
    "expired": (_seconds(exp=-31), "expired kid='ec'"),
    "not yet valid": (_seconds(nbf=32), "not_yet_valid claim=nbf"),
    "issued in the future": (_seconds(iat=32), "not_yet_valid claim=iat"),
    "no expiry": (_with(exp=None), "missing_claim claim=exp"),
    "no issuer": (_with(iss=None), "missing_claim claim=iss"),
    "no audience": (_with(aud=None), "missing_claim claim=aud"),
    "no subject": (_with(sub=None), "missing_claim claim=sub"),
    "expiry is a text": (_with(exp="2040-01-01"), "malformed_claim claim=exp"),
    "expiry is true": (_with(exp=True), "malformed_claim claim=exp"),
    "expiry in milliseconds": (_with(exp=1_900_000_000_000), "malformed_claim claim=exp"),
    "subject cannot be stored": (_with(sub="a\0b"), "malformed_claim claim=sub"),
    "subject is too long": (_with(sub="x" * 256), "malformed_claim claim=sub"),
    "ID token by its hash of an access token": (_with(header={"typ": "JWT"}, at_hash="x"), "other_purpose"),
    "ID token of Keycloak": (_with(header={"typ": "JWT"}, typ="ID"), "other_purpose"),
    "ID token of Cognito": (_with(header={"typ": None}, token_use="id"), "other_purpose"),
    "bound to its sender": (_with(cnf={"jkt": "x"}), "sender_constrained"),
    "no kind": (_with(gateway_kind=None), "unknown_kind claim=gateway_kind"),
    "kind is unknown": (_with(gateway_kind="PLATFORM"), "unknown_kind"),
    "kind is the system's": (_with(gateway_kind="SYSTEM"), "unknown_kind"),
    "kind is no text": (_with(gateway_kind={"platform": 1}), "unknown_kind"),
    "two kinds": (_with(gateway_kind=["platform", "account"]), "ambiguous_kind"),
    "application without application": (_with(gateway_kind="application"), "bounds_do_not_fit"),
    "account without account": (_with(gateway_kind="account"), "bounds_do_not_fit"),
    "platform with a bound": (_with(gateway_account_id=str(ACCOUNT)), "bounds_do_not_fit"),
    "account with an application": (
        _with(gateway_kind="account", gateway_account_id=str(ACCOUNT), gateway_application_id=str(APPLICATION)),
        "bounds_do_not_fit",
    ),
    "application is a slug": (
        _with(gateway_kind="application", gateway_application_id="ledger"),
        "malformed_claim claim=gateway_application_id",
    ),
    "account is a number": (
        _with(gateway_kind="account", gateway_account_id=7),
        "malformed_claim claim=gateway_account_id",
    ),
    "account in another form": (
        _with(gateway_kind="account", gateway_account_id=ACCOUNT.hex),
        "malformed_claim claim=gateway_account_id",
    ),
    "empty": (lambda _: "..", "malformed"),
    "header is a list": (lambda _: f"{segment(b'[]')}.e30.AAAA", "malformed"),
    "header is nested too deeply": (lambda _: f"{segment(b'[' * 3000)}.e30.AAAA", "malformed"),
    "header is huge": (lambda _: f"{segment({'alg': 'ES256', 'x': 'x' * 4000})}.e30.AAAA", "malformed"),
    "not ASCII": (lambda _: "é.ü.ß", "malformed"),
    "half a surrogate pair": (lambda _: "\ud800.a.b", "malformed"),
    "huge": (lambda _: "a" * 1_000_000 + ".b.c", "too_large"),
    "encrypted": (lambda _: "a.b.c.d.e", "malformed"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_every_refusal_has_the_same_message_and_its_reason_is_logged(
    issuer: Issuer, tokens: AccessTokens, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    make, reason = REFUSALS[name]
    assert (await reason_of_refusal(tokens, make(issuer), caplog)).startswith(f"reason={reason}")


@pytest.mark.parametrize("payload", [b"[]", b"{", b"1", b'{"exp": NaN}', b"[" * 5000, b"\xff"])
async def test_claims_that_are_no_object_are_refused(
    tokens: AccessTokens, caplog: pytest.LogCaptureFixture, payload: bytes
) -> None:
    token = signed(EC, header={"alg": "ES256", "kid": "ec"}, payload=payload)
    assert (await reason_of_refusal(tokens, token, caplog)).startswith("reason=malformed")


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "application/jwt", "AT+JWT", "application/at+jwt"])
async def test_plain_tokens_are_accepted_unless_the_type_is_required(
    issuer: Issuer, caplog: pytest.LogCaptureFixture, typ: str | None
) -> None:
    token = issuer.token(EC, algorithm="ES256", header={"typ": typ})
    async with issuer.tokens() as lenient, issuer.tokens(only_access_tokens=True) as strict:
        assert (await lenient.authenticate(token)).id == "a-client"
        if "at+jwt" in (typ or "").lower():
            assert (await strict.authenticate(token)).id == "a-client"
        else:
            assert await reason_of_refusal(strict, token, caplog) == "reason=wrong_type"


async def test_only_the_configured_algorithms_are_accepted(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    async with issuer.tokens(algorithms=("ES256",)) as tokens:
        assert (await tokens.authenticate(issuer.token(EC, algorithm="ES256"))).id == "a-client"
        refused = await reason_of_refusal(tokens, issuer.token(RSA, algorithm="RS256"), caplog)
    assert refused == "reason=algorithm_not_allowed"


async def test_configured_claims_are_required(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    async with issuer.tokens(required=("jti",)) as tokens:
        assert (await tokens.authenticate(issuer.token(EC, algorithm="ES256", jti="1"))).id == "a-client"
        refused = await reason_of_refusal(tokens, issuer.token(EC, algorithm="ES256"), caplog)
    assert refused.startswith("reason=missing_claim claim=jti")


async def test_one_of_several_audiences_is_enough(issuer: Issuer, tokens: AccessTokens) -> None:
    token = issuer.token(EC, algorithm="ES256", aud=["https://elsewhere.example", AUDIENCE])
    assert (await tokens.authenticate(token)).id == "a-client"


async def test_clocks_may_differ_by_the_leeway(issuer: Issuer, tokens: AccessTokens) -> None:
    now = int(issuer.time.now().timestamp())
    token = issuer.token(EC, algorithm="ES256", iat=now + 29, nbf=now + 29, exp=now - 29)
    assert (await tokens.authenticate(token)).expires_at == issuer.time.now() - timedelta(seconds=29)


async def test_cached_token_is_refused_from_the_moment_it_has_expired(
    issuer: Issuer, tokens: AccessTokens, caplog: pytest.LogCaptureFixture
) -> None:
    token = issuer.token(EC, algorithm="ES256")  # for 300 seconds, and 30 for clocks that are apart
    for seconds in (0, 20, 40, 260, 9.999):  # also from the cache
        issuer.time.pass_by(seconds=seconds)
        await tokens.authenticate(token)
    issuer.time.pass_by(seconds=0.001)
    assert (await reason_of_refusal(tokens, token, caplog)).startswith("reason=expired")


async def test_only_accepted_tokens_are_cached_and_no_more_than_the_limit(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "MAX_CACHED_TOKENS", 3)
    async with issuer.tokens() as tokens:
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(issuer.token(EC, algorithm="ES256", sub=""))
        assert len(tokens._cache) == 0
        for number in range(10):
            await tokens.authenticate(issuer.token(EC, algorithm="ES256", sub=f"client-{number}"))
            assert len(tokens._cache) == min(number + 1, 3)


async def test_expiry_at_the_last_possible_time_is_accepted(issuer: Issuer, tokens: AccessTokens) -> None:
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    token = issuer.token(EC, algorithm="ES256", exp=int(last.timestamp()))
    assert (await tokens.authenticate(token)).expires_at == last


async def test_token_with_one_changed_character_is_refused(
    issuer: Issuer, tokens: AccessTokens, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, logger="gateway.authentication")
    token = issuer.token(ED, algorithm="Ed25519")
    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(token[:place] + other + token[place + 1 :])


@given(token=st.text() | st.lists(st.binary().map(segment), min_size=3, max_size=3).map(".".join))
def test_any_text_is_refused_without_another_error(token: str) -> None:
    with pytest.raises(TokenRefused):
        read_token(token, algorithms=ALGORITHMS, only_access_tokens=False)


@given(
    header=st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c"]),
        st.sampled_from(["RS256", "none", "at+jwt", "", "b64"]) | st.none() | st.integers() | st.lists(st.text()),
    )
)
def test_any_header_is_read_or_refused_without_another_error(header: dict[str, Any]) -> None:
    with contextlib.suppress(TokenRefused):
        read_token(f"{segment(header)}.e30.AAAA", algorithms=ALGORITHMS, only_access_tokens=False)


async def test_credential_is_authenticated_as_a_key_or_a_token_by_its_form() -> None:
    async def keys(credential: str) -> Principal:
        return Principal(kind=PrincipalKind.PLATFORM, id=f"key {credential}")

    async def tokens(credential: str) -> Principal:
        return Principal(kind=PrincipalKind.PLATFORM, id=f"token {credential}")

    both = Authentication(keys=keys, tokens=tokens, anonymous_introspection=True)
    no_tokens = Authentication(keys=keys, tokens=None, anonymous_introspection=True)
    for authentication, credential, caller in (
        (both, "igw_a_b", "key igw_a_b"),
        (both, "a.b.c", "token a.b.c"),
        (no_tokens, "igw_a.b.c", "key igw_a.b.c"),
    ):
        principal = await authentication.authenticate(f"Bearer {credential}")
        assert principal is not None
        assert principal.id == caller
    for authentication, credential in ((no_tokens, "a.b.c"), (both, "a.b"), (both, "a.b.c.d.e")):
        with pytest.raises(Unauthenticated, match=r"^The credential is neither an API key nor an access token"):
            await authentication.authenticate(f"Bearer {credential}")
