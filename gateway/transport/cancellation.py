"""Work that somebody else may end, for a reason that the one who awaits it gets to know."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

Reason = TypeVar("Reason")


class Cancellable(Generic[Reason]):
    """One piece of work. `interrupt` may be called at any time, also before the work begins and after it ended."""

    __slots__ = ("_ended", "_reason", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._reason: Reason | None = None
        self._ended = False

    async def run(self, work: Coroutine[Any, Any, Reason | None]) -> Reason | None:
        """Do the work. Returns the reason for which it was interrupted, or else what the work itself returned."""
        if self._reason is not None:
            work.close()
            return self._reason
        task = _this_task()
        self._task = task
        try:
            return await work
        except asyncio.CancelledError:
            if not self._interrupted() or task.uncancel() > 0:
                raise  # it is not this work alone that ends
        finally:
            self._ended = True
        return self._reason

    def interrupt(self, reason: Reason) -> None:
        """End the work, unless it has ended; the first reason counts."""
        if self._ended or self._reason is not None:
            return
        self._reason = reason
        if self._task is not None:
            self._task.cancel()

    def _interrupted(self) -> bool:
        return self._reason is not None


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("There is no task to interrupt.")
    return task
