"""Costs: estimated from document and variables, returned on request, limited by kind of caller."""

import json
from itertools import chain
from typing import Any

import pytest
from graphql import get_introspection_query

from gateway.domain.principals import PrincipalKind
from gateway.execution.costs import CostModel
from gateway.execution.documents import Documents
from gateway.schema.costs import FIELD_WEIGHTS, FILTERED, LOOKUPS, PRODUCTS, STATEMENTS, UNREAD_WHEN_EMPTY, list_sizes
from gateway.schema.schema import build_schema
from gateway.settings import Settings
from gateway.wiring import build_documents
from tests.api.conftest import Serve, Served

PAGE = "query Page($size: Int) { installations(first: $size) { nodes { id application { name } account { name } } } }"

MODEL = CostModel(
    operation=0,
    mutation=3_000,
    object=10,
    leaf=1,
    weights={
        "InstallationConnection.totalCount": 20,
        "InstallationFilter.metadata": 500,
        "InstallationFilter.accountIds": 7,
        "ApplicationFilter.search": 5,
    },
    products={"InstallationFilter.statuses": ("applicationIds", 3)},
    statements={
        "Query.installations": 100,
        "Account.installations": 1_000,
        "Query.installationEvents": 300,
        "InstallationFilter.search": 4_000,
    },
    lookups={"Installation.application": 50},
    filtered={"ApplicationConnection.totalCount": 1, "InstallationConnection.statusCounts": 2},
    list_sizes={"InstallationConnection.statusCounts": 4},
    unread_when_empty=frozenset({"Query.installationEvents"}),
)
ROW = 10 + 1 + (10 + 1) + (10 + 1)
"""Of PAGE: the object, its id, and two objects with one field."""
OF_ACCOUNTS = "query ($n: Int) { accounts(first: $n) { nodes { installations(first: 0) { nodes { id } } } } }"
SEARCHED = """{
  accounts(first: 3) { nodes { installations(first: 0, filter: {search: "a"}) { pageInfo { hasNextPage } } } }
}"""
BY_FILTER = "query ($by: InstallationFilter) { installations(filter: $by) { totalCount } }"

