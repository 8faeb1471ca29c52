import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from gateway.auth.access_tokens.jwks_cache import LOOKUP_SECONDS
from gateway.auth.access_tokens.jwks_client import MAX_DOCUMENT_BYTES, metadata_addresses
from gateway.auth.access_tokens.options import trusted_url
from gateway.auth.access_tokens.verification import AccessTokens
from gateway.domain.errors import Unauthenticated, Unavailable
from tests.api.token_issuer import JWKS, METADATA, Issuer, serving_issuer
from tests.postgres.event_rows import until

OLD = ECKey.generate_key("P-256", {"kid": "old"})
NEW = ECKey.generate_key("P-256", {"kid": "new"})
DEADLINE = 5.0


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with serving_issuer() as serving:
        serving.publish(OLD)
        yield serving


@pytest.fixture
async def tokens(issuer: Issuer) -> AsyncIterator[AccessTokens]:
    async with issuer.tokens() as entered:
        yield entered


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="gateway.authentication")


def token(issuer: Issuer, key: ECKey = OLD, *, subject: str = "a-client", kid: str | None = None) -> str:
    return issuer.token(key, algorithm="ES256", sub=subject, header={"kid": kid or key.kid})


async def requested(issuer: Issuer, times: int) -> None:
    """Wait until the keys were requested this many times."""
    await until(lambda: issuer.requests[JWKS] == times)


async def test_concurrent_tokens_fetch_the_keys_once(issuer: Issuer) -> None:
    async with issuer.tokens(discovered=True) as tokens:
        principals = await asyncio.gather(
            *(tokens.authenticate(token(issuer, subject=f"client-{number}")) for number in range(100))
        )
    assert [principal.id for principal in principals] == [f"client-{number}" for number in range(100)]
    assert issuer.requests == {METADATA: 1, JWKS: 1}


async def test_concurrent_tokens_of_a_new_key_fetch_the_keys_once_more(issuer: Issuer, tokens: AccessTokens) -> None:
    await tokens.authenticate(token(issuer))
    issuer.publish(OLD, NEW)
    await asyncio.gather(*(tokens.authenticate(token(issuer, NEW, subject=f"{number}")) for number in range(100)))
    assert issuer.requests[JWKS] == 2


async def test_new_key_is_found_and_a_retired_one_refused(
    issuer: Issuer, tokens: AccessTokens, caplog: pytest.LogCaptureFixture
) -> None:
    of_old_key = token(issuer)
    await tokens.authenticate(of_old_key)
    issuer.publish(NEW)
    await tokens.authenticate(token(issuer, NEW))
    with pytest.raises(Unauthenticated):
        await tokens.authenticate(of_old_key)  # although it was accepted before
    assert "access_token_refused reason=unknown_key kid='old'" in caplog.messages
    assert [line for line in caplog.messages if "changed" in line] == [
        "issuer_keys_changed kids='old'",
        "issuer_keys_changed kids='new'",
    ]


async def test_retired_key_is_refused_after_the_next_refresh(
    issuer: Issuer, tokens: AccessTokens, caplog: pytest.LogCaptureFixture
) -> None:
    await tokens.authenticate(token(issuer))
    issuer.publish(NEW)
    issuer.time.pass_by(seconds=299)
    assert (await tokens.authenticate(token(issuer, subject="another"))).id == "another"
    issuer.time.pass_by(seconds=1)
    await tokens.authenticate(token(issuer, subject="a third"))  # does not wait for the fetch that it began
    await requested(issuer, 2)
    await until(lambda: "issuer_keys_changed kids='new'" in caplog.messages)
    with pytest.raises(Unauthenticated):
        await tokens.authenticate(token(issuer))


async def test_fetches_for_unknown_key_ids_are_limited(issuer: Issuer, tokens: AccessTokens) -> None:
    await tokens.authenticate(token(issuer))
    for number in range(50):
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(token(issuer, kid=f"made-up-{number}"))
    assert issuer.requests[JWKS] == 2
    issuer.publish(OLD, NEW)
    issuer.time.pass_by(seconds=LOOKUP_SECONDS)
    assert (await tokens.authenticate(token(issuer, NEW))).id == "a-client"


