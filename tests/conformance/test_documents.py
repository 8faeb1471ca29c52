"""The cache of documents: valid ones are parsed and validated once, invalid ones each time."""

import pytest
from graphql import OperationType, parse, specified_rules, validate

from gateway.execution.documents import Documents
from gateway.execution.errors import InvalidDocument, OperationTooComplex
from gateway.execution.limits import DocumentLimits
from tests.conformance.sample_gateway import SCHEMA


def test_operation_is_prepared_once() -> None:
    documents = Documents(SCHEMA)
    first = documents.prepare("query A { hello } mutation B { change }", name="A")
    assert documents.prepare("query A { hello } mutation B { change }", name="A") is first
    other = documents.prepare("query A { hello } mutation B { change }", name="B")
    assert (first.type, other.type) == (OperationType.QUERY, OperationType.MUTATION)


def test_document_cache_is_bounded_by_number_and_evicts_the_least_recently_used() -> None:
    documents = Documents(SCHEMA, max_count=2)
    first, second = documents.prepare("{ a: hello }"), documents.prepare("{ b: hello }")
    assert documents.prepare("{ a: hello }") is first
    documents.prepare("{ c: hello }")
    assert documents.prepare("{ a: hello }") is first
    assert documents.prepare("{ b: hello }") is not second


def test_document_cache_is_bounded_by_size() -> None:
    documents = Documents(SCHEMA, max_source_bytes=100)
    small = documents.prepare("{ hello }")
    assert documents.prepare("{ hello } #" + "x" * 80) is not None
    assert documents.prepare("{ hello }") is small
    too_large = "{ hello } #" + "ä" * 80
    assert documents.prepare(too_large) is not documents.prepare(too_large)
    assert documents.prepare("{ hello }") is small
    documents.prepare("{ hello } #" + "y" * 85)
    assert documents.prepare("{ hello }") is not small


def test_invalid_documents_are_not_cached() -> None:
    documents = Documents(SCHEMA)
    for source in ("{", "{ nothing }"):
        with pytest.raises(InvalidDocument):
            documents.prepare(source)
    assert not documents.kept


def test_root_fields_include_those_in_fragments_and_under_directives() -> None:
    documents = Documents(SCHEMA)
    document = """
        query ($no: Boolean = false) { ...A @include(if: $no) ... { ... on Query { c: caller } } __typename }
        fragment A on Query { h: hello ...B }
        fragment B on Query { self { forbidden } __schema { types { name } } }
    """
    operation = documents.prepare(document)
    assert operation.root_fields == {"hello", "self", "caller", "__schema", "__typename"}
    assert not operation.introspects_only
    assert documents.prepare("{ __typename __schema { types { name } } }").introspects_only


def test_tokens_of_a_document_are_limited() -> None:
    documents = Documents(SCHEMA, limits=DocumentLimits(tokens=5))
    assert documents.prepare("{ a: hello }")
    with pytest.raises(OperationTooComplex, match="more than 5 tokens"):
        documents.prepare("{ a: hello b: hello }")


@pytest.mark.parametrize(
    "source",
    [
        "{ nothing hello(nothing: 1) ...Nowhere }",
        "query ($a: Int, $a: Int, $unused: Nothing) { hello(name: $undefined) }",
        "{ hello @include @include(if: 1) a: self a: hello } fragment Unused on String { length }",
        "query A { hello } query A { self } { caller }",
        "subscription { a: ticks { place } b: ticks { place } }",
    ],
)
def test_rules_find_what_they_find_in_graphql_core(source: str) -> None:
    expected = validate(SCHEMA._schema, parse(source), specified_rules)
    assert expected
    documents = Documents(SCHEMA)
    for _ in range(2):
        with pytest.raises(InvalidDocument) as refused:
            documents.check(source)
        assert [error.message for error in refused.value.graphql_errors] == [error.message for error in expected]
