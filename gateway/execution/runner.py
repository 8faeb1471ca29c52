"""Runs a compiled operation: resolves the root fields, completes their values, and awaits the values that come later.

Values are written to their places in the response as they are completed. A failing field becomes null, or the nearest
place above it that may be null does, as the GraphQL specification says.

All runs together give the event loop a turn every TURN_SECONDS: 20,000 rows take 1 s to complete, in which nothing else
would be answered, and no deadline would be noticed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from time import thread_time
from typing import Any, Final, NamedTuple, Optional

from graphql import FieldNode, GraphQLError, located_error
from graphql.execution.values import VariableValues

from gateway.execution.encoding import Response, encode_response
from gateway.execution.errors import OperationTooComplex
from gateway.usecases.batch_loader import MappedFuture

TURN_SECONDS: Final = 0.02
"""The CPU that operations take between two turns of the event loop, all together. The rows that are requested in one
turn are read together, so shorter turns take more statements."""
MAX_RESPONSE_BYTES: Final = 8_000_000
"""A page of 100 with 16 kB of metadata each, twice, is 3.3 MB."""
UNCOUNTED_CHARACTERS: Final = 64
"""Shorter strings are not counted: the cost of the operation limits their number."""


class Turns:
    """Divides the time of the event loop: between two of its turns, operations take TURN_SECONDS of CPU in all.

    Each waits for its next turn in the order of arrival. A turn is measured by the thread's CPU, so that a busy machine
    does not split the loads of one turn.
    """

    def __init__(self) -> None:
        self.ends = 0.0
        """In seconds of `thread_time`."""
        self._lock = asyncio.Lock()

    async def next(self) -> None:
        """Let the event loop run everything else that is ready, and begin the next turn."""
        async with self._lock:
            await asyncio.sleep(0)
        self.ends = thread_time() + TURN_SECONDS


class Position(NamedTuple):
    """A position in the operation: a field, or the items of its list."""

    name: str
    """`Type.field`."""
    nodes: Sequence[FieldNode]
    nullable: bool


@dataclass(slots=True, eq=False)
class Place:
    """The place of an object, a list or a failed value in the response."""

    parent: Optional["Place"]
    container: Any
    key: str | int
    position: Position
    nulled: bool = False

    def path(self) -> list[str | int]:
        """Return the keys from the root of the data to this place."""
        path, place = list[str | int](), self
        while place.parent is not None:
            path.append(place.key)
            place = place.parent
        return path[::-1]

    def is_detached(self) -> bool:
        """Return whether the value is no longer part of the response, because a place above it became null."""
        place: Place | None = self
        while place is not None:
            if place.nulled:
                return True
            place = place.parent
        return False


Completer = Callable[[Any, "ExecutionState", Any, Any, Place], None]
"""Writes a resolved value to `container[key]`: called with value, state, container, key and the place above. It adds
errors to the state, and raises none."""


class RootField(NamedTuple):
    """A field of the operation's root type."""

    key: str
    position: Position
    resolve: Callable[[Any, "ExecutionState"], Any]
    complete: Completer


class PendingValue(NamedTuple):
    """A value that is awaited, and its place in the response."""

    value: Awaitable[Any]
    position: Position
    complete: Completer
    container: Any
    key: str | int
    parent: Place


class RemainingItems(NamedTuple):
    """The items of a list that wait for the next turn."""

    items: Sequence[Any]
    first: int
    complete_item: Completer
    container: list[Any]
    place: Place


Groups = list[list[RootField]]
"""The root fields: the groups run one after the other, the fields of a group together."""


@dataclass(kw_only=True, slots=True)
class ExecutionState:
    """What the functions of a compiled operation share during one run."""

    context: Any
    variable_values: VariableValues
    root_value: Any = None
    turns: Turns = field(default_factory=Turns)
    max_response_bytes: int = MAX_RESPONSE_BYTES
    arguments: dict[object, Any] = field(default_factory=dict)
    """The arguments of each resolver, made once for all objects of a list."""
    errors: list[GraphQLError] = field(default_factory=list)
    pending: list[PendingValue] = field(default_factory=list)
    remaining: list[RemainingItems] = field(default_factory=list)
    characters: int = 0

    def fail(self, error: Exception, position: Position, container: Any, key: str | int, parent: Place) -> None:
        """Add a field's error, and write null to the nearest place that may be null."""
        place: Place | None = Place(parent, container, key, position)
        assert place is not None  # noqa: S101 - for the loop's type
        if place.is_detached():
            return
        self.errors.append(located_error(error, position.nodes, place.path()))
        while not place.position.nullable and place.parent is not None:
            place = place.parent
        place.nulled = True
        place.container[place.key] = None

    def must_pause(self) -> bool:
        """Return whether the rest has to wait: the turn is over, or the response too large."""
        return thread_time() > self.turns.ends or self.characters > self.max_response_bytes

    def too_large(self) -> OperationTooComplex:
        """Return the error of a response that is larger than it may be."""
        return OperationTooComplex(
            f"The response would be larger than {self.max_response_bytes} bytes. Ask for shorter pages, or for less of"
            " each item.",
            limit="responseBytes",
            allowed=self.max_response_bytes,
        )

    async def pause(self) -> None:
        """Wait for the next turn. Raises OperationTooComplex where the response is too large."""
        if self.characters > self.max_response_bytes:
            raise self.too_large()
        await self.turns.next()


