"""Input that is wrong is told in the result: all problems at once, each with its path, code, message and limit."""

from typing import Any

import pytest
from graphql import GraphQLInputObjectType, build_schema, get_named_type

from gateway.schema.schema import print_sdl
from tests.api.conftest import Client, Served
from tests.api.policy_tables import MUTATIONS
from tests.api.test_workflow import run

ID = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
PAST = "2020-01-01T00:00:00Z"
Problem = tuple[str, str, int | None]
"""The path, its steps separated by dots; the code; the limit."""

NO_ID: Problem = ("id", "MALFORMED", None)
LONG_MESSAGE: Problem = ("message", "TOO_LONG", 1000)
STEPS = [
    {"name": "tags", "done": -1, "total": -2},
    {"name": "tags", "done": 1},
    {"name": " ", "done": 1},
    {"name": "x" * 101, "done": 1},
]
WRONG_STEPS: list[Problem] = [
    ("steps.0.done", "TOO_SMALL", 0),
    ("steps.0.total", "TOO_SMALL", 0),
    ("steps.1.name", "CONFLICTING", None),
    ("steps.2.name", "BLANK", None),
    ("steps.3.name", "TOO_LONG", 100),
]
METADATA = {"k" * 41: 1, "deep": [[[[[[[[]]]]]]]], "nul": "\0", "list": [1, "\ud800"]}
WRONG_METADATA: list[Problem] = [
    ("k" * 40 + "…", "TOO_LONG", 40),
    ("deep.0.0.0.0.0.0.0", "TOO_DEEP", 8),
    ("nul", "NOT_STORABLE", None),
    ("list.1", "NOT_STORABLE", None),
]


def below(path: str, problems: list[Problem]) -> list[Problem]:
    return [(f"{path}.{inner}", code, limit) for inner, code, limit in problems]


