"""Values that are on their way to a resolver: shared with others who wait for the same, and waited for together."""

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

Found = TypeVar("Found")
Answer = TypeVar("Answer")


class MappedFuture(Generic[Found, Answer]):
    """A future, and what is made of its result.

    Whoever awaits it is cancelled for himself alone. A compiled operation waits for many at once, without a task for
    each.
    """

    __slots__ = ("future", "then")

    def __init__(self, future: "asyncio.Future[Found]", then: Callable[[Found], Answer]) -> None:
        self.future = future
        self.then = then

    def __await__(self) -> Generator[Any, None, Answer]:
        found = yield from shared(self.future).__await__()
        return self.then(found)


def shared(found: "asyncio.Future[Found]") -> "asyncio.Future[Found]":
    """Let one of several wait for a future.

    A field that fails has its siblings cancelled. What one of these waits for, fields elsewhere may be waiting for too:
    awaited as it is, it would be cancelled for all of them, and their whole operation with it.
    """
    if found.done():
        return found
    found.add_done_callback(_note_failure)
    return asyncio.shield(found)


def _note_failure(found: "asyncio.Future[Any]") -> None:
    """Look at a failure that perhaps nobody waits for any more, or asyncio complains of it in the log."""
    if not found.cancelled():
        found.exception()
