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

from gateway.execution.encoding import Response, encode_response
from gateway.execution.state import (
    ExecutionState,
    Groups,
    Place,
    Position,
    RootField,
    Settled,
    Writer,
    answer_of,
)
from gateway.usecases.batch_loader import MappedFuture

_ROWS_PER_CHECK = 16
"""Of those that are looked up, until it is checked whether the turn is over."""


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
            if not await _write(group, values, writers, data, root, state):
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
                values[at] = answer_of(outcome)
            except Exception as error:  # noqa: BLE001 - any error is the field's
                values[at] = _Failure(error)
    return values


async def _write(
    group: list[RootField],
    values: list[Any],
    writers: list[Writer | None],
    data: dict[str, Any],
    root: Place,
    state: ExecutionState,
) -> bool:
    """Write the values directly; return False where they have to be completed. Raises OperationTooComplex."""
    try:
        for root_field, value, writer in zip(group, values, writers, strict=True):
            if writer is None or value.__class__ is _Failure:
                return False
            data[root_field.key] = writer.write(value, state)
        if state.references or state.late or state.rest:
            await _write_later(state, root)
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
        if state.references or state.late or state.rest:
            _drop_unwritten(state)


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
            if at % _ROWS_PER_CHECK == 0 and state.must_pause():
                await state.pause()
            result[key] = referenced.writer.write(row, state)


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
        await _write_later(state, root)
    finally:
        _drop_unwritten(state)


async def _write_later(state: ExecutionState, root: Place) -> None:
    """Write what is looked up, what was left for the next turn, and the values that are awaited, until all is there."""
    while (state.references or state.rest or state.late) and not root.nulled:
        if state.references:
            await _write_references(state)
        elif state.rest:
            await state.pause()
            rest, state.rest = state.rest, []
            for write_items in rest:
                write_items()
        else:
            late, state.late = state.late, []
            settled = await _settled([value for value, _ in late])
            for at, ((_, write), outcome) in enumerate(zip(late, settled, strict=True)):
                if at and state.must_pause():
                    await state.pause()
                write(outcome)


async def _settled(awaitables: list[Awaitable[Any]]) -> list[Settled]:
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
    settled: list[Settled] = []
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


def _drop_unwritten(state: ExecutionState) -> None:
    """Drop what was not written, and close the coroutines that were never awaited."""
    for value, _ in state.late:
        if isinstance(value, Coroutine):
            value.close()
    state.late, state.rest = [], []
    state.references.clear()
