"""Compiled operations have the same responses as graphql-core, byte by byte, errors included.

Except for the order of errors: it reports them in the order of their fields, graphql-core in the order in which
they occur. Where one error makes all data null, only one is reported, and it may be another one.
"""

import gc
import json
import math
import re
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
from graphql import get_introspection_query

from gateway.domain.errors import GatewayError
from gateway.domain.principals import Principal, PrincipalKind
from gateway.execution import state
from gateway.execution.documents import Documents
from gateway.execution.limits import DocumentLimits
from gateway.feed import Feed
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.quotas import Quota
from gateway.operations.requests import GraphQLRequest
from gateway.schema.context import Context
from gateway.schema.schema import build_schema
from gateway.usecases.api_keys import ApiKeyCache
from gateway.usecases.batch_loader import BatchLoaders
from tests.api.conftest import Served
from tests.api.policy_dataset import Dataset, create_policy_dataset
from tests.generation.documents import ANY_SCALARS, query_documents, replaced
from tests.generation.graphql_core import execute_by_graphql_core
from tests.generation.samples import sampled

SCHEMA = build_schema()
UNLIMITED = dict.fromkeys((*PrincipalKind, None), Quota(operation=10**9))


@dataclass(kw_only=True)
class Both:
    """The operation pipeline, and graphql-core on the same schema."""

    dataset: Dataset
    make_context: Callable[..., Context]
    pipeline: OperationPipeline

    async def compare(self, query: str, variables: dict[str, Any], principal: Principal) -> Any:
        """Run a query both ways; compare the responses and return them."""
        request = GraphQLRequest(query=query, variables=variables)
        operation = await self.pipeline.prepare(request, principal)
        try:
            mine = (await self.pipeline.execute(operation, request, principal)).body
        except GatewayError:
            return None
        context = self.make_context(caller=principal)
        await context.prepare(operation.root_fields)
        document = operation.document
        theirs = await execute_by_graphql_core(SCHEMA._schema, document, context=context, variables=variables)
        if mine != theirs.body:
            assert comparable(mine) == comparable(theirs.body), query
        return json.loads(mine)


def comparable(body: bytes) -> Any:
    """Return an answer with its errors sorted."""
    answer = json.loads(body)
    assert answer["errors"]
    return answer["data"] and (answer["data"], sorted(map(repr, answer["errors"])))


@pytest.fixture(autouse=True, params=["completed", "direct"])
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run each test by the completers, and again by direct writers from the first run on."""
    monkeypatch.setattr(state, "RUNS_BEFORE", 0 if request.param == "direct" else math.inf)
    return str(request.param)


@asynccontextmanager
async def both_ways(served: Served) -> AsyncIterator[Both]:
    dataset = await create_policy_dataset(served)
    async with Feed(served.services.database, url=served.database_url) as feed:
        services = served.services
        make_context = partial(
            Context,
            services=services,
            feed=feed,
            api_key_cache=ApiKeyCache(services),
            batch_loaders=BatchLoaders(services.database),
        )
        pipeline = OperationPipeline(Documents(SCHEMA), make_context=make_context)
        yield Both(dataset=dataset, make_context=make_context, pipeline=pipeline)


@pytest.fixture
async def both(served: Served) -> AsyncIterator[Both]:
    async with both_ways(served) as one:
        yield one


@pytest.fixture(scope="module")
def documents(*, long: bool) -> list[str]:
    return sampled(query_documents(scalars=ANY_SCALARS), count=500 if long else 50)


def callers(dataset: Dataset) -> list[Principal]:
    return [
        Principal(kind=PrincipalKind.PLATFORM, label="p"),
        Principal(kind=PrincipalKind.APPLICATION, application_id=dataset.listed.id, label="a"),
        Principal(kind=PrincipalKind.ACCOUNT, account_id=dataset.acme.id, label="c"),
    ]


NESTED = """
  installations(first: 3) {
    totalCount statusCounts { status count } pageInfo { hasNextPage endCursor }
    edges { cursor node { ...Card } } nodes { id }
  }
