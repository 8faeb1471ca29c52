"""An event stream is a subscriber from its start to its end, however it ends."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from gateway.feed import Feed
from gateway.storage.database import Database
from tests.postgres.event_rows import EVERYTHING, EventSource, until
from tests.postgres.test_feed import commit


async def test_ended_stream_leaves_nothing_behind(database: Database, feed: Feed) -> None:
    closed, cancelled, forgotten = (feed.follow(EVERYTHING) for _ in range(3))
    for tasks in (closed, cancelled, forgotten):
        await tasks.start()
    waiting = asyncio.create_task(anext(cancelled))
    await asyncio.sleep(0)
    assert feed.stats.subscribers == 3
    await closed.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(closed)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert feed.stats.subscribers == 1
    del tasks, forgotten
    gc.collect()
    await until(lambda: feed.stats.subscribers == 0)
    assert not feed._subscribers._by_application
    await commit(database, feed, EventSource())


async def test_subscriber_is_counted_once_it_misses_nothing(feed: Feed) -> None:
    """Who waits for the gauge may then write: what is committed from now on is delivered."""
    events = feed.follow(EVERYTHING)
    starting = asyncio.create_task(events.start())
    await asyncio.sleep(0)
    assert (list(feed._subscribers), feed.stats.subscribers) == ([events.buffer], 0)
    await until(lambda: feed.stats.subscribers == 1)
    assert events.position is not None
    await starting


async def test_cancelled_generator_closes_its_stream(feed: Feed) -> None:
    async def generate() -> AsyncIterator[int]:
        async with aclosing(feed.follow(EVERYTHING)) as events:
            async for event in events:
                yield event.version

    task = asyncio.ensure_future(anext(aiter(generate())))
    await until(lambda: feed.stats.subscribers == 1)
    task.cancel()
    await asyncio.wait([task])
    await until(lambda: feed.stats.subscribers == 0)