COSTED: list[tuple[str, dict[str, Any], int]] = [
    ("{ viewer { kind } }", {}, 11),
    ('{ installation(id: "a") { id status metadata application { name } account { name } } }', {}, 1 + ROW + 2 + 50),
    (PAGE, {"size": 10}, 160 + 10 * ROW),
    (PAGE, {}, 160 + 20 * ROW),
    (PAGE, {"size": None}, 160 + 20 * ROW),
    (PAGE, {"size": -5}, 160),
    (PAGE, {"size": 10**30}, 160 + 100 * ROW),
    (PAGE, {"size": "many"}, 160 + 100 * ROW),
    ("query ($size: Int = 3) { installations(last: $size) { edges { node { id } } } }", {}, 110 + 3 * 21),
    ("query ($size: Int = 3) { installations(last: $size) { edges { node { id } } } }", {"size": 4}, 110 + 4 * 21),
    (
        "{ installations(first: 100) { totalCount statusCounts { count } pageInfo { hasNextPage } } }",
        {},
        110 + 1 + 20 + 4 * 11 + 11,
    ),
    (
        "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Installation { application { id } } } }",
        {"ids": ["a"] * 7},
        50 + 7 * 21 + 7,
    ),
    ('{ nodes(ids: ["a", "b"]) { id } }', {}, 2 * 11 + 2),
    (
        "query ($a: Int, $b: Int) { applications(first: $a) { nodes { installations(first: $b) { nodes { id } } } } }",
        {"a": 5, "b": 10},
        10 + 5 * (10 + (10 + 10 * 11)),
    ),
    (
        """query ($a: Int) { installations(first: $a) { ...Page } }
        fragment Page on InstallationConnection { ...Nodes }
        fragment Nodes on InstallationConnection { nodes { application { ...Name } } }
        fragment Name on Application { name }""",
        {"a": 50},
        160 + 50 * 21,
    ),
    ("{ installations(first: 10) { nodes { a: status b: status c: status } } }", {}, 111 + 10 * (10 + 3)),
    (f"{{ installations(first: 10) {{ nodes {{ {'a' * 120}: status }} }} }}", {}, 111 + 10 * (10 + 1 + 2)),
    ("{ installations(filter: {metadata: {x: 1}}) { totalCount } }", {}, 110 + 20 + 500 + 1),
    (
        """{
          installations(first: 3, filter: {accountIds: "a"}) { statusCounts { count } }
          again: installations(first: 0, filter: {accountIds: "a"}) { statusCounts { count } }
          other: installations(filter: {accountIds: "b"}) { statusCounts { count } }
        }""",
        {},
        3 * (110 + 4 * 11) + (3 + 1 + 3) * (7 + 1) + 2,
    ),
    (
        '{ accounts(first: 2) { nodes { installations(filter: {accountIds: "a"}) { statusCounts { count } } } } }',
        {},
        1_000 + 10 + 1 + 2 * (10 + 10 + 3 * (7 + 1) + 4 * 11),
    ),
    (BY_FILTER, {}, 110 + 20),
    (BY_FILTER, {"by": {"metadata": {"x": 1}}}, 110 + 20 + 500 + 2),
    ('{ installations(filter: {accountIds: ["a", "b"]}) { totalCount } }', {}, 110 + 20 + 2 * 7 + 2),
    ('{ installations(filter: {accountIds: "a"}) { totalCount } }', {}, 110 + 20 + 7 + 1),
    (
        "query ($ids: [ID!]) { installations(filter: {accountIds: $ids}) { totalCount } }",
        {"ids": ["a", "b", "c"]},
        110 + 20 + 3 * 7 + 3,
    ),
    ("query ($id: ID!) { installations(filter: {accountIds: [$id]}) { totalCount } }", {"id": "a"}, 110 + 20 + 7),
    (BY_FILTER, {"by": {"accountIds": ["a", "b"]}}, 110 + 20 + 2 * 7 + 3),
    (BY_FILTER, {"by": {"applicationIds": ["a"] * 5, "statuses": ["ACTIVATED"] * 2}}, 110 + 20 + 5 * 2 * 3 + 9),
    (
        """query ($ids: [ID!]) {
          installations(first: 0, filter: {applicationIds: $ids, statuses: [ACTIVATED, INACTIVE]}) {
            statusCounts { count }
          }
        }""",
        {"ids": ["a"] * 5},
        110 + 4 * 11 + 1 + 3 * (5 * 2 * 3 + 5 + 2),
    ),
    ("{ installations(filter: {applicationIds: [], statuses: ACTIVATED}) { totalCount } }", {}, 110 + 20 + 1),
    (BY_FILTER, {"by": {"accountIds": None}}, 110 + 20 + 7 + 1),
    (BY_FILTER, {"by": {"statuses": ["ACTIVATED"] * 1_000}}, 110 + 20 + 1_001),
    (
        """query ($s: [InstallationStatus!]) {
          a: installations(filter: {statuses: $s}) { totalCount }
          b: installations(filter: {statuses: $s}) { totalCount }
        }""",
        {"s": ["ACTIVATED"] * 1_000},
        2 * (110 + 20 + 1_000),
    ),
    ('{ applications(filter: {search: "a"}) { pageInfo { hasNextPage } } }', {}, 10 + 5 + 1 + 11),
    (
        """query ($by: ApplicationFilter) { applications(filter: $by) { ...Total } }
        fragment Total on ApplicationConnection { total: totalCount }""",
        {"by": {"search": "a"}},
        10 + 2 * 5 + 1,
    ),
    ("query ($by: InstallationFilter = {accountIds: [1, 2]}) { installations(filter: $by) { totalCount } }", {}, 147),
    (OF_ACCOUNTS, {"n": 3}, 1_000 + 10 + 3 * (10 + 10 + 1)),
    ("{ accounts(first: 0) { nodes { installations { nodes { id } } } } }", {}, 10 + 1),
    (SEARCHED, {}, 5_000 + 11 + 3 * (10 + 10 + 2 + 11)),
    (
        """{ a: account(id: 1) { ...Page } b: account(id: 2) { ...Page } }
        fragment Page on Account { installations(first: 0) { nodes { id } } }""",
        {},
        2 * (1_000 + 10 + 1 + 10 + 1),
    ),
    ("{ installationEvents(first: 0) { nodes { id } } }", {}, 10 + 1),
    ("{ installationEvents(first: 2) { nodes { id } } }", {}, 310 + 1 + 2 * 11),
    (
        'mutation { deleteInstallation(input: { id: "a" }) { __typename } }',
        {},
        3_000 + 1 + 1,
    ),
    ("subscription { installationEvents { installation { id } } }", {}, 21),
    ('subscription { installationEvents(filter: {installationIds: ["a", "b"]}) { id } }', {}, 11),
    ("{ __typename }", {}, 1),
]


@pytest.mark.parametrize(("document", "variables", "cost"), COSTED)
def test_operation_has_its_cost(document: str, variables: dict[str, Any], cost: int) -> None:
    assert Documents(build_schema(), costs=MODEL).prepare(document).cost.value(variables) == cost


@pytest.mark.parametrize(("selected", "cost"), [("status", 21), ("status id", 31), ("status id version", 41)])
def test_half_units_are_added_and_the_sum_is_rounded_up(selected: str, cost: int) -> None:
    documents = Documents(build_schema(), costs=CostModel(operation=0))
    variable = documents.prepare(f"query ($n: Int) {{ installations(first: $n) {{ nodes {{ {selected} }} }} }}").cost
    literal = documents.prepare(f"{{ installations(first: 20) {{ nodes {{ {selected} }} }} }}").cost
    assert variable.value({"n": 20}) == cost
    assert literal.value({}) == cost + 1  # the value of the argument


