"""Cancelling a coroutine for a reason that its awaiter gets."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

Reason = TypeVar("Reason")


class Cancellable(Generic[Reason]):
    """One coroutine that others may interrupt, also before it begins and after it has ended."""

    __slots__ = ("_ended", "_reason", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._reason: Reason | None = None
        self._ended = False

    async def run(self, work: Coroutine[Any, Any, Reason | None]) -> Reason | None:
        """Await the coroutine. Return the reason of its interruption, or else its own result."""
        if self._reason is not None:
            work.close()
            return self._reason
        self._task = asyncio.current_task()
        try:
            return await work
        except asyncio.CancelledError:
            reason: Reason | None = self._reason
            if reason is None or (self._task is not None and self._task.uncancel() > 0):
                raise  # the awaiter itself is cancelled
            return reason
        finally:
            self._ended = True

    def interrupt(self, reason: Reason) -> None:
        """Cancel the coroutine, unless it has ended. The first reason counts."""
        if self._ended or self._reason is not None:
            return
        self._reason = reason
        if self._task is not None:
            self._task.cancel()
