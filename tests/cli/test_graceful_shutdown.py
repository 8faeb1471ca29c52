"""Graceful shutdown after SIGTERM with running operations, and a second signal."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import websockets

from tests.cli.processes import WITHIN_SECONDS, Serving, serving
from tests.serving import http_client

WAITING = "65816f7f-9947-513b-ad16-2bf0586ecbd4"
ACTIVATION = 'mutation { activateInstallation(input: {id: "%s"}) { __typename } }' % WAITING  # noqa: UP031 - braces
SUBSCRIPTION = "subscription { installationStatusChanged { to } }"
AT_ONCE_SECONDS = 5
STATEMENT_SECONDS = "120"  # half of it is for waiting for a locked row


@dataclass(frozen=True, kw_only=True)
class Busy:
    """A gateway with a mutation that waits for a row, and the session that holds the row."""

    served: Serving
    headers: dict[str, str]
    http: httpx.AsyncClient
    holder: Any
    mutation: "asyncio.Task[httpx.Response]"

    def signal(self) -> None:
        self.served.process.send_signal(signal.SIGTERM)

    async def post(self, query: str) -> httpx.Response:
        return await self.http.post(self.served.url, json={"query": query}, headers=self.headers)

    async def readiness(self) -> httpx.Response:
        return await self.http.get(self.served.url.replace("/graphql", "/readyz"))

    async def stops_being_ready(self) -> None:
        async with asyncio.timeout(WITHIN_SECONDS):
            while (await self.readiness()).status_code == 200:
                continue

    async def exit_status(self) -> int:
        return await asyncio.to_thread(self.served.process.wait, WITHIN_SECONDS)

    async def sessions(self) -> int:
        """Count the gateway's sessions on the database."""
        count = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        await self.holder.execute("select pg_stat_clear_snapshot()")  # or else a transaction sees what it saw before
        answered: int = await self.holder.fetchval(count)
        return answered

    async def no_session_is_left(self) -> None:
        """Wait until the sessions have ended: each outlives its client as long as its statement runs."""
        async with asyncio.timeout(WITHIN_SECONDS):
            while await self.sessions():
                continue


@asynccontextmanager
async def busy(demo_url: str, secret: str, log: Path, *, drain: str) -> AsyncIterator[Busy]:
    holder = await asyncpg.connect(demo_url)
    headers = {"Authorization": f"Bearer {secret}"}
    with serving(
        "--drain-seconds", drain, log=log, DATABASE_URL=demo_url, GATEWAY_STATEMENT_SECONDS=STATEMENT_SECONDS
    ) as served:
        async with http_client(timeout=WITHIN_SECONDS) as http, holder.transaction():
            await holder.execute("select from installations where id = $1 for update", WAITING)
            mutation = asyncio.create_task(http.post(served.url, json={"query": ACTIVATION}, headers=headers))
            await _lock_is_awaited(holder)
            yield Busy(served=served, headers=headers, http=http, holder=holder, mutation=mutation)
            await asyncio.wait([mutation])
    await holder.close()


async def _lock_is_awaited(holder: Any) -> None:
    async with asyncio.timeout(WITHIN_SECONDS):
        while not await holder.fetchval("select exists (select from pg_locks where not granted)"):
            continue


async def test_running_request_finishes_while_new_ones_are_refused(demo_url: str, secret: str, log: Path) -> None:
    async with busy(demo_url, secret, log, drain="60") as one, _socket(one) as socket, _stream(one) as stream:
        await one.readiness()
        one.signal()
        await one.stops_being_ready()
        assert (await one.readiness()).json() == {"status": "not ready", "reason": "The gateway is stopping."}
        async with http_client() as newcomer:  # the listener stays open, so that load balancers get answers
            refused = await newcomer.post(one.served.url, json={"query": "{ viewer { kind } }"}, headers=one.headers)
        assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (503, "UNAVAILABLE")
        with pytest.raises(websockets.ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1012
        async with asyncio.timeout(WITHIN_SECONDS):
            assert [line async for line in stream.aiter_lines() if line.startswith("event: next")] == []
        assert not one.mutation.done()
        await one.holder.execute("commit; begin")
        assert (await one.mutation).json() == {"data": {"activateInstallation": {"__typename": "Installation"}}}
        assert await one.exit_status() == 0
        await one.no_session_is_left()
    assert one.served.logged == ""


@asynccontextmanager
async def _socket(one: Busy) -> AsyncIterator[websockets.ClientConnection]:
    address = one.served.url.replace("http", "ws", 1)
    async with websockets.connect(address, subprotocols=[websockets.Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": one.headers}))
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": SUBSCRIPTION}}))
        yield socket


@asynccontextmanager
async def _stream(one: Busy) -> AsyncIterator[httpx.Response]:
    headers = {**one.headers, "Accept": "text/event-stream"}
    async with one.http.stream("POST", one.served.url, json={"query": SUBSCRIPTION}, headers=headers) as response:
        yield response


@pytest.mark.parametrize(("drain", "least"), [("0", 0.0), ("1", 1.0)])
async def test_operations_that_do_not_end_in_time_are_cancelled(
    demo_url: str, secret: str, log: Path, drain: str, least: float
) -> None:
    async with busy(demo_url, secret, log, drain=drain) as one:
        started = time.monotonic()
        one.signal()
        assert await one.exit_status() == 0
        assert least <= time.monotonic() - started
        answer = await one.mutation
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (503, "UNAVAILABLE")
        await one.no_session_is_left()
        status = await one.holder.fetchval("select status from installations where id = $1", WAITING)
        assert status == "AUTHORIZED"
    assert "Traceback" not in one.served.logged


async def test_second_signal_stops_at_once(demo_url: str, secret: str, log: Path) -> None:
    async with busy(demo_url, secret, log, drain="600") as one:
        one.signal()
        await one.stops_being_ready()
        one.signal()
        async with asyncio.timeout(AT_ONCE_SECONDS):
            assert await one.exit_status() == 128 + signal.SIGTERM
            await one.no_session_is_left()  # so the statement that waits for the lock was cancelled in Postgres too
    assert "Traceback" not in one.served.logged


def test_idle_gateway_does_not_wait_for_the_end_of_the_drain(demo_url: str, log: Path) -> None:
    with serving("--drain-seconds", "3600", log=log, DATABASE_URL=demo_url) as served:
        assert served.get("/readyz").status_code == 200  # its connection stays open, idle
        assert served.stop(signal.SIGTERM) == 0
    assert served.logged == ""