def test_usual_introspection_is_within_the_limit_and_much_of_it_is_not() -> None:
    documents, allowed = build_documents(Settings(), introspection=True), Settings().max_operation_cost
    assert documents.prepare(get_introspection_query()).cost.value({}) < allowed / 2
    much = " ".join(
        f"a{at}: fields {{ args {{ name type {{ name }} }} type {{ name ofType {{ name }} }} }}" for at in range(55)
    )
    assert documents.prepare(f"{{ __schema {{ types {{ {much} }} }} }}").cost.value({}) > allowed


USUAL_MUTATION = CostModel().operation + CostModel().mutation + 1
COST_OF_MUTATIONS = dict.fromkeys(
    (
        "registerApplication", "updateApplication", "registerAccount", "issueApiKey", "revokeApiKey",
        "authorizeInstallation", "createInstallation", "activateInstallation", "updateInstallationMetadata",
        "startInstallationSync", "reportInstallationSyncProgress", "finishInstallationSync",
        "reportInstallationConnection", "deactivateInstallation", "deleteInstallation",
    ),
    USUAL_MUTATION,
)  # fmt: skip
"""Written by hand: a new mutation needs a row, and so a decision on what it costs."""


def test_every_mutation_has_a_stated_cost() -> None:
    schema = build_schema()
    documents = build_documents(Settings(), introspection=True)
    mutation_type = schema._schema.mutation_type
    assert mutation_type is not None
    costs = {}
    for name, field in mutation_type.fields.items():
        text = f"mutation ($input: {field.args['input'].type}) {{ {name}(input: $input) {{ __typename }} }}"
        costs[name] = documents.prepare(text).cost.value({})
    assert costs == COST_OF_MUTATIONS


def test_every_weight_names_a_field_of_the_schema() -> None:
    schema = build_schema()
    types: Any = schema._schema.type_map
    factors = [f"{name.partition('.')[0]}.{other}" for name, (other, _) in PRODUCTS.items()]
    tables = (FIELD_WEIGHTS, PRODUCTS, factors, STATEMENTS, LOOKUPS, FILTERED, UNREAD_WHEN_EMPTY, list_sizes(schema))
    for coordinate in chain(*tables):
        type_, _, name = coordinate.partition(".")
        assert name in types[type_].fields, coordinate


def cost_of_page(size: int) -> int:
    return build_documents(Settings(), introspection=True).prepare(PAGE).cost.value({"size": size})


async def test_cost_is_returned_on_request(served: Served) -> None:
    platform = await served.platform()
    body = {"query": PAGE, "variables": {"size": 2}, "extensions": {"cost": True}}
    answer = (await served.http.post(served.url, json=body, headers=platform.headers)).json()
    assert answer == {
        "data": {"installations": {"nodes": []}},
        "extensions": {"cost": {"estimated": cost_of_page(2), "allowed": 500_000}},
    }


async def test_operation_above_the_cost_limit_of_its_caller_is_refused(serve: Serve) -> None:
    cost, allowed = cost_of_page(20), cost_of_page(19)
    async with serve(Settings(max_operation_cost=allowed)) as served:
        account = await served.of_account(await served.account())
        (error,) = await account.errors(PAGE, size=20)
        assert error == {
            "message": f"The operation would cost {cost}; at most {allowed} are allowed. Ask for shorter pages, or for"
            " less of each item.",
            "extensions": {"code": "QUERY_TOO_COMPLEX", "limit": "cost", "allowed": allowed, "cost": cost},
        }
        assert await account.data(PAGE, size=19) == {"installations": {"nodes": []}}
        assert await (await served.platform()).data(PAGE, size=20) == {"installations": {"nodes": []}}


async def test_rate_limit_is_shared_by_all_keys_of_a_caller(serve: Serve) -> None:
    async with serve(Settings(rates={"account": 30_000})) as served:
        owner, other = await served.account(), await served.account("Borealis Books")
        account, same = await served.of_account(owner), await served.of_account(owner)
        refused = await account.post(PAGE, size=20)
        while refused.status_code == 200:
            refused = await same.post(PAGE, size=20)
        assert refused.status_code == 429
        (error,) = refused.json()["errors"]
        assert error["extensions"]["code"] == "RATE_LIMITED"
        assert 1 <= error["extensions"]["retryAfter"] <= 60
        assert refused.headers["retry-after"] == str(error["extensions"]["retryAfter"])
        assert await (await served.of_account(other)).data(PAGE, size=1)
        assert await (await served.key(PrincipalKind.PLATFORM)).data(PAGE, size=20)


async def test_event_that_costs_too_much_is_refused(served: Served) -> None:
    application = await served.of_application(await served.application())
    document = """subscription { installationEvents { installation {
      history(first: 100) { nodes { installation { history(first: 100) { nodes { id occurredAt } } } } }
    } } }"""
    async with application.subscription(document) as subscribed:
        message = json.loads(await subscribed.socket.recv())
    assert message["type"] == "error"
    (error,) = message["payload"]
    assert error["extensions"]["limit"] == "cost"
    assert error["extensions"]["allowed"] == Settings().max_operation_cost // 10
