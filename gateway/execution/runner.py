"""Runs a compiled operation: resolves the root fields, completes their values, and awaits the values that come later.

Values are written to their places in the response as they are completed. A failing field becomes null, or the nearest
place above it that may be null does, as the GraphQL specification says.

All runs together give the event loop a turn every TURN_SECONDS: 20,000 rows take 1 s to complete, in which nothing else
would be answered, and no deadline would be noticed.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.execution.completers import complete_items
from gateway.execution.direct import write_items
from gateway.execution.encoding import Response, encode_response
from gateway.execution.state import (
    ExecutionState,
    Groups,
    LateValue,
    Place,
    Position,
    RootField,
    Writer,
)
from gateway.usecases.batch_loader import MappedFuture

_VALUES_PER_CHECK = 16
"""Until it is checked whether the turn is over."""


@dataclass(slots=True, eq=False)
class _Failure:
    """The error of a root field's resolver."""

    error: Exception


async def execute(groups: Groups, state: ExecutionState, *, extensions: dict[str, Any] | None = None) -> Response:
    """Run an operation and encode its response. Raises OperationTooComplex where the response is too large."""
    data: dict[str, Any] = {}
    members = {"data": data}
    root = Place(None, members, "data", Position("", (), nullable=True))
    try:
        if state.turns.is_over():  # before anything is requested, rather than between the objects of a list
            await state.turns.next()
        for group in groups:
            values = await _resolve(group, state)
            for root_field in group:
                data[root_field.key] = None  # keeps the field's place among the others
            writers = [root_field.direct.get() for root_field in group]
            if not await _write(group, values, writers, data, state):
                await _complete(group, values, data, root, state)
            if root.nulled:
                break
        response = encode_response(members["data"], errors=state.errors, extensions=extensions)
    finally:
        state.arguments.clear()  # they refer to the state: the garbage collector alone would find both
    if len(response.body) > state.max_response_bytes:
        raise state.too_large()
    return response


async def _resolve(group: list[RootField], state: ExecutionState) -> list[Any]:
    """Return the values of the root fields, or the failures of their resolvers."""
    values: list[Any] = []
    for root_field in group:
        try:
            values.append(root_field.resolve(state.root_value, state))
        except Exception as error:  # noqa: BLE001 - any error is the field's
            values.append(_Failure(error))
    # `isinstance` takes 0.5 us to say whether a value can be awaited, and `hasattr` 0.1.
    awaited = [at for at, value in enumerate(values) if hasattr(value.__class__, "__await__")]
    if len(awaited) == 1:  # the common case needs no task
        [at] = awaited
        try:
            values[at] = await values[at]
        except Exception as error:  # noqa: BLE001 - any error is the field's
            values[at] = _Failure(error)
    elif awaited:
        settled = await _settled([values[at] for at in awaited])
        for at, outcome in zip(awaited, settled, strict=True):
            if at and state.must_pause():
                await state.pause()
            try:
                values[at] = _answer(outcome)
            except Exception as error:  # noqa: BLE001 - any error is the field's
                values[at] = _Failure(error)
    return values


async def _write(
    group: list[RootField], values: list[Any], writers: list[Writer | None], data: dict[str, Any], state: ExecutionState
) -> bool:
    """Write the values directly; return False where they have to be completed. Raises OperationTooComplex."""
    try:
        for root_field, value, writer in zip(group, values, writers, strict=True):
            if writer is None or value.__class__ is _Failure:
                return False
            data[root_field.key] = writer.write(value, state)
        while state.references or state.late or state.rest:
            if state.references:
                await _write_references(state)
            else:
                await (_write_rest(state) if state.rest else _write_late(state))
    except Exception:
        if state.characters > state.max_response_bytes:
            raise
        state.characters = 0
        for root_field in group:
            root_field.direct.suspend()
        return False
    else:
        return True
    finally:
        if state.late or state.rest or state.references:
            _close([late.value for late in state.late])
            state.late, state.rest = [], []
            state.references.clear()


async def _write_rest(state: ExecutionState) -> None:
    """Write the items that were left for the next turn."""
    await state.pause()
    batch, state.rest = state.rest, []
    for items, first, writer, result in batch:
        write_items(items, first, writer, result, state)


