"""Streams end on every gateway when their credential is revoked or expires."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import websockets

from gateway.domain.principals import PrincipalKind
from gateway.usecases import api_keys
from gateway.usecases.api_keys import issue_key, revoke_key
from tests.api.conftest import PLATFORM, Serve, Served
from tests.api.test_workflow import Time
from tests.serving import DEADLINE

WATCH = "subscription { installationStatusChanged { cursor } }"


async def closing(events: Any) -> int:
    """Wait until the gateway closes the socket; return the close code."""
    async with asyncio.timeout(DEADLINE):
        with suppress(websockets.ConnectionClosed):
            while True:
                await events.socket.recv()
    code: int = events.socket.close_code
    return code


async def test_revoked_key_closes_its_websockets_on_every_gateway(serve: Serve) -> None:
    async with serve() as one, serve() as other:
        issued = await issue_key(
            one.services, PLATFORM, kind=PrincipalKind.PLATFORM, application_id=None, account_id=None,
            label="soon gone", expires_at=None,
        )  # fmt: skip
        here, there = one.client(issued.secret), other.client(issued.secret)
        async with here.subscription(WATCH) as mine, there.subscription(WATCH) as others:
            stays = await one.platform()
            async with stays.subscription(WATCH) as kept:
                await revoke_key(one.services, PLATFORM, api_key_id=issued.api_key.id)
                assert await closing(mine) == 4403
                assert await closing(others) == 4403
                await kept.socket.ping()


async def test_revoked_key_is_refused_by_every_gateway_that_has_cached_it(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "_TTL_SECONDS", 3600)  # so that only the notification ends it
    async with serve() as one, serve() as other:
        issued = await issue_key(
            one.services, PLATFORM, kind=PrincipalKind.PLATFORM, application_id=None, account_id=None,
            label="soon gone", expires_at=None,
        )  # fmt: skip
        there = other.client(issued.secret)
        assert (await there.post("{ viewer { kind } }")).status_code == 200
        await revoke_key(one.services, PLATFORM, api_key_id=issued.api_key.id)
        async with asyncio.timeout(DEADLINE):
            while (await there.post("{ viewer { kind } }")).status_code != 401:
                pass


async def test_expired_key_closes_its_websockets(serve: Serve) -> None:
    time = Time()
    async with serve(now=time) as served:
        issued = await issue_key(
            served.services, PLATFORM, kind=PrincipalKind.PLATFORM, application_id=None, account_id=None,
            label="short-lived", expires_at=time() + timedelta(hours=1),
        )  # fmt: skip
        async with served.client(issued.secret).subscription(WATCH) as events:
            time.offset += timedelta(hours=2)
            assert await closing(events) == 4403


async def test_a_revoked_key_ends_its_event_streams_with_a_typed_error(served: Served) -> None:
    issued = await issue_key(
        served.services, PLATFORM, kind=PrincipalKind.PLATFORM, application_id=None, account_id=None,
        label="soon gone", expires_at=None,
    )  # fmt: skip
    client = served.client(issued.secret)
    headers = {**client.headers, "Accept": "text/event-stream"}
    async with served.http.stream("POST", served.url, json={"query": WATCH}, headers=headers) as response:
        lines = response.aiter_lines()
        assert await anext(lines) is not None
        await revoke_key(served.services, PLATFORM, api_key_id=issued.api_key.id)
        async with asyncio.timeout(DEADLINE):
            received = [line async for line in lines]
    assert any("UNAUTHENTICATED" in line for line in received)
