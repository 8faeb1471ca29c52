"""Access tokens on a whole gateway, over HTTP, event streams and WebSockets."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
import websockets
from joserfc.jwk import ECKey

from gateway.cli import log_throttle
from gateway.domain.principals import PrincipalKind
from gateway.settings import Settings
from tests.api.conftest import Serve, Served
from tests.api.test_streams_end import WATCH, closing
from tests.api.token_issuer import AUDIENCE, Issuer, serving_issuer
from tests.serving import DEADLINE

KEY = ECKey.generate_key("P-256", {"kid": "ours"})
OTHER_KEY = ECKey.generate_key("P-256", {"kid": "ours"})
VIEWER = "{ viewer { kind application { id } } }"
KEY_OF_VIEWER = "{ viewer { apiKey { id } } }"
REFUSED = {"errors": [{"message": "The access token is not accepted.", "extensions": {"code": "UNAUTHENTICATED"}}]}


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with serving_issuer() as serving:
        serving.publish(KEY)
        yield serving


@pytest.fixture
async def served(serve: Serve, issuer: Issuer) -> AsyncIterator[Served]:
    settings = Settings(token_issuer=issuer.address, token_audiences=(AUDIENCE,))
    async with serve(settings, now=issuer.time.now) as services:
        yield services


def platform_token(issuer: Issuer, key: ECKey = KEY) -> str:
    return issuer.token(key, algorithm="ES256")


async def test_token_authenticates_its_principal_over_http(served: Served, issuer: Issuer) -> None:
    application, account = await served.application(), await served.account()
    token = issuer.token(
        KEY,
        algorithm="ES256",
        gateway_kind="application",
        gateway_application_id=str(application.id),
        gateway_account_id=str(account.id),
    )
    assert (await served.client(token).data(VIEWER))["viewer"] == {
        "kind": "APPLICATION",
        "application": {"id": str(application.id)},
    }
    assert (await served.client(platform_token(issuer)).data(VIEWER))["viewer"]["kind"] == "PLATFORM"


async def test_api_keys_are_accepted_beside_tokens(served: Served) -> None:
    client = await served.key(PrincipalKind.PLATFORM)
    assert (await client.data(VIEWER))["viewer"]["kind"] == "PLATFORM"


async def test_token_has_no_api_key_even_where_its_subject_is_the_id_of_one(served: Served, issuer: Issuer) -> None:
    key = (await (await served.platform()).data(KEY_OF_VIEWER))["viewer"]["apiKey"]["id"]
    token = issuer.token(KEY, algorithm="ES256", sub=key)
    assert (await served.client(token).data(KEY_OF_VIEWER))["viewer"] == {"apiKey": None}


async def test_refused_tokens_have_the_same_answer_and_are_not_logged(
    served: Served, issuer: Issuer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_throttle, "SECONDS", 0)  # a gateway of another test may have throttled the process's logs
    caplog.set_level(logging.DEBUG)
    tokens = [
        platform_token(issuer, OTHER_KEY),
        issuer.token(KEY, algorithm="ES256", aud="https://elsewhere.example"),
        issuer.token(KEY, algorithm="ES256", exp=1),
        issuer.token(KEY, algorithm="ES256", gateway_kind="account"),
        "a.b.c",
    ]
    for token in tokens:
        answer = await served.client(token).post(VIEWER)
        assert (answer.status_code, answer.headers["www-authenticate"], answer.json()) == (401, "Bearer", REFUSED)
    reasons = [line.split()[1] for line in caplog.messages if line.startswith("access_token_refused")]
    assert reasons == [
        "reason=wrong_signature",
        "reason=wrong_audience",
        "reason=expired",
        "reason=bounds_do_not_fit",
        "reason=malformed",
    ]
    assert not any(part in caplog.text for token in tokens[:4] for part in token.split("."))


async def test_websocket_is_closed_when_its_token_expires(served: Served, issuer: Issuer) -> None:
    async with served.client(platform_token(issuer)).subscription(WATCH) as events:
        issuer.time.pass_by(seconds=300)
        assert await closing(events) == 4403


async def test_event_stream_ends_when_its_token_expires(served: Served, issuer: Issuer) -> None:
    headers = {"Authorization": f"Bearer {platform_token(issuer)}", "Accept": "text/event-stream"}
    async with served.http.stream("POST", served.url, json={"query": WATCH}, headers=headers) as response:
        lines = response.aiter_lines()
        assert await anext(lines) is not None
        issuer.time.pass_by(seconds=300)
        async with asyncio.timeout(DEADLINE):
            received = [line async for line in lines]
    assert any("UNAUTHENTICATED" in line for line in received)


async def test_refused_token_opens_no_stream(served: Served, issuer: Issuer) -> None:
    authorization = {"Authorization": f"Bearer {platform_token(issuer, OTHER_KEY)}"}
    headers = {**authorization, "Accept": "text/event-stream"}
    answer = await served.http.post(served.url, json={"query": WATCH}, headers=headers)
    assert (answer.status_code, "access token is not accepted" in answer.text) == (401, True)
    assert await close_code(served, authorization) == 4401


async def test_websocket_is_closed_for_a_retry_while_the_issuer_does_not_answer(served: Served, issuer: Issuer) -> None:
    await served.client(platform_token(issuer)).data(VIEWER)  # so the issuer's keys have been fetched
    issuer.statuses = dict.fromkeys(issuer.documents, "503 Service Unavailable")
    issuer.time.pass_by(hours=7)  # by the gateway's calendar alone: the keys live on
    token = platform_token(issuer)
    assert (await served.client(token).data(VIEWER))["viewer"]["kind"] == "PLATFORM"
    unknown = issuer.token(KEY, algorithm="ES256", header={"kid": "newer"})
    answer = await served.client(unknown).post(VIEWER)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert await close_code(served, {"Authorization": f"Bearer {unknown}"}) not in {4401, 4403}


async def close_code(served: Served, payload: dict[str, str]) -> int | None:
    """Send `connection_init` on a new WebSocket, and return its close code."""
    address = served.url.replace("http", "ws", 1)
    async with websockets.connect(address, subprotocols=[websockets.Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        async with asyncio.timeout(DEADLINE):
            await socket.wait_closed()
        return socket.close_code


async def test_no_token_is_accepted_without_an_issuer(serve: Serve, issuer: Issuer) -> None:
    async with serve() as services:
        answer = await services.client(platform_token(issuer)).post(VIEWER)
    assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert issuer.requests.total() == 0