"""
CARD = """fragment Card on Installation {
  __typename id kind: status createdAt metadata allowedActions statusReason { code since }
  application { __typename ...Named } account { name } sync { state steps { name } }
  history(last: 2) { nodes { __typename id ... on InstallationStatusChanged { from to } actor { kind } } }
}
fragment Named on Application { name slug categories listed }"""
WRITTEN = {
    "a page": f"{{ {NESTED} }} {CARD}",
    "aliases that merge": f"{{ a: node(id: $id) {{ id }} a: node(id: $id) {{ ...Card }} }} {CARD}",
    "interfaces": f"{{ nodes(ids: [$id, $application, $account]) {{ __typename id ...Card ...Named }} }} {CARD}",
    "several roots": "{ installation(id: $id) { id } account(id: $account) { name } viewer { kind } __typename }",
    "nothing there": '{ installation(id: "8a0f0f0e-7d9c-4c39-9a57-0d5c9f3f2f3a") { id application { name } } }',
    "no id": '{ installation(id: "x") { id } account(id: $account) { name } }',
    "an error below": "{ account(id: $account) { name installations(first: -1) { totalCount } } viewer { kind } }",
    "errors in the rows of a page": f"{{ viewer {{ kind }} {NESTED.replace('last: 2', 'last: -2')} }}"
    + CARD.replace("last: 2", "last: -2"),
    "forbidden": "{ installations(filter: {metadata: {x: 1}}) { totalCount } viewer { kind } }",
    "cursor and list": "{ eventCursor installationEvents(first: 2) { nodes { id installation { version } } } }",
    "introspection": '{ __schema { queryType { name } } __type(name: "Account") { name } viewer { kind } }',
    "skipped": "{ viewer { kind @skip(if: $no) } ... @include(if: $yes) { eventCursor } }",
    "included": "{ viewer { kind @skip(if: $yes) application { id } } ... @include(if: $no) { eventCursor } }",
}


def declared(query: str, known: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Declare the variables that a query uses."""
    used = {name: value for name, value in known.items() if re.search(rf"\${name}\b", query)}
    types = (f"${name}: {'Boolean!' if isinstance(value, bool) else 'ID!'}" for name, value in used.items())
    return (f"query ({', '.join(types)}) {query}" if used else query), used


async def test_written_queries_are_answered_alike(both: Both) -> None:
    dataset = both.dataset
    known = {
        "id": dataset.own,
        "application": str(dataset.listed.id),
        "account": str(dataset.acme.id),
        "yes": True,
        "no": False,
    }
    for query in WRITTEN.values():
        text, variables = declared(query, known)
        for principal in callers(dataset):
            assert await both.compare(text, variables, principal) is not None


REFUSALS = (
    """mutation ($id: ID!) {
      invalid: updateInstallationMetadata(input: {id: "x", change: {merge: {nul: "\\u0000", list: [1, "\\u0000"]}}}) {
        __typename ... on InvalidInput { message problems { path code message limit } }
      }
      forbidden: registerAccount(input: {name: " "}) { ... on InvalidInput { problems { path code } } }
      conflict: activateInstallation(input: {id: $id, expectedVersion: 1}) {
        ... on VersionConflict { currentVersion installation { ...Card } }
      }
      refused: finishInstallationSync(input: {id: $id, outcome: FAILED}) {
        ... on ActionNotAllowed { message action allowedActions installation { ...Card } }
      }
      nothing: deleteInstallation(input: {id: "8a0f0f0e-7d9c-4c39-9a57-0d5c9f3f2f3a"}) { ... on Error { message } }
    } """
    + CARD
)


async def test_refused_mutations_are_answered_alike(both: Both) -> None:
    for principal in callers(both.dataset):
        data = (await both.compare(REFUSALS, {"id": both.dataset.own}, principal))["data"]
        assert list(data) == ["invalid", "forbidden", "conflict", "refused", "nothing"]
        assert data["nothing"] == {"message": "There is no installation 8a0f0f0e-7d9c-4c39-9a57-0d5c9f3f2f3a."}


@pytest.mark.parametrize("everything", [False, True])
async def test_introspection_of_every_client_is_answered_alike(both: Both, *, everything: bool) -> None:
    options = dict.fromkeys(("input_value_deprecation", "schema_description", "specified_by_url"), everything)
    assert await both.compare(get_introspection_query(**options), {}, callers(both.dataset)[0]) is not None


