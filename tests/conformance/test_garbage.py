"""An operation leaves nothing to the garbage collector, which would take its time from all others."""

import gc
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from gateway.execution.documents import Documents
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.requests import GraphQLRequest
from tests.conformance.sample_gateway import KEY, PRINCIPALS, SCHEMA, Context, State


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("query ($n: String!) { hello(name: $n) self { self { caller padding(size: 3) } } }", {"n": "you"}),
        ("query ($v: JSON!) { echo(value: $v) caller }", {"v": {"a": [1, 2, {"b": None}]}}),
        ("mutation { change }", None),
    ],
)
async def test_operation_leaves_no_cycles(query: str, variables: dict[str, object] | None) -> None:
    pipeline = OperationPipeline(Documents(SCHEMA), make_context=partial(Context, state=State()))
    request, caller = GraphQLRequest(query=query, variables=variables), PRINCIPALS[KEY]
    operation = await pipeline.prepare(request, caller)
    for _ in range(10):  # until everything is compiled
        assert not (await pipeline.execute(operation, request, caller)).errors
    left = [await _objects_left(partial(pipeline.execute, operation, request, caller)) for _ in range(3)]
    assert min(left) < 10, "objects that refer to each other"


async def _objects_left(execute: Callable[[], Awaitable[object]]) -> int:
    """Return how many objects ten runs leave, with those that other tasks and threads make meanwhile.

    What is frozen does not count: the finalizers of what other tests have left leave more to the next collection. It
    stays frozen, as what was imported is: a full collection of all of it takes 0.2 s.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for _ in range(10):
            await execute()
        return gc.collect()
    finally:
        gc.enable()
