"""What callers write in their operations: ids, choices, and JSON inside a document."""

import json
from typing import Any
from uuid import UUID

import pytest

from tests.api.conftest import Client, Served
from tests.api.marketplace_rows import populate
from tests.api.test_workflow import run

NO_UUIDS = [
    "",
    "1",
    "not-a-uuid",
    "7d4448409dc011d1b2455ffdce74fad2",
    "{7d444840-9dc0-11d1-b245-5ffdce74fad2}",
    "urn:uuid:7d444840-9dc0-11d1-b245-5ffdce74fad2",
    "7d444840-9dc0-11d1-b245-5ffdce74fad2\n",
    "7d444840-9dc0-11d1-b245-5ffdce74fad",
    "7d44_840-9dc0-11d1-b245-5ffdce74fad2",
    "\u0667d444840-9dc0-11d1-b245-5ffdce74fad2",
    "\0",
    "\ud800",
]
BY_ID = {
    "id": "query ($id: ID!) { installation(id: $id) { id } }",
    "id of a node": "query ($id: ID!) { node(id: $id) { id } }",
    "id of an account": "query ($id: ID!) { account(id: $id) { id } }",
    "id of an application": "query ($id: ID!) { application(by: {id: $id}) { id } }",
    "ids": "query ($id: ID!) { nodes(ids: [$id]) { id } }",
    "applicationIds": "query ($id: ID!) { installations(filter: {applicationIds: [$id]}) { totalCount } }",
    "accountIds": "query ($id: ID!) { installations(filter: {accountIds: [$id]}) { totalCount } }",
    "applicationId of a key": "query ($id: ID!) { apiKeys(filter: {applicationId: $id}) { totalCount } }",
    "accountId of a key": "query ($id: ID!) { apiKeys(filter: {accountId: $id}) { totalCount } }",
    "installationIds": "query ($id: ID!) { installationEvents(filter: {installationIds: [$id]}) { nodes { id } } }",
}


@pytest.mark.parametrize("place", BY_ID)
async def test_invalid_uuid_is_refused_with_the_name_of_its_argument(served: Served, place: str) -> None:
    platform, argument = await served.platform(), place.split(maxsplit=1)[0]
    for wrong in NO_UUIDS:
        (error,) = await platform.errors(BY_ID[place], id=wrong)
        assert error["message"] == f"{argument} must be a UUID, such as 7d444840-9dc0-11d1-b245-5ffdce74fad2."
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": argument}


async def test_ids_are_accepted_in_either_case_and_returned_in_lower_case(served: Served) -> None:
    account, platform = await served.account(), await served.platform()
    found = await platform.data("query ($id: ID!) { node(id: $id) { id } }", id=str(account.id).upper())
    assert found == {"node": {"id": str(account.id)}}


@pytest.mark.parametrize("part", ["applicationIds", "accountIds"])
async def test_filter_has_at_most_a_hundred_ids(served: Served, part: str) -> None:
    platform = await served.platform()
    query = "query ($filter: InstallationFilter) { installations(filter: $filter) { totalCount } }"
    ids = [str(UUID(int=number)) for number in range(101)]
    assert await platform.data(query, filter={part: ids[:100]}) == {"installations": {"totalCount": 0}}
    (error,) = await platform.errors(query, filter={part: ids})
    assert error["message"] == f"{part} has at most 100 values, not 101."
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": part}


async def test_more_than_a_hundred_nodes_are_refused(served: Served) -> None:
    (error,) = await (await served.platform()).errors(
        "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[str(UUID(int=number)) for number in range(101)]
    )
    assert error["message"] == "Ask for at most 100 nodes at a time, not 101."
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": "ids"}


@pytest.mark.parametrize("by", ["{}", "{id: null}", "{slug: null}", '{slug: "a", id: "b"}', '{slug: "a", id: null}'])
async def test_an_application_is_asked_for_in_exactly_one_way(served: Served, by: str) -> None:
    assert {
        error["extensions"]["code"]
        for error in await (await served.platform()).errors(f"{{ application(by: {by}) {{ id }} }}")
    } == {"GRAPHQL_VALIDATION_FAILED"}


async def test_the_installation_of_ones_own_account_needs_no_id(served: Served) -> None:
    market = await populate(served, applications=1, accounts=2)
    query = "{ applications { nodes { installation { id } } } }"
    for client in (
        await served.of_account(market.account),
        await served.of_application(market.application, account=market.account),
    ):
        assert await client.data(query) == {
            "applications": {"nodes": [{"installation": {"id": str(market.installations[0].id)}}]}
        }
    for client in (await served.platform(), await served.of_application(market.application)):
        (error,) = await client.errors(query)
        assert error["message"] == "accountId is needed: this caller is not bound to an account."
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": "accountId"}


