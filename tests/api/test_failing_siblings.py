"""A failing field ends its own part of the operation, and no other part that waits for the same rows."""

from typing import Any

from tests.api.conftest import Served
from tests.api.policy_dataset import Dataset, create_policy_dataset

FAILS = "denied: installations(filter: {metadata: {x: 1}}) { totalCount }"
"""Forbidden to an account's user: it fails while its siblings are still being read."""


async def assert_other_part_is_answered(dataset: Dataset, *, shared: str) -> None:
    query = f"""query ($application: ID!, $acme: ID!) {{
      mine: account(id: $acme) {{ id }}
      fails: application(by: {{id: $application}}) {{ {FAILS} {shared} }}
      other: application(by: {{id: $application}}) {{ {shared} }}
    }}"""
    known = {"application": str(dataset.listed.id), "acme": str(dataset.acme.id)}
    answer: dict[str, Any] = (await dataset.callers["account"].post(query, **known)).json()
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]
    assert answer["data"]["fails"] == {"denied": None, **answer["data"]["other"]}
    assert dataset.own in str(answer["data"]["other"]), answer


async def test_shared_loads_outlive_a_part_that_fails(served: Served) -> None:
    dataset = await create_policy_dataset(served)
    pair = "installation(accountId: $acme) { id %s }"
    page = "installations(first: 5) { nodes { id %s } }"
    await assert_other_part_is_answered(dataset, shared=pair % "")
    await assert_other_part_is_answered(dataset, shared=page % "")
    for inner in ("account { name }", "history { nodes { id } }", "application { name }", "allowedActions"):
        await assert_other_part_is_answered(dataset, shared=pair % inner)
        await assert_other_part_is_answered(dataset, shared=page % inner)
    await assert_other_part_is_answered(dataset, shared=f"{page % ''} counted: installations {{ totalCount }}")
