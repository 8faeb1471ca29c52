"""What fails in one part of an operation ends that part, and no other that waits for the same rows."""

from typing import Any

from tests.api.conftest import Served
from tests.api.policy_world import World, populated

FAILS = "denied: installations(filter: {metadata: {x: 1}}) { totalCount }"
"""Forbidden to an account's user, which takes its parent with it while its siblings are still being read."""


async def assert_other_part_is_answered(world: World, *, shared: str) -> None:
    query = f"""query ($application: ID!, $acme: ID!) {{
      mine: account(id: $acme) {{ id }}
      fails: application(by: {{id: $application}}) {{ {FAILS} {shared} }}
      other: application(by: {{id: $application}}) {{ {shared} }}
    }}"""
    known = {"application": str(world.listed.id), "acme": str(world.acme.id)}
    answer: dict[str, Any] = (await world.callers["account"].post(query, **known)).json()
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]
    assert answer["data"]["fails"] is None
    assert world.own in str(answer["data"]["other"]), answer


async def test_shared_loads_outlive_a_part_that_fails(served: Served) -> None:
    world = await populated(served)
    tie = "installation(accountId: $acme) { id %s }"
    page = "installations(first: 5) { nodes { id %s } }"
    await assert_other_part_is_answered(world, shared=tie % "")
    await assert_other_part_is_answered(world, shared=page % "")
    for inner in ("account { name }", "history { nodes { id } }", "application { name }", "allowedActions"):
        await assert_other_part_is_answered(world, shared=tie % inner)
        await assert_other_part_is_answered(world, shared=page % inner)
    await assert_other_part_is_answered(world, shared=f"{page % ''} counted: installations {{ totalCount }}")