async def _write_references(state: ExecutionState) -> None:
    """Look up the rows that objects refer to, all together, and write them."""
    batch, state.references = state.references, defaultdict(list)
    loaders = state.context.loaders
    lookups = [
        (referenced, getattr(loaders, referenced.cache), [each for each, _ in entries], entries)
        for referenced, entries in batch.items()
    ]
    for _, cache, ids, _ in lookups:
        cache.request_all(ids)
    for referenced, cache, ids, entries in lookups:
        key = referenced.key
        for at, ((_, result), row) in enumerate(zip(entries, await cache.rows(ids), strict=True), start=1):
            if at % _VALUES_PER_CHECK == 0 and state.must_pause():
                await state.pause()
            result[key] = referenced.writer.write(row, state)


async def _write_late(state: ExecutionState) -> None:
    """Await all values that come later and write them."""
    batch: list[LateValue]
    batch, state.late = state.late, []
    settled = await _settled([late.value for late in batch])
    for at, ((_, writer, container, key), outcome) in enumerate(zip(batch, settled, strict=True), start=1):
        if at % _VALUES_PER_CHECK == 0 and state.must_pause():
            await state.pause()
        container[key] = writer.write(_answer(outcome), state)


async def _complete(
    group: list[RootField], values: list[Any], data: dict[str, Any], root: Place, state: ExecutionState
) -> None:
    """Complete the values, and what comes below them."""
    try:
        for (key, position, _, complete, _), value in zip(group, values, strict=True):
            data[key] = None
            if value.__class__ is _Failure:
                state.fail(value.error, position, data, key, root)
            else:
                complete(value, state, data, key, root)
        while (state.pending or state.remaining) and not root.nulled:
            await (_complete_remaining(state) if state.remaining else _complete_pending(state))
    finally:
        _close([pending.value for pending in state.pending])


async def _complete_remaining(state: ExecutionState) -> None:
    """Complete the items that were left for the next turn."""
    await state.pause()
    batch, state.remaining = state.remaining, []
    for items, first, complete_item, container, place in batch:
        complete_items(items, first, state, complete_item, container, place)


async def _complete_pending(state: ExecutionState) -> None:
    """Await all pending values and complete them."""
    batch, state.pending = state.pending, []
    settled = await _settled([pending.value for pending in batch])
    for at, ((_, position, complete, container, key, parent), outcome) in enumerate(zip(batch, settled, strict=True)):
        if at and state.must_pause():
            await state.pause()
        try:
            value = _answer(outcome)
        except Exception as error:  # noqa: BLE001 - any error is the field's
            state.fail(error, position, container, key, parent)
        else:
            complete(value, state, container, key, parent)


async def _settled(awaitables: list[Awaitable[Any]]) -> "list[MappedFuture[Any, Any] | asyncio.Future[Any]]":
    """Await all; return futures that are done, and MappedFutures whose batches are.

    Coroutines become tasks of this run, and are cancelled with it. A batch is shared with other requests: it is waited
    for, and never cancelled.
    """
    if len(awaitables) == 1 and isinstance(awaitables[0], Coroutine):  # a common case that needs no task
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            done.set_result(await awaitables[0])
        except Exception as error:  # noqa: BLE001 - any error is the field's
            done.set_exception(error)
        return [done]
    settled: list[MappedFuture[Any, Any] | asyncio.Future[Any]] = []
    tasks: list[asyncio.Future[Any]] = []
    for value in awaitables:
        if isinstance(value, MappedFuture):
            settled.append(value)
        else:
            tasks.append(asyncio.ensure_future(value))
            settled.append(tasks[-1])
    try:
        for each in settled:
            if isinstance(each, MappedFuture) and not each.batch.done:
                await each.batch.wait()
        if tasks:
            await asyncio.wait(tasks)
    finally:
        for task in tasks:
            task.cancel()
    return settled


def _answer(settled: "MappedFuture[Any, Any] | asyncio.Future[Any]") -> Any:
    """Return the result of what is done, or raise its error."""
    if isinstance(settled, MappedFuture):
        return settled.answer()
    try:
        return settled.result()
    except asyncio.CancelledError:
        raise RuntimeError("The value's task was cancelled.") from None


def _close(awaitables: list[Awaitable[Any]]) -> None:
    """Close the coroutines that were never awaited."""
    for value in awaitables:
        if isinstance(value, Coroutine):
            value.close()
