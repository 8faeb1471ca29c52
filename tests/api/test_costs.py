"""Costs: estimated from document and variables, returned on request, limited by kind of caller."""

from typing import Any

import pytest

from gateway.domain.principals import PrincipalKind
from gateway.execution.costs import CostModel
from gateway.execution.documents import Documents
from gateway.schema.costs import FIELD_WEIGHTS
from gateway.schema.schema import build_schema
from gateway.settings import Settings
from tests.api.conftest import Serve, Served

PAGE = "query Page($size: Int) { installations(first: $size) { nodes { id application { name } account { name } } } }"

COSTED: list[tuple[str, dict[str, Any], int]] = [
    ("{ viewer { kind } }", {}, 1),
    ('{ installation(id: "a") { id status metadata application { name } account { name } } }', {}, 4),
    (PAGE, {"size": 10}, 31),
    (PAGE, {}, 61),
    (PAGE, {"size": None}, 61),
    (PAGE, {"size": -5}, 1),
    (PAGE, {"size": 10**30}, 301),
    (PAGE, {"size": "many"}, 301),
    ("query ($size: Int = 3) { installations(last: $size) { edges { node { id } } } }", {}, 4),
    ("query ($size: Int = 3) { installations(last: $size) { edges { node { id } } } }", {"size": 4}, 5),
    ("{ installations(first: 100) { totalCount statusCounts { count } pageInfo { hasNextPage } } }", {}, 2021),
    (
        "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Installation { application { id } } } }",
        {"ids": ["a"] * 7},
        14,
    ),
    ('{ nodes(ids: ["a", "b"]) { id } }', {}, 2),
    (
        "query ($a: Int, $b: Int) { applications(first: $a) { nodes { installations(first: $b) { nodes { id } } } } }",
        {"a": 5, "b": 10},
        1 + 5 * (1 + (1 + 10 * 1)),
    ),
    (
        """query ($a: Int) { installations(first: $a) { ...Page } }
        fragment Page on InstallationConnection { ...Nodes }
        fragment Nodes on InstallationConnection { nodes { application { ...Name } } }
        fragment Name on Application { name }""",
        {"a": 50},
        101,
    ),
    ('mutation { deleteInstallation(input: { id: "a" }) { ... on DeletedInstallation { id } } }', {}, 10),
    ("subscription { installationEvents { installation { id } } }", {}, 11),
    ("{ __schema { types { name } } __typename }", {}, 100),
    ("{ __typename }", {}, 1),
]


@pytest.mark.parametrize(("document", "variables", "cost"), COSTED)
def test_operation_has_its_cost(document: str, variables: dict[str, Any], cost: int) -> None:
    assert (
        Documents(build_schema(), costs=CostModel(weights=FIELD_WEIGHTS)).prepare(document).cost.value(variables)
        == cost
    )


COST_OF_MUTATIONS = dict.fromkeys(
    (
        "registerApplication", "updateApplication", "registerAccount", "issueApiKey", "revokeApiKey",
        "authorizeInstallation", "createInstallation", "activateInstallation", "updateInstallationMetadata",
        "startInstallationSync", "reportInstallationSyncProgress", "finishInstallationSync",
        "reportInstallationConnection", "deactivateInstallation", "deleteInstallation",
    ),
    10,
)  # fmt: skip
"""Written by hand: a new mutation needs a row, and so a decision on what it costs."""


def test_every_mutation_has_a_stated_cost() -> None:
    schema = build_schema()
    documents = Documents(schema, costs=CostModel(weights=FIELD_WEIGHTS))
    mutation_type = schema._schema.mutation_type
    assert mutation_type is not None
    costs = {}
    for name, field in mutation_type.fields.items():
        text = f"mutation ($input: {field.args['input'].type}) {{ {name}(input: $input) {{ __typename }} }}"
        costs[name] = documents.prepare(text).cost.value({})
    assert costs == COST_OF_MUTATIONS


def test_every_weight_names_a_field_of_the_schema() -> None:
    types = build_schema()._schema.type_map
    for coordinate in FIELD_WEIGHTS:
        type_, _, name = coordinate.partition(".")
        assert name in types[type_].fields, coordinate  # type: ignore[attr-defined]  # only these types have weights


async def test_cost_is_returned_on_request(served: Served) -> None:
    platform = await served.platform()
    body = {"query": PAGE, "variables": {"size": 2}, "extensions": {"cost": True}}
    answer = (await served.http.post(served.url, json=body, headers=platform.headers)).json()
    assert answer == {
        "data": {"installations": {"nodes": []}},
        "extensions": {"cost": {"estimated": 7, "allowed": 20_000}},
    }


async def test_operation_above_the_cost_limit_of_its_caller_is_refused(serve: Serve) -> None:
    async with serve(Settings(max_operation_cost=50)) as served:
        account = await served.of_account(await served.account())
        (error,) = await account.errors(PAGE, size=20)
        assert error == {
            "message": "The operation would cost 61; at most 50 are allowed. Ask for shorter pages, or for less of each"
            " item.",
            "extensions": {"code": "QUERY_TOO_COMPLEX", "limit": "cost", "allowed": 50, "cost": 61},
        }
        assert await account.data(PAGE, size=10) == {"installations": {"nodes": []}}
        assert await (await served.platform()).data(PAGE, size=20) == {"installations": {"nodes": []}}


async def test_rate_limit_is_shared_by_all_keys_of_a_caller(serve: Serve) -> None:
    async with serve(Settings(rates={"account": 100})) as served:
        owner, other = await served.account(), await served.account("Borealis Books")
        account, same = await served.of_account(owner), await served.of_account(owner)
        assert await account.data(PAGE, size=20)
        refused = await same.post(PAGE, size=20)
        assert refused.status_code == 429
        (error,) = refused.json()["errors"]
        assert error["extensions"]["code"] == "RATE_LIMITED"
        assert 1 <= error["extensions"]["retryAfter"] <= 60
        assert refused.headers["retry-after"] == str(error["extensions"]["retryAfter"])
        assert await (await served.of_account(other)).data(PAGE, size=1)
        assert await (await served.key(PrincipalKind.PLATFORM)).data(PAGE, size=20)
