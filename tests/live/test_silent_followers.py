"""Followers that read nothing while much happens cost little memory, and nobody any event."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.domain.cursors import encode_position
from gateway.domain.event_filters import EventFilter
from gateway.storage.database import transaction
from gateway.storage.events import append_event
from tests.live.conftest import LONG
from tests.live.followers import SocketFollower, StreamFollower, SubscriberBuffer, Wish
from tests.live.servers import Postgres, running_gateways
from tests.live.storms import expected_of
from tests.live.worlds import World, populated
from tests.postgres.event_rows import Subject, whole_log

EVENTS = 50_000 if LONG else 4_000
AT_ONCE = 500
MEGABYTES = 20 if LONG else 10
DEADLINE_SECONDS = 300 if LONG else 60
WIDE = f"""subscription ($after: String) {{
  events: installationEvents(after: $after) {{
    cursor installationId version {" ".join(f"again{number}: installationId" for number in range(40))}
  }}
}}"""
"""Some two kilobytes for each event: all of them together are more than the sockets' buffers hold."""


async def write(world: World, *, count: int) -> None:
    subject = Subject()
    for _ in range(count // AT_ONCE):
        async with transaction(world.services.database) as held:
            for _ in range(AT_ONCE):
                await append_event(held, subject.next())
        world.feed.notify()


async def received(followers: Sequence[SubscriberBuffer], *, count: int) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while any(len(follower.received) < count for follower in followers):  # noqa: ASYNC110 - of several followers
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", [SocketFollower, StreamFollower])
async def test_follower_that_reads_nothing_costs_little_and_gets_all_in_the_end(
    kind: type[SubscriberBuffer], postgres: Postgres, tmp_path: Path
) -> None:
    async with (
        populated(postgres.url, applications=1, accounts=1) as world,
        running_gateways(postgres.url, count=1, directory=tmp_path) as (services,),
        asyncio.TaskGroup() as group,
    ):
        beginning = await world.feed.position()
        wish = Wish(secret=world.secret, document=WIDE, variables={}, matching=EventFilter())
        silent, *others = (
            one(wish, urls=[services.url], cursor=encode_position(beginning))
            for one in (kind, SocketFollower, StreamFollower)
        )
        silent.reads.clear()
        following = [group.create_task(follower.follow()) for follower in (silent, *others)]
        await write(world, count=AT_ONCE)
        await received(others, count=AT_ONCE)
        before = (await services.observed()).memory
        await write(world, count=EVENTS)
        await received(others, count=AT_ONCE + EVENTS)
        grown = (await services.observed()).memory - before
        silent.reads.set()
        await received([silent], count=AT_ONCE + EVENTS)
        expected = expected_of(wish, log=await whole_log(world.services.database, after=beginning))
        for task in following:
            task.cancel()
    assert silent.received == expected
    assert [follower.received for follower in others] == [expected, expected]
    assert [follower.returns for follower in others] == [0, 0]
    print(f"{grown / 2**20:+.1f} MiB; the silent one came back {silent.returns} times")  # noqa: T201 - the long form's
    assert grown < MEGABYTES * 2**20