async def test_generated_queries_are_answered_alike(both: Both, documents: list[str]) -> None:
    dataset = both.dataset
    known = {
        "application": [str(dataset.listed.id), str(dataset.unlisted.id)],
        "account": [str(dataset.acme.id), str(dataset.blue.id)],
        "installation": list(dataset.installations.values()),
        "absent": ["8a0f0f0e-7d9c-4c39-9a57-0d5c9f3f2f3a"],
        "slug": ["listed"],
        "word": ["list", "acc"],
    }
    for at, document in enumerate(documents):
        await both.compare(replaced(document, known), {}, callers(dataset)[at % 3])


async def test_mutations_with_a_failing_selection_are_applied_once(both: Both) -> None:
    dataset, change = both.dataset, "input: {id: $id, change: {merge: {mark: %d}}}"
    query = f"""mutation ($id: ID!) {{
      first: updateInstallationMetadata({change % 1}) {{
        ... on Installation {{ version account {{ installations(first: -1) {{ totalCount }} }} }} }}
      second: updateInstallationMetadata({change % 2}) {{ ... on Installation {{ version }} }}
    }}"""
    platform, version = dataset.callers["platform"], "query ($id: ID!) { installation(id: $id) { version } }"
    before = (await platform.data(version, id=dataset.own))["installation"]["version"]
    answer = (await platform.post(query, id=dataset.own)).json()
    assert [error["path"] for error in answer["errors"]] == [["first", "account", "installations"]]
    assert answer["data"] == {
        "first": {"version": before + 1, "account": {"installations": None}},
        "second": {"version": before + 2},
    }
    assert (await platform.data(version, id=dataset.own))["installation"]["version"] == before + 2


async def test_operation_above_the_compilation_limit_is_answered_alike_and_not_kept(both: Both) -> None:
    doubling = " ".join(
        f"fragment F{at} on Account {{ a{at}: installations(first: 1) {{ nodes {{ account {{ ...F{at + 1} }} }} }}"
        f" b{at}: installations(first: 1) {{ nodes {{ account {{ ...F{at + 1} }} }} }} }}"
        for at in range(8)
    )
    query = f"query ($id: ID!) {{ account(id: $id) {{ ...F0 }} }} {doubling} fragment F8 on Account {{ name }}"
    documents = Documents(SCHEMA, limits=DocumentLimits(depth=100, aliases=10_000))
    pipeline = OperationPipeline(documents, make_context=both.make_context, quotas=UNLIMITED)
    variables, principal = {"id": str(both.dataset.acme.id)}, callers(both.dataset)[0]
    await replace(both, pipeline=pipeline).compare(query, variables, principal)
    operation = documents.prepare(query)
    values = operation.compiled.variables.coerced(variables)
    assert operation.compiled.variant(values) is not operation.compiled.variant(values)


async def test_operation_within_the_compilation_limit_is_kept(both: Both) -> None:
    query = "{ installations { nodes { id } } }"
    await both.compare(query, {}, callers(both.dataset)[0])
    operation = both.pipeline.documents.prepare(query)
    values = operation.compiled.variables.coerced({})
    assert operation.compiled.variant(values) is operation.compiled.variant(values)


def test_compiled_operation_keeps_no_variables() -> None:
    class Metadata(dict[str, Any]):
        """What can be watched going away."""

    operation = Documents(SCHEMA).prepare("""mutation ($id: ID!, $given: JSON!, $selected: Boolean!) {
      updateInstallationMetadata(input: {id: $id, change: {replace: $given}}) {
        ... on Installation { version @include(if: $selected) application { installation { id } } }
      }
    }""")
    given = Metadata(secret="much")
    values = operation.compiled.variables.coerced({"id": "x", "given": given, "selected": True})
    assert operation.compiled.variant(values)
    seen = weakref.ref(given)
    del given, values
    gc.collect()
    assert seen() is None


async def test_queries_without_errors_are_written_directly(both: Both, ways: str) -> None:
    dataset = both.dataset
    known = {"id": dataset.own, "application": str(dataset.listed.id), "account": str(dataset.acme.id)}
    for name in ("a page", "aliases that merge", "interfaces", "nothing there", "cursor and list"):
        text, variables = declared(WRITTEN[name], known)
        answer = await both.compare(text, variables, callers(dataset)[0])
        compiled = both.pipeline.documents.prepare(text).compiled
        written = [
            root_field.direct.get() for [root_field, *_] in compiled.variant(compiled.variables.coerced(variables))
        ]
        assert "errors" not in answer
        assert (None not in written) is (ways == "direct"), name
