"""Errors and nulls of compiled execution: the same data and errors as graphql-core, wherever a value fails."""

import asyncio
import gc
import json
import random
import warnings
from functools import partial
from typing import Any, Optional, cast

import pytest
import strawberry

from gateway.domain.errors import BadUserInput
from gateway.execution.documents import Documents
from gateway.execution.limits import DocumentLimits
from gateway.execution.runner import execute
from gateway.execution.state import ExecutionState
from tests.generation.graphql_core import execute_by_graphql_core

DEPTH = 4


@strawberry.type
class Thing:
    """Its fields fail or are null by chance: the same way each time for the same path."""

    path: strawberry.Private[tuple[Any, ...]]
    failing: strawberry.Private[float]

    def _outcome(self, field: str, value: Any) -> Any:  # of any type: null where it must not be is one of the failures
        chance = random.Random(repr((self.path, field))).random()
        if chance < self.failing / 2:
            raise BadUserInput(f"{self.path} {field}")
        return None if chance < self.failing else value

    def _child(self, field: str) -> Any:
        return self._outcome(field, Thing(path=(*self.path, field), failing=self.failing))

    @strawberry.field
    def optional(self) -> str | None:
        return cast("str | None", self._outcome("optional", "x"))

    @strawberry.field
    def required(self) -> str:
        return cast("str", self._outcome("required", "x"))

    @strawberry.field
    async def later(self) -> str | None:
        await asyncio.sleep(0)
        return cast("str | None", self._outcome("later", "x"))

    @strawberry.field
    async def required_later(self) -> str:
        await asyncio.sleep(0)
        return cast("str", self._outcome("required_later", "x"))

    @strawberry.field
    def child(self) -> Optional["Thing"]:
        return cast("Thing | None", self._child("child"))

    @strawberry.field
    def required_child(self) -> "Thing":
        return cast("Thing", self._child("required_child"))

    @strawberry.field
    async def child_later(self) -> Optional["Thing"]:
        return cast("Thing | None", self._child("child_later"))

    @strawberry.field
    def things(self) -> list["Thing"] | None:
        return [self._child(f"things{index}") for index in range(2)]

    @strawberry.field
    async def some_things(self) -> list[Optional["Thing"]]:
        return [self._outcome(f"some{i}", Thing(path=(*self.path, i), failing=self.failing)) for i in range(3)]

    @strawberry.field
    def words(self) -> list[str | None] | None:
        return ["a", None, "b"]


@strawberry.type
class Query:
    @strawberry.field
    def thing(self, seed: int, failing: float) -> Thing | None:
        return Thing(path=(seed,), failing=failing)

    @strawberry.field
    def required_thing(self, seed: int, failing: float) -> Thing:
        return Thing(path=("required", seed), failing=failing)


def selection(depth: int) -> str:
    leaves = "__typename optional required later again: requiredLater words"
    if not depth:
        return leaves
    below = selection(depth - 1)
    return f"{leaves} " + " ".join(f"{name} {{ {below} }}" for name in ("child", "things", "someThings"))


SELECTION = f"{{ requiredChild {{ childLater {{ {selection(2)} }} }} {selection(2)} }}"
DOCUMENT = f"""query ($seed: Int!, $failing: Float!) {{
  thing(seed: $seed, failing: $failing) {SELECTION}
  other: thing(seed: $seed, failing: $failing) {{ optional }}
  requiredThing(seed: $seed, failing: $failing) {{ optional child {{ required }} }}
}}"""


def by_path(answer: dict[str, Any]) -> dict[tuple[Any, ...], Any]:
    """Return the errors by their path, without the ids of internal ones."""
    for error in answer.get("errors", ()):
        error["extensions"].pop("errorId", None)
    return {tuple(error["path"]): error for error in answer.get("errors", ())}


def nulled(answer: dict[str, Any]) -> set[tuple[Any, ...]]:
    """Return the places that became null by an error."""
    places = set()
    for path in by_path(answer):
        value, place = answer["data"], list[Any]()
        for key in path:
            if value is None:
                break
            value = value[key]
            place.append(key)
        assert value is None
        places.add(tuple(place))
    return places


@pytest.mark.parametrize("failing", [0.0, 0.02, 0.1, 0.3])
async def test_failing_fields_are_answered_as_graphql_core_does(failing: float) -> None:
    schema = strawberry.Schema(query=Query)
    operation = Documents(schema, limits=DocumentLimits(aliases=1_000, written_fields=1_000)).prepare(DOCUMENT)
    seeds = [{"seed": seed, "failing": failing} for seed in range(5)]
    common = 0
    with warnings.catch_warnings(action="ignore"):  # graphql-core leaves coroutines behind that it never awaits
        core = partial(execute_by_graphql_core, schema._schema, operation.document, context=None)
        all_theirs = [await core(variables=variables) for variables in seeds]
        gc.collect()
    for variables, theirs in zip(seeds, all_theirs, strict=True):
        values = operation.compiled.variables.coerced(variables)
        state = ExecutionState(context=None, variable_values=values)
        mine = await execute(operation.compiled.variant(values), state)
        answer, their_answer = json.loads(mine.body), json.loads(theirs.body)
        assert answer["data"] == their_answer["data"]
        # Which of the errors below a place that became null are reported depends on which came first.
        assert nulled(answer) == nulled(their_answer)
        errors, their_errors = by_path(answer), by_path(their_answer)
        for path in errors.keys() & their_errors.keys():
            assert errors[path] == their_errors[path]
        common += len(errors.keys() & their_errors.keys())
    assert bool(common) == bool(failing)