async def test_key_published_while_the_keys_are_being_fetched_is_found(issuer: Issuer, tokens: AccessTokens) -> None:
    await tokens.authenticate(token(issuer))
    issuer.time.pass_by(seconds=300)
    issuer.held = asyncio.Event()
    await tokens.authenticate(token(issuer, subject="another"))  # begins to fetch what is published now
    await requested(issuer, 2)
    issuer.publish(OLD, NEW)
    found = asyncio.create_task(tokens.authenticate(token(issuer, NEW)))
    await asyncio.sleep(0)
    issuer.held.set()
    assert (await found).id == "a-client"


async def test_tokens_without_key_id_are_tried_with_all_keys(issuer: Issuer) -> None:
    issuer.publish(OLD, NEW)
    unnamed = issuer.token(NEW, algorithm="ES256", header={"kid": None})
    async with issuer.tokens() as tokens:
        assert (await tokens.authenticate(unnamed)).id == "a-client"


@pytest.mark.parametrize(
    "fault", ["down", "slow", "trickling", "huge", "garbage", "a list", "no keys", "keys are no list", "moved"]
)
async def test_failing_issuer_is_tolerated_until_its_keys_are_stale(
    issuer: Issuer, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    waits = fault in {"slow", "trickling"}  # the others do not, and neither does the issuer before and after it
    async with issuer.tokens(timeout_seconds=2 if waits else 30) as tokens:
        await tokens.authenticate(token(issuer))
        spoil(issuer, fault)
        issuer.time.pass_by(seconds=3599)
        assert (await tokens.authenticate(token(issuer))).id == "a-client"
        await until(lambda: any(line.startswith("issuer_unreachable") for line in caplog.messages))
        assert any("failures=1 next_try_seconds=1 keys_live_seconds=1: http" in line for line in caplog.messages)
        issuer.time.pass_by(seconds=1)
        with pytest.raises(Unavailable, match=r"^Access tokens cannot be verified now\. Try again later\.$"):
            await tokens.authenticate(token(issuer))
        assert caplog.messages[-1] == "access_token_refused reason=issuer_unavailable kid='old'"
        restore(issuer)
        issuer.time.pass_by(seconds=2)
        assert (await tokens.authenticate(token(issuer))).id == "a-client"


def spoil(issuer: Issuer, fault: str) -> None:
    bodies = {
        "huge": b'{"keys": [' + b" " * MAX_DOCUMENT_BYTES + b"]}",
        "garbage": b"<html>",
        "a list": b"[]",
        "no keys": b"{}",
        "keys are no list": b'{"keys": {}}',
    }
    issuer.silent, issuer.trickling = fault == "slow", fault == "trickling"
    issuer.documents[JWKS] = bodies.get(fault, issuer.documents[JWKS])
    statuses = {"down": "503 Service Unavailable", "moved": "302 Found"}
    issuer.statuses = {JWKS: statuses[fault]} if fault in statuses else {}


def restore(issuer: Issuer) -> None:
    issuer.silent, issuer.trickling, issuer.statuses = False, False, {}
    issuer.publish(OLD)


async def test_unreachable_issuer_is_retried_with_growing_pauses(issuer: Issuer) -> None:
    issuer.statuses = {JWKS: "500 Internal Server Error"}
    async with issuer.tokens() as tokens:
        for _ in range(20):
            with pytest.raises(Unavailable):
                await tokens.authenticate(token(issuer))
        assert issuer.requests[JWKS] == 1
        for _ in range(300):
            issuer.time.pass_by(seconds=1)
            with pytest.raises(Unavailable):
                await tokens.authenticate(token(issuer))
    assert issuer.requests[JWKS] == 14  # at 0, 1, 3, 7, 15 and 31 seconds, then every 30


async def test_failing_issuer_is_not_requested_for_each_unknown_key_id(issuer: Issuer, tokens: AccessTokens) -> None:
    await tokens.authenticate(token(issuer))
    issuer.statuses = {JWKS: "500 Internal Server Error"}
    for number in range(20):
        with pytest.raises(Unavailable):
            await tokens.authenticate(token(issuer, kid=f"made-up-{number}"))
    assert issuer.requests[JWKS] == 2


async def test_gateway_starts_and_stops_while_its_issuer_does_not_answer(issuer: Issuer) -> None:
    issuer.silent = True
    async with asyncio.timeout(DEADLINE), issuer.tokens(timeout_seconds=60):
        await requested(issuer, 1)


async def test_unusable_members_of_the_set_are_ignored(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    public = OLD.as_dict(private=False)
    issuer.publish_members(
        OctKey.generate_key(256, {"kid": "secret"}).as_dict(private=True),
        NEW.as_dict(private=True) | {"kid": "private"},
        RSAKey.generate_key(2048).as_dict(private=False) | {"kid": "short", "n": "AQAB"},
        public | {"kid": "for encryption", "use": "enc"},
        public | {"kid": "for signing", "key_ops": ["sign"]},
        public | {"kid": "curved elsewhere", "crv": "P-0"},
        public | {"kid": "off its curve", "x": "AQ"},
        public | {"kid": 7},
        {"kid": "quantum", "kty": "AKP"},
        {"kid": "x" * 500},
        "text",
        None,
        public,
    )
    async with issuer.tokens() as tokens:
        assert (await tokens.authenticate(token(issuer))).id == "a-client"
    ignored = [line for line in caplog.messages if line.startswith("issuer_key_ignored")]
    assert len(ignored) == 12
    assert "issuer_keys_changed kids='old'" in caplog.messages


async def test_key_is_used_for_its_own_algorithm_only(issuer: Issuer) -> None:
    issuer.publish_members(OLD.as_dict(private=False) | {"alg": "ES384"})
    async with issuer.tokens() as tokens:
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(token(issuer))


async def test_metadata_of_rfc_8414_is_found(issuer: Issuer) -> None:
    issuer.documents["/.well-known/oauth-authorization-server"] = issuer.documents.pop(METADATA)
    async with issuer.tokens(discovered=True) as tokens:
        assert (await tokens.authenticate(token(issuer))).id == "a-client"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"issuer": "', b'"issuer": "https://elsewhere.example/'),
        (b'"jwks_uri": "http://127.0.0.1', b'"jwks_uri": "http://elsewhere.example'),
        (b'"jwks_uri": "http://', b'"jwks_uri": "file:///'),
        (b'"jwks_uri": "', b'"jwks_uri": 1, "x": "'),
        (b'"jwks_uri"', b'"keys"'),
    ],
)
async def test_untrusted_metadata_is_refused(issuer: Issuer, old: bytes, new: bytes) -> None:
    issuer.documents[METADATA] = issuer.documents[METADATA].replace(old, new)
    async with issuer.tokens(discovered=True) as tokens:
        with pytest.raises(Unavailable):
            await tokens.authenticate(token(issuer))
    assert issuer.requests[JWKS] == 0


