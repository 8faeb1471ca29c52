"""Subscribers that do not read cost little memory, and lose no event."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.domain.cursors import encode_position
from gateway.domain.event_filters import EventFilter
from gateway.storage.database import transaction
from gateway.storage.events import append_event
from tests.live.dataset import Dataset, populated
from tests.live.load import expected_events
from tests.live.servers import Postgres, running_gateways
from tests.live.subscribers import StreamSubscriber, Subscriber, SubscriptionSpec, WebSocketSubscriber
from tests.postgres.event_rows import EventSource, whole_log

AT_ONCE = 500
DEADLINE_SECONDS = 300
WIDE = f"""subscription ($after: String) {{
  events: installationEvents(after: $after) {{
    cursor installationId version {" ".join(f"again{number}: installationId" for number in range(90))}
  }}
}}"""
"""Some five kilobytes for each event: all of them together are more than the sockets' buffers hold."""


async def write(dataset: Dataset, *, count: int) -> None:
    source = EventSource()
    for _ in range(count // AT_ONCE):
        async with transaction(dataset.services.database) as held:
            for _ in range(AT_ONCE):
                await append_event(held, source.next())
        dataset.feed.notify()


async def received(subscribers: Sequence[Subscriber], *, count: int) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while any(len(subscriber.received) < count for subscriber in subscribers):  # noqa: ASYNC110 - of several subscribers
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("events", "megabytes", "kind"),
    [
        (1_500, 10, WebSocketSubscriber),
        pytest.param(1_500, 10, StreamSubscriber, marks=pytest.mark.long),
        pytest.param(20_000, 20, WebSocketSubscriber, marks=pytest.mark.long),
        pytest.param(20_000, 20, StreamSubscriber, marks=pytest.mark.long),
    ],
)
async def test_subscriber_that_does_not_read_costs_little_and_receives_all_later(
    events: int, megabytes: int, kind: type[Subscriber], postgres: Postgres, tmp_path: Path
) -> None:
    async with (
        populated(postgres.url, applications=1, accounts=1) as dataset,
        running_gateways(postgres.url, count=1, directory=tmp_path) as (services,),
        asyncio.TaskGroup() as group,
    ):
        start = await dataset.feed.position()
        spec = SubscriptionSpec(secret=dataset.secret, document=WIDE, variables={}, matching=EventFilter())
        silent, *others = (
            one(spec, urls=[services.url], cursor=encode_position(start))
            for one in (kind, WebSocketSubscriber, StreamSubscriber)
        )
        silent.reads.clear()
        tasks = [group.create_task(subscriber.receive()) for subscriber in (silent, *others)]
        await write(dataset, count=AT_ONCE)
        await received(others, count=AT_ONCE)
        before = (await services.observed()).memory
        await write(dataset, count=events)
        await received(others, count=AT_ONCE + events)
        grown = (await services.observed()).memory - before
        silent.reads.set()
        await received([silent], count=AT_ONCE + events)
        expected = expected_events(spec, log=await whole_log(dataset.services.database, after=start))
        for task in tasks:
            task.cancel()
    assert silent.received == expected
    assert [subscriber.received for subscriber in others] == [expected, expected]
    assert [subscriber.reconnects for subscriber in others] == [0, 0]
    print(f"{grown / 2**20:+.1f} MiB; the slow subscriber reconnected {silent.reconnects} times")  # noqa: T201 - the long form's
    assert grown < megabytes * 2**20
