"""Generated and malformed operations over HTTP: each is answered as GraphQL specifies, and none with INTERNAL."""

import asyncio
import json
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from gateway.domain.cursors import Position, encode_position, keyset_encoder
from gateway.storage.database import DriverConnection, open_database
from gateway.transport.connections import ConnectionRegistry
from gateway.usecases.services import Services
from tests.api.conftest import Served
from tests.api.log_invariants import broken_histories
from tests.api.policy_dataset import Dataset, create_policy_dataset
from tests.generation.documents import Replacements, any_documents, replaced
from tests.generation.malformed_requests import Body, encoded, malformed
from tests.generation.samples import sampled
from tests.live.servers import GatewayProcess, Observed, running_gateways
from tests.serving import http_client

LOG = logging.getLogger(__name__)
SILENT_SECONDS = 0.1
SILENCE = '{"data": {}}'
OF_EACH = 10
NO_RATES = "platform=0,application=0,account=0,anonymous=0"
"""The callers' documents are new, and cost what they take."""
"""A document as it was made up, and so many less one with damage."""
INVALID = ("GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT")
CODES = {*INVALID, "FORBIDDEN", "CURSOR_EXPIRED", "QUERY_TOO_COMPLEX"}
GROWTH_BYTES = 30_000_000
"""What the second half of a long run may leave behind; the documents kept take 50 MB, and the first half fills them."""


@dataclass(kw_only=True)
class Target:
    """The gateway to which operations are sent, and the counts of its answers."""

    process: GatewayProcess
    dataset: Dataset
    database: DriverConnection
    wrong: list[str] = field(default_factory=list)
    """The requests with invalid answers."""
    outcomes: Counter[str] = field(default_factory=Counter)

    async def send(self, caller: str, body: Body) -> None:
        client, text = self.dataset.callers[caller], encoded(body)
        streamed = body["query"].startswith("subscription")
        headers = {"Content-Type": "application/json", **client.headers}
        headers |= {"Accept": "text/event-stream"} if streamed else {}
        request = client.http.stream("POST", self.process.url, content=text, headers=headers, timeout=20)
        async with request as response:
            status = response.status_code
            answer = await first_event(response) if streamed and status == 200 else (await response.aread()).decode()
        try:
            assert status in {200, 400}
            self.outcomes.update(codes_of(answer) or ["well"])
        except (AssertionError, ValueError):
            self.wrong.append(f"{caller} sent {text}\nand received {status}: {answer}")

    async def known(self) -> dict[str, list[str]]:
        """Read the values of the placeholders from the database."""
        living = await self.database.fetch("select id, created_at, updated_at from installations order by id limit 6")
        events = await self.database.fetch("select xid, id from installation_events order by xid, id limit 6")
        epoch = await self.database.fetchval("select epoch from event_log")
        applications = [self.dataset.listed, self.dataset.unlisted]
        return {
            "application": [str(one.id) for one in applications],
            "account": [str(self.dataset.acme.id), str(self.dataset.blue.id)],
            "installation": [str(row["id"]) for row in living],
            "absent": ["8a0f0f0e-7d9c-4c39-9a57-0d5c9f3f2f3a"],
            "slug": [one.slug for one in applications],
            "word": ["list", "acc", "OAUTH", "secret"],
            "event": [encode_position(Position(epoch=epoch, xid=row["xid"], id=row["id"])) for row in events],
            "end": [encode_position(Position(epoch=epoch, xid=2**62, id=7)), encode_position(Position(0, 0, 0))],
            "NAME ASC": [_keyset("x", self.dataset.listed.id, connection="applications", order="NAME ASC")],
        } | {
            f"{column} {way}": [
                _keyset(row[column.lower()], row["id"], connection="installations", order=f"{column} {way}")
                for row in living
            ]
            for column in ("CREATED_AT", "UPDATED_AT")
            for way in ("ASC", "DESC")
        }


def _keyset(value: Any, identifier: Any, *, connection: str, order: str) -> str:
    return keyset_encoder(connection, order)(value, identifier)


async def first_event(response: httpx.Response) -> str:
    """Return the first event of a stream, or SILENCE: many streams wait for events that nothing writes."""
    try:
        async with asyncio.timeout(SILENT_SECONDS):
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    return line.removeprefix("data: ")
    except TimeoutError:
        return SILENCE
    return SILENCE


def codes_of(answer: str) -> list[str]:
    """Check the form of a response; return the codes of its errors."""
    body = json.loads(answer)
    assert isinstance(body, dict)
    assert set(body) <= {"data", "errors"}
    errors = body.get("errors", [])
    assert "errors" not in body or errors
    assert "data" in body or errors
    for error in errors:
        assert set(error) <= {"message", "locations", "path", "extensions"}
        assert isinstance(error["message"], str)
        assert error["extensions"]["code"] in CODES
    return [error["extensions"]["code"] for error in errors]


@pytest.fixture
async def target(database_url: str, tmp_path: Path) -> AsyncIterator[Target]:
    async with (
        running_gateways(database_url, count=1, directory=tmp_path, GATEWAY_RATES=NO_RATES) as (process,),
        http_client() as http,
        open_database(database_url, pool_size=2) as own,
        _connected(database_url) as database,
    ):
        services = Services(database=own, notify=lambda: None)
        served = Served(
            url=process.url,
            database_url=database_url,
            services=services,
            registry=ConnectionRegistry(),
            http=http,
        )
        yield Target(process=process, dataset=await create_policy_dataset(served), database=database)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[DriverConnection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def documents(*, long: bool) -> list[str]:
    """Make the documents up, the same ones each time; before anything runs that must not be held up."""
    return sampled(any_documents(), count=700 if long else 30)


async def test_generated_operations_are_answered_and_leave_a_consistent_log(
    documents: list[str], target: Target
) -> None:
    callers = [*sorted(target.dataset.callers), *["platform"] * 3]
    held = [await target.process.observed()]
    for tried, document in enumerate(documents, start=1):
        rng, known = random.Random(tried), await target.known()
        await target.send(rng.choice(callers), {"query": replaced(document, known)})
        for _ in range(OF_EACH - 1):
            await target.send(rng.choice(callers), with_known(malformed(document, rng), known))
        if tried % (len(documents) // 20) == 0:
            held.append(await target.process.observed())
    LOG.info("%s; megabytes held: %s", target.outcomes, [one.memory // 10**6 for one in held])
    assert target.wrong == []
    invalid = sum(target.outcomes[code] for code in INVALID)
    assert min(target.outcomes["well"], target.outcomes["FORBIDDEN"], invalid) > len(documents) / 4
    assert await broken_histories(target.database) == []
    assert held[-1].memory - held[len(held) // 2].memory < GROWTH_BYTES
    await is_as_at_rest(target.process, held[0])


async def is_as_at_rest(process: GatewayProcess, before: Observed) -> None:
    """Wait until no subscriber is left, and no more tasks than before."""
    async with asyncio.timeout(30):
        while (now := await process.observed()).subscribers or now.tasks > before.tasks:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


def with_known(body: Body, known: Replacements) -> Body:
    """Replace the placeholders of a request and its variables by known values."""

    def put(value: Any) -> Any:
        match value:
            case str():
                return replaced(value, known)
            case list():
                return [put(one) for one in value]
            case dict():
                return {name: put(one) for name, one in value.items()}
            case _:
                return value

    whole: Body = put(body)
    return whole
