"""One run of a compiled operation: root fields are asked, their values completed, and what comes later waited for.

A run knows no errors. Where anything is not as it should be, it ends with `Failed`, which has what became of the root
fields: graphql-core then runs the operation on these, and its answer, with all errors and their places, is the answer.
So nothing is asked of a root field twice, a mutation's least of all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import GraphQLResolveInfo
from graphql.execution import MiddlewareManager
from graphql.execution.values import VariableValues

from gateway.usecases.mapped_future import MappedFuture


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a root field."""

    value: Any = None
    error: Exception | None = None

    def replayed(self) -> Any:
        """Return or raise it once more."""
        if self.error is not None:
            raise self.error
        return self.value


class CompiledExecutionFailed(Exception):
    """A run came to an end where graphql-core has to say what is wrong."""

    def __init__(self, outcomes: dict[str, Outcome]) -> None:
        super().__init__("not as it should be")
        self.outcomes = outcomes

    @property
    def middleware(self) -> MiddlewareManager:
        """Has an executor take the root fields that were asked already as they were answered."""
        outcomes = self.outcomes

        def replay(resolve: Callable[..., Any], source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
            outcome = outcomes.get(str(info.path.key)) if info.path.prev is None else None
            return resolve(source, info, **arguments) if outcome is None else outcome.replayed()

        return MiddlewareManager(replay)


class InvalidValue(Exception):
    """A value is not what the schema says of it."""


class ExecutionState:
    """What the parts of a compiled operation share while it runs once."""

    __slots__ = ("context", "infos", "pending", "root_value", "variable_values")

    def __init__(self, *, context: Any, variable_values: VariableValues, root_value: Any) -> None:
        self.context = context
        self.variable_values = variable_values
        self.root_value = root_value
        self.infos: dict[object, Any] = {}
        """By field: what its resolver is told, made once."""
        self.pending: list[Pending] = []


Complete = Callable[[Any, ExecutionState], Any]
"""Turns a resolver's value into what is encoded. Raises whatever is wrong with it."""


class Pending(NamedTuple):
    """A value that is on its way, and where it belongs."""

    value: Awaitable[Any]
    complete: Complete
    parent: dict[str, Any]
    key: str


class RootField(NamedTuple):
    """A field of the operation itself."""

    key: str
    resolve: Callable[[Any, ExecutionState], Any]
    complete: Complete


async def run_fields(run: ExecutionState, groups: Sequence[Sequence[RootField]]) -> dict[str, Any]:
    """Run groups of root fields one after the other, those of a group together. Raises Failed."""
    outcomes: dict[str, Outcome] = {}
    data: dict[str, Any] = {}
    try:
        for group in groups:
            await _ask(run, group, outcomes)
            for field in group:
                data[field.key] = field.complete(outcomes[field.key].replayed(), run)
            await _complete_pending(run)
    except Exception as error:
        _close(run)
        raise CompiledExecutionFailed(outcomes) from error
    return data


async def _ask(run: ExecutionState, fields: Sequence[RootField], outcomes: dict[str, Outcome]) -> None:
    """Have each field's resolver answer, and note what became of it."""
    asked: dict[str, Awaitable[Any]] = {}
    for field in fields:
        try:
            value = field.resolve(run.root_value, run)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this field's outcome
            outcomes[field.key] = Outcome(error=error)
        else:
            if isinstance(value, Awaitable):
                asked[field.key] = value
            else:
                outcomes[field.key] = Outcome(value)
    if len(asked) == 1:
        [(key, awaited)] = asked.items()
        try:
            outcomes[key] = Outcome(await awaited)
        except Exception as error:  # noqa: BLE001 - as above
            outcomes[key] = Outcome(error=error)
    elif asked:
        outcomes |= dict(zip(asked, await _outcomes(list(asked.values())), strict=True))


async def _complete_pending(run: ExecutionState) -> None:
    """Wait for what comes later, all of it at a time, until nothing more does."""
    while run.pending:
        batch, run.pending = run.pending, []
        if len(batch) == 1:
            values = [await batch[0].value]
        else:
            awaitables = [each.value for each in batch]
            values = [
                _result(value, future) for value, future in zip(awaitables, await _settled(awaitables), strict=True)
            ]
        for (_, complete, parent, key), value in zip(batch, values, strict=True):
            parent[key] = complete(value, run)


async def _outcomes(awaitables: list[Awaitable[Any]]) -> list[Outcome]:
    """Wait for all, and tell what became of each."""
    return [_outcome(value, future) for value, future in zip(awaitables, await _settled(awaitables), strict=True)]


def _outcome(value: Awaitable[Any], future: "asyncio.Future[Any]") -> Outcome:
    try:
        return Outcome(_result(value, future))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
        return Outcome(error=error)


def _result(value: Awaitable[Any], future: "asyncio.Future[Any]") -> Any:
    if future.cancelled():
        raise InvalidValue("was cancelled")
    result = future.result()
    return value.then(result) if isinstance(value, MappedFuture) else result


async def _settled(awaitables: list[Awaitable[Any]]) -> "list[asyncio.Future[Any]]":
    """Wait until all are done, somehow. Whoever is cancelled meanwhile takes his own tasks along, no one's future."""
    begun = {at: asyncio.ensure_future(value) for at, value in enumerate(awaitables) if isinstance(value, Coroutine)}
    futures = [begun.get(at) or _future_of(value) for at, value in enumerate(awaitables)]
    try:
        if waited_for := {future for future in futures if not future.done()}:
            await asyncio.wait(waited_for)
    finally:
        for task in begun.values():
            task.cancel()
    for future in futures:
        if not future.cancelled():
            future.exception()  # looked at, whether or not it will be told: asyncio complains of those that are not
    return futures


def _future_of(value: Awaitable[Any]) -> "asyncio.Future[Any]":
    return value.future if isinstance(value, MappedFuture) else asyncio.ensure_future(value)


def _close(run: ExecutionState) -> None:
    """Let nothing be left that was begun, and that nobody will wait for."""
    for each in run.pending:
        if isinstance(each.value, Coroutine):
            each.value.close()
