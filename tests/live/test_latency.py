"""How soon a change is told of, with bounds that a busy machine keeps too; the benchmark has the figures."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.domain.cursors import encode_position
from gateway.domain.event_filters import EventFilter
from gateway.usecases.installations import merge_into_metadata
from gateway.usecases.services import Services
from tests.live.followers import SocketFollower, StreamFollower, SubscriberBuffer, Wish
from tests.live.servers import Postgres, running_gateways
from tests.live.worlds import PLATFORM, World, populated

DEADLINE_SECONDS = 20


@pytest.fixture
async def world(postgres: Postgres) -> AsyncIterator[World]:
    async with populated(postgres.url, applications=1, accounts=1) as populated_world:
        yield populated_world


async def seconds_to_receipt(
    services: Services, world: World, followers: Sequence[SubscriberBuffer], *, changes: int
) -> list[float]:
    """Change so many times; answer how long after each commit the last of the followers had been told."""
    seconds = []
    for number in range(changes):
        told = len(followers[0].received)
        await merge_into_metadata(
            services, PLATFORM, installation_id=world.quiet.id, patch={"number": number}, expected_version=None
        )
        committed = time.monotonic()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while any(len(follower.received) == told for follower in followers):  # noqa: ASYNC110 - plain lists
                await asyncio.sleep(0.001)
        seconds.append(time.monotonic() - committed)
    return seconds


async def test_change_is_told_at_once_by_the_bell_and_by_the_next_poll_without(
    postgres: Postgres, world: World, tmp_path: Path
) -> None:
    wish = Wish(secret=world.secret, variables={}, matching=EventFilter())
    silent = replace(world.services, notify=lambda: None)
    async with (
        running_gateways(postgres.url, count=1, directory=tmp_path) as (services,),
        asyncio.TaskGroup() as group,
    ):
        cursor = encode_position(await world.feed.position())
        followers: list[SubscriberBuffer] = [
            kind(wish, urls=[services.url], cursor=cursor) for kind in (SocketFollower, StreamFollower)
        ]
        following = [group.create_task(follower.follow()) for follower in followers]
        await seconds_to_receipt(world.services, world, followers, changes=3)  # the first wait for the subscriptions
        rung = await seconds_to_receipt(world.services, world, followers, changes=30)
        polled = await seconds_to_receipt(silent, world, followers, changes=2)
        for task in following:
            task.cancel()
    assert statistics.median(rung) < 0.2
    assert max(polled) < 3