REFUSED: list[tuple[str, dict[str, Any], list[Problem]]] = [
    (
        "registerApplication",
        {
            "slug": "A", "name": " ", "description": "x" * 4_001, "categories": ["tax"] * 20 + ["x" * 61],
            "logoUrl": "javascript:alert(1)", "authorizationMethod": "OAUTH",
        },
        [
            ("slug", "TOO_SHORT", 2), ("slug", "MALFORMED", None), ("name", "BLANK", None),
            ("description", "TOO_LONG", 4_000), ("categories", "TOO_MANY", 20), ("categories.20", "TOO_LONG", 60),
            ("logoUrl", "MALFORMED", None),
        ],
    ),
    (
        "updateApplication",
        {"id": "x", "name": None, "description": None, "categories": None, "logoUrl": "https://" + "x" * 2_048,
         "requiresConfiguration": None, "listed": None},
        [
            NO_ID, ("name", "REQUIRED", None), ("description", "REQUIRED", None), ("categories", "REQUIRED", None),
            ("logoUrl", "TOO_LONG", 2_048), ("requiresConfiguration", "REQUIRED", None), ("listed", "REQUIRED", None),
        ],
    ),
    ("registerAccount", {"id": "{}", "name": "x" * 201}, [NO_ID, ("name", "TOO_LONG", 200)]),
    (
        "issueApiKey",
        {"kind": "PLATFORM", "applicationId": ID, "accountId": "x", "label": "", "expiresAt": PAST},
        [
            ("applicationId", "CONFLICTING", None), ("accountId", "CONFLICTING", None),
            ("accountId", "MALFORMED", None), ("label", "BLANK", None), ("expiresAt", "NOT_IN_FUTURE", None),
        ],
    ),
    ("issueApiKey", {"kind": "APPLICATION", "label": "a"}, [("applicationId", "REQUIRED", None)]),
    (
        "issueApiKey",
        {"kind": "ACCOUNT", "applicationId": ID, "label": "a"},
        [("applicationId", "CONFLICTING", None), ("accountId", "REQUIRED", None)],
    ),
    ("issueApiKey", {"kind": "SYSTEM", "label": "a"}, [("kind", "MALFORMED", None)]),
    ("revokeApiKey", {"id": ""}, [NO_ID]),
    (
        "authorizeInstallation",
        {"applicationId": "", "accountId": "1", "expiresAt": PAST},
        [("applicationId", "MALFORMED", None), ("accountId", "MALFORMED", None),
         ("expiresAt", "NOT_IN_FUTURE", None)],
    ),
    ("createInstallation", {}, [("applicationId", "REQUIRED", None), ("accountId", "REQUIRED", None)]),
    (
        "createInstallation",
        {"applicationId": "", "accountId": ID, "metadata": METADATA},
        [("applicationId", "MALFORMED", None), *below("metadata", WRONG_METADATA)],
    ),
    ("createInstallation", {"applicationId": ID, "accountId": ID, "metadata": []},
     [("metadata", "NOT_AN_OBJECT", None)]),
    ("activateInstallation", {"id": "\0"}, [NO_ID]),
    (
        "updateInstallationMetadata",
        {"id": "x", "change": {"replace": METADATA | {f"k{at}": "x" * 400 for at in range(47)}}},
        [NO_ID, ("change.replace", "TOO_MANY", 50), *below("change.replace", WRONG_METADATA),
         ("change.replace", "TOO_LARGE", 16_384)],
    ),
    ("updateInstallationMetadata", {"id": "x", "change": {"merge": METADATA}},
     [NO_ID, *below("change.merge", WRONG_METADATA)]),
    ("updateInstallationMetadata", {"id": "x", "change": {"merge": 1}},
     [NO_ID, ("change.merge", "NOT_AN_OBJECT", None)]),
    ("startInstallationSync", {"id": "x", "leaseSeconds": 0, "steps": STEPS},
     [("leaseSeconds", "TOO_SMALL", 1), *WRONG_STEPS, NO_ID]),
    ("startInstallationSync", {"id": ID, "leaseSeconds": 86_401}, [("leaseSeconds", "TOO_LARGE", 86_400)]),
    (
        "reportInstallationSyncProgress",
        {"id": "x", "steps": [{"name": str(at), "done": at} for at in range(51)], "message": "x" * 1_001},
        [("steps", "TOO_MANY", 50), LONG_MESSAGE, NO_ID],
    ),
    ("reportInstallationSyncProgress", {"id": ID, "steps": STEPS}, WRONG_STEPS),
    ("finishInstallationSync", {"id": "x", "outcome": "FAILED", "message": "x" * 1_001}, [LONG_MESSAGE, NO_ID]),
    ("reportInstallationConnection", {"id": "x", "succeeded": False, "message": "x" * 1_001}, [LONG_MESSAGE, NO_ID]),
    ("deactivateInstallation", {"id": "x", "message": "x" * 1_001}, [LONG_MESSAGE, NO_ID]),
    ("deleteInstallation", {"id": "x"}, [NO_ID]),
]  # fmt: skip


async def answer(client: Client, name: str, given: dict[str, Any]) -> Any:
    query = f"""mutation ($input: {name[0].upper() + name[1:]}Input!) {{ {name}(input: $input) {{
      __typename ... on Error {{ message }} ... on InvalidInput {{ problems {{ path code message limit }} }}
    }} }}"""
    return (await client.data(query, input=given))[name]


async def problems(client: Client, name: str, given: dict[str, Any]) -> list[Problem]:
    invalid = await answer(client, name, given)
    assert invalid["__typename"] == "InvalidInput", invalid
    assert invalid["message"].startswith("The input is invalid.")
    assert all(one["message"].endswith(".") for one in invalid["problems"])
    return [(".".join(one["path"]), one["code"], one["limit"]) for one in invalid["problems"]]


def test_every_mutation_is_tried() -> None:
    assert {name for name, _, _ in REFUSED} == set(MUTATIONS)


def test_every_limit_is_stated_in_the_description_of_its_field() -> None:
    schema = build_schema(print_sdl())
    for name, _, expected in REFUSED:
        for path, code, limit in expected:
            if limit is not None:
                input_type = schema.type_map[f"{name[0].upper()}{name[1:]}Input"]
                assert f"{limit:,}" in described(input_type, path.split(".")), (name, path, code)


