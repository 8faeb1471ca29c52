"""Long work in a thread beside the event loop.

CPython lets the event loop run every 5 ms meanwhile. A request over a new connection needs some five turns of it: while
one caller sent documents of 50 ms each, parsed between the turns, /healthz took 250 ms; in a thread it takes 30.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class WorkerThread:
    """Runs one function at a time: with several threads the event loop would run less often."""

    def __init__(self) -> None:
        self._free = asyncio.Lock()

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return the function's result. A cancellation waits for its end, so that its caller pays for all of it."""
        async with self._free:
            task = asyncio.create_task(asyncio.to_thread(work))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                await asyncio.wait([task])
                raise
