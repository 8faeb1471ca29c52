"""Runs a compiled operation: resolves the root fields, completes their values, and awaits the values that come later.

A run handles no errors. When anything is not as the schema says, it raises `CompiledExecutionFailed` with the outcome
of each root field. graphql-core then executes the operation on these outcomes, and its response, with every error and
its path, is the answer. So no root field is resolved twice, which matters for mutations.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphql import GraphQLResolveInfo
from graphql.execution import MiddlewareManager
from graphql.execution.values import VariableValues

from gateway.usecases.batch_loader import MappedFuture


@dataclass(kw_only=True, slots=True)
class ExecutionState:
    """What the functions of a compiled operation share during one run."""

    context: Any
    variable_values: VariableValues
    root_value: Any = None
    arguments: dict[object, tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=dict)
    """The arguments of each resolver, made once for all objects of a list."""
    pending: list["PendingValue"] = field(default_factory=list)


Completer = Callable[[Any, ExecutionState], Any]
"""Turns a resolved value into what is encoded. Raises InvalidValue, and whatever the value's type raises."""


class InvalidValue(Exception):
    """A resolved value does not fit its type in the schema."""


class PendingValue(NamedTuple):
    """A value that is awaited, or a root field's, and its place in the result."""

    value: Any
    complete: Completer
    parent: dict[str, Any]
    key: str


class RootField(NamedTuple):
    """A field of the operation's root type."""

    key: str
    resolve: Callable[[Any, ExecutionState], Any]
    complete: Completer


Groups = list[list[RootField]]
"""The root fields: the groups run one after the other, the fields of a group together."""


@dataclass(frozen=True, slots=True)
class Raised:
    """Stands for the value of a resolver that raised."""

    error: Exception


class CompiledExecutionFailed(Exception):
    """A run stopped; graphql-core has to execute the operation, on the outcomes of the root fields."""

    def __init__(self, outcomes: dict[str, Any]) -> None:
        super().__init__("The result does not fit the schema.")
        self._outcomes = outcomes

    @property
    def middleware(self) -> MiddlewareManager:
        """Replays the root fields that were resolved, instead of resolving them again."""
        outcomes = self._outcomes

        def replay(resolve: Callable[..., Any], source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
            if info.path.prev is not None or info.path.key not in outcomes:
                return resolve(source, info, **arguments)
            outcome = outcomes[str(info.path.key)]
            if type(outcome) is Raised:
                raise outcome.error
            return outcome

        return MiddlewareManager(replay)


async def run(groups: Groups, state: ExecutionState) -> dict[str, Any]:
    """Run an operation and return its data. Raises CompiledExecutionFailed."""
    outcomes: dict[str, Any] = {}
    data: dict[str, Any] = {}
    try:
        for group in groups:
            await _resolve(group, state, outcomes)
            batch = [PendingValue(None, root_field.complete, data, root_field.key) for root_field in group]
            values = [outcomes[root_field.key] for root_field in group]
            while batch:
                for (_, complete, parent, key), value in zip(batch, values, strict=True):
                    if type(value) is Raised:
                        raise value.error  # noqa: TRY301 - a resolver's error ends the run as any other
                    parent[key] = complete(value, state)
                batch, state.pending = state.pending, []
                values = await _settled([pending.value for pending in batch]) if batch else []
    except Exception as error:
        for pending in state.pending:
            if isinstance(pending.value, Coroutine):
                pending.value.close()
        raise CompiledExecutionFailed(outcomes) from error
    return data


async def _resolve(group: Sequence[RootField], state: ExecutionState, outcomes: dict[str, Any]) -> None:
    """Resolve root fields together and add the outcome of each, also where one of them fails."""
    pending: dict[str, Awaitable[Any]] = {}
    for root_field in group:
        try:
            value = root_field.resolve(state.root_value, state)
        except Exception as error:  # noqa: BLE001 - any error is the outcome of this field
            value = Raised(error)
        if isinstance(value, Awaitable):
            pending[root_field.key] = value
        else:
            outcomes[root_field.key] = value
    if pending:
        outcomes |= zip(pending, await _settled(list(pending.values())), strict=True)


async def _settled(awaitables: list[Awaitable[Any]]) -> list[Any]:
    """Await all, and return the value of each, or Raised.

    Coroutines become tasks of this run, and are cancelled with it. A MappedFuture is shared with other requests: it is
    waited for, and never cancelled.
    """
    if len(awaitables) == 1 and isinstance(awaitables[0], Coroutine):  # the common case needs no task
        try:
            return [await awaitables[0]]
        except Exception as error:  # noqa: BLE001 - any error is the outcome
            return [Raised(error)]
    tasks = [asyncio.ensure_future(value) for value in awaitables if not isinstance(value, MappedFuture)]
    own = iter(tasks)
    futures = [value.future if isinstance(value, MappedFuture) else next(own) for value in awaitables]
    try:
        if waited_for := {future for future in futures if not future.done()}:
            await asyncio.wait(waited_for)
    finally:
        for task in tasks:
            task.cancel()
    outcomes: list[Any] = []
    for value, future in zip(awaitables, futures, strict=True):
        try:
            result = future.result()
            outcomes.append(value.transform(result) if isinstance(value, MappedFuture) else result)
        except asyncio.CancelledError:
            outcomes.append(Raised(InvalidValue("The value's task was cancelled.")))
        except Exception as error:  # noqa: BLE001 - any error is the outcome
            outcomes.append(Raised(error))
    return outcomes
