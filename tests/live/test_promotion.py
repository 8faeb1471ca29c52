"""Two gateways as processes, with a Postgres and its standby in DATABASE_URL: the standby is promoted under load."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.domain.cursors import encode_position
from gateway.domain.errors import TimedOut, Unavailable
from gateway.domain.event_filters import EventFilter
from gateway.domain.installations import Installation
from gateway.usecases.installations import merge_into_metadata
from tests.live.dataset import PLATFORM, Dataset, populated
from tests.live.load import LoadRun, Size, expected_events, run_load
from tests.live.servers import Postgres, running_gateways
from tests.live.subscribers import StreamSubscriber, Subscriber, SubscriptionSpec, WebSocketSubscriber
from tests.postgres.clusters import ReplicatedPostgres, replicated_postgres
from tests.postgres.event_rows import until, whole_log

pytestmark = pytest.mark.long

SIZE = Size(writers=16, changes=600, subscribers=12, applications=5, accounts=8, faults=1, kills=0, overtaking=0)
LATER = 90
"""Changes on the new timeline before those who were away return."""


@pytest.fixture
async def both(data_directory: Path) -> AsyncIterator[ReplicatedPostgres]:
    """A primary and a standby at two addresses of the loopback network, as the README names two hosts."""
    network = f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(255)}"
    async with replicated_postgres(data_directory, hosts=(f"{network}.1", f"{network}.2")) as postgres:
        yield postgres


async def test_no_event_is_lost_when_a_synchronous_standby_is_promoted(
    both: ReplicatedPostgres, tmp_path: Path
) -> None:
    await both.wait_for_standby()

    async def fails_over(run: LoadRun) -> None:
        await run.reached(0.4)
        await both.fail_over()

    async with (
        populated(both.url, applications=SIZE.applications, accounts=SIZE.accounts) as dataset,
        running_gateways(both.url, count=2, directory=tmp_path) as gateways,
    ):
        postgres = Postgres(both.primary, url=both.url)
        outcome = await run_load(dataset, postgres=postgres, gateways=gateways, size=SIZE, fault=fails_over)
    assert outcome.results.failures > 0
    assert sum(subscriber.reconnects for subscriber in outcome.subscribers) == 0


async def test_each_subscriber_of_a_lagging_standby_gets_the_new_log_or_is_told_that_its_cursor_has_expired(
    both: ReplicatedPostgres, tmp_path: Path
) -> None:
    async with (
        populated(both.url, applications=2, accounts=2) as dataset,
        running_gateways(both.url, count=2, directory=tmp_path) as gateways,
    ):
        start, urls = await dataset.feed.position(), [gateway.url for gateway in gateways]
        busy, quiet = dataset.installations[0], dataset.installations[-1]
        everything = SubscriptionSpec(secret=dataset.secret, variables={}, matching=EventFilter())
        only_quiet = SubscriptionSpec(
            secret=dataset.secret,
            variables={"filter": {"installationIds": [str(quiet.id)]}},
            matching=EventFilter(installation_ids=frozenset({quiet.id})),
        )

        def subscribers(spec: SubscriptionSpec, cursor: str) -> list[Subscriber]:
            kinds = (WebSocketSubscriber, StreamSubscriber)
            return [kind(spec, urls=[url], cursor=cursor) for kind in kinds for url in urls]

        there, unaffected = (subscribers(spec, encode_position(start)) for spec in (everything, only_quiet))
        receiving = [asyncio.create_task(one.receive()) for one in (*there, *unaffected)]
        try:
            await change(dataset, busy, count=5)
            await change(dataset, quiet, count=1)
            kept = await whole_log(dataset.services.database, after=start)
            await both.cut_off_standby()
            await change(dataset, busy, count=5)
            lost = (await whole_log(dataset.services.database, after=start))[len(kept) :]
            assert (len(kept), len(lost)) == (6, 5)
            await until(lambda: all(len(one.received) == 11 for one in there))
            await both.fail_over()
            await change(dataset, busy, count=LATER)
            await change(dataset, quiet, count=1)

            for task in receiving[: len(there)]:
                with pytest.raises(AssertionError, match="CURSOR_EXPIRED"):
                    await task
            log = await whole_log(dataset.services.database, after=start)
            assert log[: len(kept)] == kept
            assert len(log) == len(kept) + LATER + 1
            for one in (away for event in lost for away in subscribers(everything, event.cursor)):
                with pytest.raises(AssertionError, match="CURSOR_EXPIRED"):
                    await one.receive()
            returned = subscribers(everything, kept[-1].cursor)
            receiving += [asyncio.create_task(one.receive()) for one in returned]
            expected = expected_events(everything, log=log[len(kept) :])
            await until(lambda: all(len(one.received) == len(expected) for one in returned))
            assert [one.received for one in returned] == [expected] * len(returned)
            await until(lambda: all(len(one.received) == 2 for one in unaffected))
            of_quiet = expected_events(only_quiet, log=log)
            assert [one.received for one in unaffected] == [of_quiet] * len(unaffected)
        finally:
            for task in receiving:
                task.cancel()
            await asyncio.gather(*receiving, return_exceptions=True)


async def change(dataset: Dataset, installation: Installation, *, count: int) -> None:
    """Make so many changes, each as soon as a database can be written."""
    for number in range(count):
        changed = None
        while changed is None:
            with suppress(Unavailable, TimedOut):
                changed = await merge_into_metadata(
                    dataset.services,
                    PLATFORM,
                    installation_id=installation.id,
                    patch={"changed": f"{number} {secrets.token_hex(4)}"},
                    expected_version=None,
                )