@pytest.mark.parametrize(
    "address",
    [
        "https://id.example",
        "https://id.example:8443/a?b=c",
        "http://localhost:1/a",
        "http://127.0.0.2",
        "http://[::1]:80/",
    ],
)
def test_https_and_loopback_urls_are_trusted(address: str) -> None:
    assert trusted_url(address) == address


@pytest.mark.parametrize(
    "address",
    [
        *("", "id.example", "http://id.example", "http://localhost.id.example", "http://127.0.0.1.id.example"),
        *(
            "ftp://localhost",
            "file:///etc/passwd",
            "https://",
            "https://user:secret@id.example",
            "https://id.example#a",
        ),
        *("https://id.example:0x1", "https://id.example\n", "http://0.0.0.0", "http://[::]", "https://[::1"),
    ],
)
def test_other_urls_are_not_trusted(address: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        trusted_url(address)


def test_metadata_addresses_of_both_specifications() -> None:
    assert metadata_addresses("https://id.example/realms/one") == (
        "https://id.example/realms/one/.well-known/openid-configuration",
        "https://id.example/.well-known/oauth-authorization-server/realms/one",
    )
    assert metadata_addresses("https://id.example/") == (
        "https://id.example/.well-known/openid-configuration",
        "https://id.example/.well-known/oauth-authorization-server",
    )
