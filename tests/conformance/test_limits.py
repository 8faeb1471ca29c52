"""Limits on documents, checked before the validation in time linear in their text; time limits of events."""

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest
from graphql import get_introspection_query

from gateway.domain.errors import GatewayError
from gateway.execution.documents import Documents
from gateway.execution.errors import format_errors
from gateway.execution.limits import DocumentLimits
from tests.conformance.sample_gateway import SCHEMA, served
from tests.conformance.sockets import acknowledged
from tests.serving import eventually


def count_calls(work: Callable[[], object]) -> int:
    """Return the number of Python functions that `work` calls: its cost on any machine."""
    calls = 0

    def profile(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def refused(source: str, **limits: int) -> dict[str, Any]:
    documents = Documents(SCHEMA, limits=DocumentLimits(**limits))
    with pytest.raises(GatewayError) as caught:
        documents.prepare(source)
    (error,) = format_errors(caught.value)
    return error


SIZES: list[tuple[dict[str, int], str, str]] = [
    ({"depth": 3}, "{ self { self { hello } } }", "{ self { self { self { hello } } } }"),
    (
        {"depth": 2},
        "{ self { ...F } } fragment F on Query { hello }",
        "{ self { ...F } } fragment F on Query { self { hello } }",
    ),
    ({"aliases": 2}, "{ a: hello b: hello }", "{ a: hello b: hello c: hello }"),
    (
        {"aliases": 3},
        "{ ...F } fragment F on Query { a: hello }",
        "{ x: self { ...F } y: self { ...F } } fragment F on Query { a: hello }",
    ),
    ({"root_fields": 2}, "{ hello caller }", "{ hello ... { caller ...F } } fragment F on Query { broken }"),
    ({"directives": 1}, "{ hello @skip(if: false) }", "{ hello @skip(if: false) caller @include(if: true) }"),
    ({"written_fields": 3}, "{ self { self { hello } } }", "{ self { self { hello caller } } }"),
]


@pytest.mark.parametrize(("limits", "fits", "exceeds"), SIZES)
def test_every_limit_of_a_document_has_an_error_that_names_it(limits: dict[str, int], fits: str, exceeds: str) -> None:
    assert Documents(SCHEMA, limits=DocumentLimits(**limits)).prepare(fits)
    ((name, most),) = limits.items()
    extensions = refused(exceeds, **limits)["extensions"]
    assert extensions == {
        "code": "QUERY_TOO_COMPLEX",
        "limit": {"root_fields": "rootFields", "written_fields": "writtenFields"}.get(name, name),
        "allowed": most,
    }


def test_document_that_is_too_long_or_too_deep_to_parse_is_too_complex() -> None:
    assert refused("{ a: hello b: hello }", tokens=5)["extensions"] == {"code": "QUERY_TOO_COMPLEX"}
    assert refused("{ self" * 1000 + "{ hello" + "}" * 1001)["extensions"] == {"code": "QUERY_TOO_COMPLEX"}


def test_usual_introspection_fits_the_limits() -> None:
    assert Documents(SCHEMA).prepare(get_introspection_query(input_value_deprecation=True, type_depth=9))


def test_cycle_of_fragments_is_refused_by_validation() -> None:
    error = refused("{ ...A } fragment A on Query { self { ...B } } fragment B on Query { self { ...A } }")
    assert error["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}
    assert "within itself" in error["message"]


def fragment_bomb(layers: int) -> str:
    """Return a document whose fields double with each layer of fragments."""
    return "{ ...F0 }" + "".join(
        f"fragment F{n} on Query {{ a: self {{ ...F{n + 1} }} b: self {{ ...F{n + 1} }} }}" for n in range(layers)
    ) + f"fragment F{layers} on Query {{ hello }}"  # fmt: skip


def test_fragment_bomb_is_measured_in_linear_time() -> None:
    error = refused(fragment_bomb(90), depth=1000)
    assert error["message"] == (
        "The operation has over a million aliases, with fragments counted at each spread; at most 100 are allowed."
    )
    small, large = (count_calls(partial(refused, fragment_bomb(layers), depth=1000)) for layers in (45, 90))
    assert large < 2.2 * small


HOSTILE = {
    "one field again and again": "{ self {" + " self { hello }" * 249 + "} }",
    "one leaf again and again": "{ self {" + " hello" * 499 + "} }",
    "conflicts": "{ self {" + " a: hello a: caller" * 50 + "} }",
    "fragments that spread all others": "{ ...F0 }"
    + "".join(f"fragment F{n} on Query {{{''.join(f' ...F{m}' for m in range(n + 1, 44))} hello }}" for n in range(44)),
    "fragments spread below one field again and again": "{ self {" + " self { ...A ...B }" * 240 + "} }"
    "fragment A on Query { self { ...C } } fragment B on Query { self { ...C } } fragment C on Query { hello }",
    "many operations over one fragment": "".join(f"query Q{n} {{ ...F }}" for n in range(250))
    + "fragment F on Query {" + " hello" * 200 + "}",
    "unknown fields": "{ self {" + " ".join(f"x{n}" for n in range(490)) + "} }",
    "unknown directives": "{ hello " + "@x" * 50 + "}",
    "a long chain of fragments": "{ ...F0 }"
    + "".join(f"fragment F{n} on Query {{ ...F{n + 1} }}" for n in range(400)) + "fragment F400 on Query { hello }",
    "unused variables": "query (" + " ".join(f"$v{n}: ID" for n in range(900)) + ") { hello }",
}  # fmt: skip


def outcome(documents: Documents, source: str) -> str:
    try:
        documents.prepare(source)
    except GatewayError as error:
        return error.code
    return "valid"


@pytest.mark.parametrize("name", HOSTILE)
def test_validation_within_the_limits_is_cheap(name: str) -> None:
    documents, outcomes = Documents(SCHEMA), list[str]()
    calls = count_calls(lambda: outcomes.append(outcome(documents, HOSTILE[name])))
    assert outcomes[0] in {"valid", "QUERY_TOO_COMPLEX", "GRAPHQL_VALIDATION_FAILED"}
    assert calls < 500_000, "some 0.2 s; the most expensive of these needs 330,000"


async def test_event_that_times_out_does_not_end_the_stream() -> None:
    async with served(operation_seconds=1.5) as gateway, acknowledged(gateway) as socket:
        await socket.subscribe("1", "subscription { ticks { held } }")
        await eventually(lambda: gateway.state.subscribers == 1)
        await gateway.state.tick(1)
        late = await socket.receive()
        assert (late["type"], late["payload"]) == (
            "next",
            {
                "data": None,
                "errors": [
                    {
                        "message": "Reading the data of this event took longer than 1.5 seconds.",
                        "extensions": {"code": "TIMEOUT"},
                    }
                ],
            },
        )
        assert gateway.state.abandoned == 1
        gateway.state.gate.set()
        await gateway.state.tick(2)
        assert (await socket.receive())["payload"] == {"data": {"ticks": {"held": "free"}}}