@pytest.fixture
async def installation(served: Served) -> str:
    application, account = await served.application(), await served.account()
    shown = await run(
        await served.platform(), "authorizeInstallation", applicationId=str(application.id), accountId=str(account.id)
    )
    found: str = shown["id"]
    return found


async def stored(client: Client, installation: str, *, change: str, declared: str = "", **variables: Any) -> str:
    """Change metadata by a literal in the document; return the stored text."""
    document = f"""mutation {declared} {{
      updateInstallationMetadata(input: {{id: "{installation}", change: {change}}}) {{
        __typename ... on Installation {{ metadata }} ... on InvalidInput {{ problems {{ path code }} }}
      }}
    }}"""
    answer = await client.post(document, **variables)
    assert answer.json()["data"]["updateInstallationMetadata"]["__typename"] == "Installation", answer.text
    text: str = answer.text.split('"metadata":', 1)[1]
    return text.removesuffix("}}}")


async def test_a_literal_comes_back_as_it_was_written(served: Served, installation: str) -> None:
    literal = (
        "{big: 123456789012345678901234567890, small: -0, one: 1.0, tiny: 1e-7, exact: 0.1000, many: [1, 1.0, 1e2],"
        ' text: "ü\\u00fc\\n", block: """a\n  b""", yes: true, no: null, deep: {a: {b: []}}}'
    )
    assert await stored(await served.platform(), installation, change=f"{{replace: {literal}}}") == (
        '{"big":123456789012345678901234567890,"small":-0,"one":1.0,"tiny":1e-7,"exact":0.1000,"many":[1,1.0,1e2],'
        '"text":"üü\\n","block":"a\\nb","yes":true,"no":null,"deep":{"a":{"b":[]}}}'
    )


@pytest.mark.parametrize(
    ("declared", "given", "written"),
    [
        ("$x: Int", 7, "7"),
        ("$x: JSON", 1.50, "1.5"),
        ("$x: String", "seven", '"seven"'),
        ("$x: ID", "seven", '"seven"'),
        ("$x: Boolean", True, "true"),
        ("$x: JSON", {"a": [1, None]}, '{"a":[1,null]}'),
        ("$x: [Int!]", [1, 2], "[1,2]"),
        ("$x: InstallationStatus", "ACTIVATED", '"ACTIVATED"'),
        ("$x: [InstallationStatus!]", ["ACTIVATED"], '["ACTIVATED"]'),
        ("$x: DateTime", "2026-01-01T01:00:00+01:00", '"2026-01-01T00:00:00Z"'),
        ("$x: Int", None, "null"),
    ],
)
async def test_variable_inside_a_literal_has_its_value(
    served: Served, installation: str, declared: str, given: Any, written: str
) -> None:
    platform, change = await served.platform(), "{replace: {a: {b: $x}, list: [$x]}}"
    text = await stored(platform, installation, change=change, declared=f"({declared})", x=given)
    assert text == f'{{"a":{{"b":{written}}},"list":[{written}]}}'


async def test_member_with_an_absent_variable_is_omitted(served: Served, installation: str) -> None:
    """As in any input object. A null would delete a key."""
    platform = await served.platform()
    await stored(platform, installation, change="{replace: {a: 1, b: 2}}")
    assert await stored(platform, installation, change="{merge: {a: $x, b: 3}}", declared="($x: Int)") == (
        '{"a":1,"b":3}'
    )
    assert await stored(platform, installation, change="{merge: {a: $x}}", declared="($x: Int)", x=None) == '{"b":3}'


async def test_an_enum_value_is_no_json(served: Served) -> None:
    (error,) = await (await served.platform()).errors("{ installations(filter: {metadata: {a: RED}}) { totalCount } }")
    assert error["message"] == "An enum value is no JSON; write it as a string."
    assert error["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}


async def test_metadata_is_looked_for_by_a_literal_too(served: Served) -> None:
    market = await populate(served, applications=1, accounts=6)
    query = "query ($n: Int) { installations(filter: {metadata: {tier: 1, of: {number: $n}}}) { nodes { metadata } } }"
    (found,) = (await (await served.platform()).data(query, n=4))["installations"]["nodes"]
    assert found["metadata"] == json.loads(market.installations[4].metadata)
