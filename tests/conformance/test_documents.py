"""Documents are parsed and validated once, within bounds; broken ones each time."""

import pytest

from gateway.execution.documents import OperationType
from gateway.execution.errors import Refusal
from gateway.execution.limits import DocumentLimits
from gateway.operations.pipeline import Engine
from tests.conformance.marketplace import SCHEMA


def test_an_operation_is_prepared_once() -> None:
    engine = Engine(SCHEMA)
    first = engine.prepare("query A { hello } mutation B { change }", "A")
    assert engine.prepare("query A { hello } mutation B { change }", "A") is first
    other = engine.prepare("query A { hello } mutation B { change }", "B")
    assert (first.type, other.type) == (OperationType.QUERY, OperationType.MUTATION)


def test_the_documents_kept_are_bounded_by_number_and_the_oldest_used_goes_first() -> None:
    engine = Engine(SCHEMA, max_documents=2)
    first, second = engine.prepare("{ a: hello }"), engine.prepare("{ b: hello }")
    assert engine.prepare("{ a: hello }") is first
    engine.prepare("{ c: hello }")
    assert engine.prepare("{ a: hello }") is first
    assert engine.prepare("{ b: hello }") is not second


def test_the_documents_kept_are_bounded_by_size() -> None:
    engine = Engine(SCHEMA, max_document_bytes=100)
    small = engine.prepare("{ hello }")
    assert engine.prepare("{ hello } #" + "x" * 80) is not None
    assert engine.prepare("{ hello }") is small
    too_large = "{ hello } #" + "ä" * 80
    assert engine.prepare(too_large) is not engine.prepare(too_large)
    assert engine.prepare("{ hello }") is small
    engine.prepare("{ hello } #" + "y" * 85)
    assert engine.prepare("{ hello }") is not small


def test_broken_documents_are_not_kept() -> None:
    engine = Engine(SCHEMA)
    for source in ("{", "{ nothing }"):
        with pytest.raises(Refusal):
            engine.prepare(source)
    assert not engine._documents._operations


def test_root_fields_are_found_through_fragments_and_whatever_directives_say() -> None:
    engine = Engine(SCHEMA)
    document = """
        query ($no: Boolean = false) { ...A @include(if: $no) ... { ... on Query { c: caller } } __typename }
        fragment A on Query { h: hello ...B }
        fragment B on Query { self { forbidden } __schema { types { name } } }
    """
    operation = engine.prepare(document)
    assert operation.root_fields == {"hello", "self", "caller", "__schema", "__typename"}
    assert not operation.introspects_only
    assert engine.prepare("{ __typename __schema { types { name } } }").introspects_only


def test_a_document_has_a_limit_of_tokens() -> None:
    engine = Engine(SCHEMA, limits=DocumentLimits(tokens=5))
    assert engine.prepare("{ a: hello }")
    with pytest.raises(Refusal, match="more than 5 tokens"):
        engine.prepare("{ a: hello b: hello }")
