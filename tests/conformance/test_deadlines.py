"""Deadlines end what takes too long, and nothing else."""

import asyncio
from collections.abc import Coroutine

import pytest

from gateway.operations.running import Deadline, Deadlines, Places


async def limited(deadlines: Deadlines, work: Coroutine[None, None, str]) -> str:
    try:
        with Deadline(deadlines):
            return await work
    except TimeoutError:
        return "too late"


async def waiting(event: asyncio.Event) -> str:
    await event.wait()
    return "done"


async def test_operations_end_at_their_own_deadlines() -> None:
    deadlines, never, soon = Deadlines(0.05), asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(limited(deadlines, waiting(soon)))
    await asyncio.sleep(0.03)
    others = [asyncio.create_task(limited(deadlines, waiting(never))) for _ in range(3)]
    soon.set()
    assert await first == "done"
    await asyncio.sleep(0.03)  # the first one's timer has run
    assert not any(task.done() for task in others)
    assert await asyncio.gather(*others) == ["too late"] * 3
    assert await limited(deadlines, waiting(soon)) == "done"
    assert await limited(deadlines, waiting(never)) == "too late", "a timer is set again"


async def test_cancellation_is_not_a_timeout() -> None:
    task = asyncio.create_task(limited(Deadlines(30), waiting(asyncio.Event())))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancellation_wins_over_a_timeout_at_the_same_time() -> None:
    deadlines = Deadlines(0)
    task = asyncio.create_task(limited(deadlines, waiting(asyncio.Event())))
    await asyncio.sleep(0)
    (deadline,) = deadlines.running
    del deadlines.running[deadline]
    deadline.expire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_deadlines_outlive_an_event_loop() -> None:
    deadlines = Deadlines(0.01)
    for _ in range(2):
        with asyncio.Runner() as runner:
            assert runner.run(limited(deadlines, asyncio.sleep(0, "done"))) == "done"
    with asyncio.Runner() as runner:
        assert runner.run(limited(deadlines, asyncio.sleep(30, "done"))) == "too late"


async def test_places_are_given_in_order_and_not_lost() -> None:
    places, order = Places(most=2), list[str]()

    async def take(name: str) -> None:
        place = places.take("caller") or await places.wait("caller")
        order.append(name)
        await asyncio.sleep(0)
        places.leave(place)

    tasks = {name: asyncio.create_task(take(name)) for name in "abcdef"}
    await asyncio.sleep(0)
    assert places.take("other") is not None
    tasks["c"].cancel()  # while it waits
    await asyncio.sleep(0)
    tasks["d"].cancel()  # when it was just given a place
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    assert order == ["a", "b", "e", "f"]
    assert set(places._callers) == {"other"}