async def execute(groups: Groups, state: ExecutionState, *, extensions: dict[str, Any] | None = None) -> Response:
    """Run an operation and encode its response. Raises OperationTooComplex where the response is too large."""
    response = encode_response(await run(groups, state), errors=state.errors, extensions=extensions)
    if len(response.body) > state.max_response_bytes:
        raise state.too_large()
    return response


async def run(groups: Groups, state: ExecutionState) -> Any:
    """Run an operation; return its data, and leave the errors in the state. Raises OperationTooComplex."""
    data: dict[str, Any] = {}
    response = {"data": data}
    root = Place(None, response, "data", Position("", (), nullable=True))
    if thread_time() > state.turns.ends:  # before anything is requested, rather than between the objects of a list
        await state.turns.next()
    try:
        for group in groups:
            for root_field in group:
                data[root_field.key] = None  # keeps the field's place among the others
                try:
                    value = root_field.resolve(state.root_value, state)
                except Exception as error:  # noqa: BLE001 - any error is the field's
                    state.fail(error, root_field.position, data, root_field.key, root)
                    continue
                if isinstance(value, Awaitable):
                    state.pending.append(
                        PendingValue(value, root_field.position, root_field.complete, data, root_field.key, root)
                    )
                else:
                    root_field.complete(value, state, data, root_field.key, root)
            while (state.pending or state.remaining) and not root.nulled:
                await (_complete_remaining(state) if state.remaining else _complete_pending(state))
            if root.nulled:
                break
    finally:
        for pending in state.pending:
            if isinstance(pending.value, Coroutine):
                pending.value.close()
    return response["data"]


async def _complete_remaining(state: ExecutionState) -> None:
    """Complete the items that were left for the next turn."""
    await state.pause()
    batch, state.remaining = state.remaining, []
    for items, first, complete_item, container, place in batch:
        complete_items(items, first, state, complete_item, container, place)


def complete_items(
    items: Sequence[Any],
    first: int,
    state: ExecutionState,
    complete_item: Completer,
    container: list[Any],
    place: Place,
) -> None:
    """Complete the items of a list from `first` on; when the turn is over, leave the rest for the next one."""
    for index in range(first, len(items)):
        if index > first and state.must_pause():
            state.remaining.append(RemainingItems(items, index, complete_item, container, place))
            return
        complete_item(items[index], state, container, index, place)


async def _complete_pending(state: ExecutionState) -> None:
    """Await all pending values and complete them."""
    batch, state.pending = state.pending, []
    settled = await _settled([pending.value for pending in batch])
    for (_, position, complete, container, key, parent), outcome in zip(batch, settled, strict=True):
        try:
            mapped = isinstance(outcome, MappedFuture)
            value = outcome.transform(outcome.future.result()) if mapped else outcome.result()
        except asyncio.CancelledError:
            state.fail(RuntimeError("The value's task was cancelled."), position, container, key, parent)
        except Exception as error:  # noqa: BLE001 - any error is the field's
            state.fail(error, position, container, key, parent)
        else:
            complete(value, state, container, key, parent)
        if state.must_pause():
            await state.pause()


async def _settled(awaitables: list[Awaitable[Any]]) -> list[Any]:
    """Await all; return futures that are done, and MappedFutures whose futures are.

    Coroutines become tasks of this run, and are cancelled with it. A MappedFuture is shared with other requests: it is
    waited for, and never cancelled.
    """
    if len(awaitables) == 1 and isinstance(awaitables[0], Coroutine):  # the common case needs no task
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            done.set_result(await awaitables[0])
        except Exception as error:  # noqa: BLE001 - any error is the field's
            done.set_exception(error)
        return [done]
    settled: list[MappedFuture[Any, Any] | asyncio.Future[Any]] = [
        value if isinstance(value, MappedFuture) else asyncio.ensure_future(value) for value in awaitables
    ]
    futures = {value.future if isinstance(value, MappedFuture) else value for value in settled}
    try:
        if waited_for := {future for future in futures if not future.done()}:
            await asyncio.wait(waited_for)
    finally:
        for value in settled:
            if not isinstance(value, MappedFuture):
                value.cancel()
    return settled