def described(input_type: Any, path: list[str]) -> str:
    """Return the description of the field that a path leads to; that of the whole, for what is within metadata."""
    field = input_type.fields[path[0]]
    inner = [step for step in path[1:] if not step.isdigit()]
    if inner and isinstance(get_named_type(field.type), GraphQLInputObjectType):
        return described(get_named_type(field.type), inner)
    return str(field.description)


async def test_every_problem_of_an_input_is_told_at_once(module_gateway: Served) -> None:
    platform = await module_gateway.platform()
    for name, given, expected in REFUSED:
        assert await problems(platform, name, given) == expected, name


async def test_a_problem_has_a_message_for_people(module_gateway: Served) -> None:
    platform = await module_gateway.platform()
    assert await answer(platform, "registerAccount", {"id": "x", "name": " "}) == {
        "__typename": "InvalidInput",
        "message": "The input is invalid. id: Must be a UUID, such as 7d444840-9dc0-11d1-b245-5ffdce74fad2."
        " name: Must not be blank.",
        "problems": [
            {
                "path": ["id"],
                "code": "MALFORMED",
                "message": "Must be a UUID, such as 7d444840-9dc0-11d1-b245-5ffdce74fad2.",
                "limit": None,
            },
            {"path": ["name"], "code": "BLANK", "message": "Must not be blank.", "limit": None},
        ],
    }


async def test_a_hundred_problems_are_told_of_many_more(module_gateway: Served) -> None:
    platform = await module_gateway.platform()
    given = {"id": "x", "change": {"replace": {"a": ["\0"] * 5_000}}}
    found = await problems(platform, "updateInstallationMetadata", given)
    assert found == [NO_ID, *((f"change.replace.a.{at}", "NOT_STORABLE", None) for at in range(99))]
    steps = [{"name": "", "done": -1} for _ in range(1_000)]
    assert len(await problems(platform, "reportInstallationSyncProgress", {"id": "x", "steps": steps})) == 100


@pytest.mark.parametrize("name", [name for name, kinds in MUTATIONS.items() if "ACCOUNT" not in kinds])
async def test_who_may_not_do_it_is_told_that_alone(module_gateway: Served, name: str) -> None:
    user = await module_gateway.of_account(await module_gateway.account())
    given = next(given for mutation, given, _ in REFUSED if mutation == name)
    query = f"mutation ($input: {name[0].upper() + name[1:]}Input!) {{ {name}(input: $input) {{ __typename }} }}"
    assert await user.code(query, input=given) == "FORBIDDEN"


async def test_a_merge_is_checked_with_what_it_is_merged_into(served: Served) -> None:
    application, account, platform = await served.application(), await served.account(), await served.platform()
    pair = {"applicationId": str(application.id), "accountId": str(account.id)}
    installation = (await run(platform, "authorizeInstallation", **pair))["id"]
    for number in range(50):
        change = {"merge": {f"k{number}": number}}
        assert (await answer(platform, "updateInstallationMetadata", {"id": installation, "change": change})) == {
            "__typename": "Installation"
        }
    change = {"merge": {"more": 1}}
    found = await problems(platform, "updateInstallationMetadata", {"id": installation, "change": change})
    assert found == [("change.merge", "TOO_MANY", 50)]


async def test_null_is_taken_for_what_is_left_out(served: Served) -> None:
    platform = await served.platform()
    given = {
        "slug": "plain", "name": "Plain", "description": None, "categories": None, "logoUrl": None,
        "authorizationMethod": "OAUTH",
    }  # fmt: skip
    assert (await answer(platform, "registerApplication", given))["__typename"] == "Application"
    given = {"kind": "PLATFORM", "applicationId": None, "accountId": None, "label": "a", "expiresAt": None}
    assert (await answer(platform, "issueApiKey", given))["__typename"] == "IssuedApiKey"
    assert (await answer(platform, "registerAccount", {"id": None, "name": "Acme"}))["__typename"] == "Account"
