"""Every field, argument and mutation of the schema has a stated policy, and keeps it for each kind of caller and bound.

The tables are written by hand, in policy_tables. An addition to the schema fails here until its policy is stated there.
"""

from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    build_schema,
    get_named_type,
)

from gateway.domain.installations import AuthorizationMethod
from gateway.schema.schema import print_sdl
from tests.api.conftest import Served
from tests.api.policy_dataset import BOUNDS, KINDS, Dataset, create_policy_dataset
from tests.api.policy_tables import (
    FIELDS,
    INPUT_OF,
    INPUTS,
    MUTATIONS,
    NARROWING,
    PAGING,
    QUERIES,
    SUBSCRIPTIONS,
    WRAPPERS,
    Shown,
)

SCHEMA = build_schema(print_sdl())


def fields_of(name: str) -> dict[str, GraphQLField]:
    kind = SCHEMA.type_map[name]
    assert isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
    fields: dict[str, GraphQLField] = kind.fields
    return fields


def objects() -> set[str]:
    return {
        name
        for name, kind in SCHEMA.type_map.items()
        if isinstance(kind, GraphQLObjectType) and not name.startswith("__")
    }


@pytest.fixture(scope="module")
async def dataset(module_gateway: Served) -> Dataset:
    return await create_policy_dataset(module_gateway)


def test_every_object_has_a_policy() -> None:
    assert objects() - {"Query", "Mutation", "Subscription"} == set(FIELDS) | WRAPPERS


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_of_an_object_has_a_policy(name: str) -> None:
    assert set(fields_of(name)) == set(FIELDS[name])


def test_every_operation_has_a_policy() -> None:
    assert set(fields_of("Query")) == QUERIES
    assert set(fields_of("Mutation")) == set(MUTATIONS)
    assert set(fields_of("Subscription")) == SUBSCRIPTIONS


def test_every_argument_narrows_or_pages() -> None:
    arguments = {
        argument for name in objects() - {"Mutation"} for one in fields_of(name).values() for argument in one.args
    }
    assert arguments == NARROWING | PAGING
    assert all(set(one.args) == {"input"} for one in fields_of("Mutation").values())


def test_every_input_of_a_query_has_a_policy() -> None:
    inputs = {
        name: set(kind.fields)
        for name, kind in SCHEMA.type_map.items()
        if isinstance(kind, GraphQLInputObjectType) and not name.endswith("Input") and name != "MetadataChange"
    }
    assert inputs == INPUTS


REACHED = {
    "Application": 'application(by: {slug: "listed"}) { %s }',
    "Account": "account(id: $acme) { %s }",
    "Installation": "installation(id: $own) { %s }",
    "ApiKey": "node(id: $key) { ... on ApiKey { %s } }",
    "StatusReason": "installation(id: $own) { statusReason { %s } }",
    "Sync": "installation(id: $own) { sync { %s } }",
    "SyncStep": "installation(id: $own) { sync { steps { %s } } }",
    "Actor": "installation(id: $own) { history(first: 1) { nodes { actor { %s } } } }",
} | {
    name: f"installation(id: $own) {{ history(first: 100) {{ nodes {{ ... on {name} {{ %s }} }} }} }}"
    for name in FIELDS
    if name.startswith("Installation") and name != "Installation"
}
"""How to come to an object that every caller sees."""


def selection(name: str, one: GraphQLField) -> str:
    """Select a field as far as its own scalars."""
    kind: GraphQLNamedType = get_named_type(one.type)
    arguments = "(accountId: $acme)" if name == "installation" and "accountId" in one.args else ""
    if isinstance(kind, GraphQLScalarType | GraphQLEnumType):
        return name
    if name == "installations":
        return f"{name}(first: 100) {{ totalCount statusCounts {{ count }} nodes {{ id }} }}"
    inner = "id" if "id" in getattr(kind, "fields", {}) else "__typename"
    return f"{name}{arguments} {{ {inner} }}"


def query_for(text: str) -> str:
    used = [name for name in ("acme", "own", "key") if f"${name}" in text]
    declared = f"({', '.join(f'${name}: ID!' for name in used)})" if used else ""
    return f"query {declared} {{ {text} }}"


async def asked(dataset: Dataset, caller: str, text: str, *, key: str = "") -> Any:
    known = {"acme": str(dataset.acme.id), "own": dataset.own, "key": key}
    variables = {name: value for name, value in known.items() if f"${name}" in text}
    return await dataset.callers[caller].data(query_for(text), **variables)


def objects_in(answer: Any) -> list[dict[str, Any]]:
    """Return the innermost objects of an answer that has one field on each level above them."""
    if isinstance(answer, list):
        return [found for item in answer for found in objects_in(item)]
    if len(answer) == 1:
        return objects_in(next(iter(answer.values())))
    return [answer] if answer else []


@pytest.mark.parametrize("caller", BOUNDS)
@pytest.mark.parametrize("name", REACHED)
async def test_fields_are_shown_as_their_policy_says(dataset: Dataset, caller: str, name: str) -> None:
    """Each object is read by the caller and by the platform, and compared field by field."""
    fields = {field: shown for field, shown in FIELDS[name].items() if shown is not Shown.BY_CALLER}
    text = REACHED[name] % " ".join(selection(field, fields_of(name)[field]) for field in fields)
    key = (await asked(dataset, caller, "viewer { apiKey { id } }"))["viewer"]["apiKey"]["id"]
    mine, platforms = [objects_in(await asked(dataset, each, text, key=key)) for each in (caller, "platform")]
    assert platforms != []
    if name == "InstallationMetadataUpdated" and caller == "account":
        assert mine == []
        return
    for field, shown in fields.items():
        values, expected = [one[field] for one in mine], [one[field] for one in platforms]
        match shown:
            case Shown.TO_ALL:
                assert values == expected, field
            case Shown.OWN:  # here the actor is the platform; test_actors.py has the others
                assert expected != [None]
                assert values == (expected if caller == "platform" else [None]), field
            case Shown.NOT_TO_ACCOUNTS:
                assert expected != [None]
                assert values == ([None] if caller == "account" else expected), field
            case Shown.BOUNDED:
                assert_bounded(dataset, caller, mine=values[0], platforms=expected[0])


def assert_bounded(dataset: Dataset, caller: str, *, mine: Any, platforms: Any) -> None:
    expected = [one for one in platforms["nodes"] if one["id"] in dataset.visible(caller)]
    assert mine["nodes"] == expected
    assert mine["totalCount"] == len(expected) == sum(one["count"] for one in mine["statusCounts"])


@pytest.mark.parametrize("caller", BOUNDS)
async def test_fields_that_depend_on_the_caller(dataset: Dataset, caller: str) -> None:
    data = await asked(
        dataset,
        caller,
        """viewer { kind application { slug } account { name } installation { id } apiKey { kind } }
        installation(id: $own) { allowedActions history(first: 100) { nodes { __typename } } }""",
    )
    slug, account = BOUNDS[caller]
    assert data["viewer"] == {
        "kind": KINDS[caller],
        "application": slug and {"slug": slug},
        "account": account and {"name": account},
        "installation": {"id": dataset.own} if slug and account else None,
        "apiKey": {"kind": KINDS[caller]},
    }
    may = {
        "platform": {"AUTHORIZE", "START_SYNC", "REPORT_CONNECTION_FAILURE", "REPORT_CONNECTION_SUCCESS", "DEACTIVATE",
                     "UPDATE_METADATA", "DELETE"},
        "account": {"DELETE"},
    }  # fmt: skip
    assert set(data["installation"]["allowedActions"]) == may.get(caller, may["platform"] - {"AUTHORIZE"})
    kinds = {one["__typename"] for one in data["installation"]["history"]["nodes"]}
    assert ("InstallationMetadataUpdated" in kinds) is (caller != "account")
    assert len(kinds) == (4 if caller == "account" else 5)


@pytest.mark.parametrize("caller", BOUNDS)
async def test_queries_return_only_rows_within_the_bounds(dataset: Dataset, caller: str) -> None:
    client, visible = dataset.callers[caller], dataset.visible(caller)
    listed = await client.data(
        "{ installations(first: 100) { nodes { id } } installationEvents(first: 100) { nodes { installationId } } }"
    )
    assert {one["id"] for one in listed["installations"]["nodes"]} == visible
    assert {one["installationId"] for one in listed["installationEvents"]["nodes"]} == visible
    for installation in dataset.installations.values():
        one = await client.data(
            """query ($id: ID!) { installation(id: $id) { id } node(id: $id) { id } nodes(ids: [$id]) { id }
            installationEvents(filter: {installationIds: [$id]}) { nodes { version } } }""",
            id=installation,
        )
        expected = {"id": installation} if installation in visible else None
        assert (one["installation"], one["node"], one["nodes"]) == (expected, expected, [expected])
        assert bool(one["installationEvents"]["nodes"]) is (installation in visible)


@pytest.mark.parametrize("caller", BOUNDS)
async def test_events_are_nodes_for_those_who_see_them(dataset: Dataset, caller: str) -> None:
    events = "{ installationEvents(first: 100) { nodes { id cursor } } }"
    log, seen = [
        [one["id"] for one in (await dataset.callers[name].data(events))["installationEvents"]["nodes"]]
        for name in ("platform", caller)
    ]
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on InstallationEvent { cursor } } }"
    found = (await dataset.callers[caller].data(query, ids=log))["nodes"]
    assert [node and node["id"] for node in found] == [event if event in seen else None for event in log]
    assert all(node["cursor"] == node["id"] for node in found if node)
    query = "query ($id: ID!) { node(id: $id) { id } }"
    for event in (seen[0], next((event for event in log if event not in seen), log[0])):
        answer = await dataset.callers[caller].data(query, id=event)
        assert answer == {"node": {"id": event} if event in seen else None}


@pytest.mark.parametrize("caller", BOUNDS)
async def test_arguments_find_only_rows_within_the_bounds(dataset: Dataset, caller: str) -> None:
    client, visible = dataset.callers[caller], dataset.visible(caller)
    for (slug, account), installation in dataset.installations.items():
        application_id = str(dataset.listed.id if slug == "listed" else dataset.unlisted.id)
        account_id = str(dataset.acme.id if account == "Acme" else dataset.blue.id)
        found = await client.data(
            """query ($application: ID!, $account: ID!, $slug: String!) {
              installations(filter: {applicationIds: [$application], accountIds: [$account]}) {
                totalCount nodes { id }
              }
              installationEvents(filter: {applicationIds: [$application], accountIds: [$account]}) {
                nodes { installationId }
              }
              application(by: {slug: $slug}) { installation(accountId: $account) { id } }
              byId: application(by: {id: $application}) { slug }
              applications(filter: {search: $slug, listed: false}) { totalCount nodes { slug } }
              account(id: $account) { name }
            }""",
            application=application_id, account=account_id, slug=slug,
        )  # fmt: skip
        seen = [installation] if installation in visible else []
        assert [one["id"] for one in found["installations"]["nodes"]] == seen
        assert found["installations"]["totalCount"] == len(seen)
        assert {one["installationId"] for one in found["installationEvents"]["nodes"]} == set(seen)
        known = slug == "listed" or caller in {"platform", "account"}
        assert found["byId"] == ({"slug": slug} if known else None)
        assert (found["application"] or {}).get("installation") == ({"id": installation} if seen else None)
        unlisted = ["hidden"] if known and slug == "hidden" else []
        assert [one["slug"] for one in found["applications"]["nodes"]] == unlisted
        assert found["applications"]["totalCount"] == len(unlisted)
        assert found["account"] == ({"name": account} if BOUNDS[caller][1] in {None, account} else None)


@pytest.mark.parametrize("caller", BOUNDS)
async def test_metadata_filter_finds_only_rows_within_the_bounds(dataset: Dataset, caller: str) -> None:
    query = """query ($filter: InstallationFilter) { installations(filter: $filter) { totalCount nodes { id } } }"""
    given = {"metadata": {"secret": "hidden"}}
    if caller == "account":
        assert await dataset.callers[caller].code(query, filter=given) == "FORBIDDEN"
        return
    found = (await dataset.callers[caller].data(query, filter=given))["installations"]
    expected = {dataset.installations["hidden", "Acme"], dataset.installations["hidden", "Blue"]}
    assert {one["id"] for one in found["nodes"]} == expected & dataset.visible(caller)


def test_every_mutation_is_tried() -> None:
    assert set(INPUT_OF) == set(MUTATIONS)


@pytest.mark.parametrize("caller", BOUNDS)
async def test_mutations_are_allowed_to_their_kinds_within_the_bounds(dataset: Dataset, caller: str) -> None:
    client, foreign = dataset.callers[caller], dataset.installations["hidden", "Blue"]
    for name, kinds in MUTATIONS.items():
        given = dict(INPUT_OF[name])
        if name in {"authorizeInstallation", "createInstallation"}:
            given |= {"applicationId": str(dataset.unlisted.id), "accountId": str(dataset.blue.id)}
        elif name == "updateApplication":
            given |= {"id": str(dataset.unlisted.id)}
        elif name not in {"registerApplication", "registerAccount", "issueApiKey"}:
            given |= {"id": foreign}
        kind = name[0].upper() + name[1:]
        query = f"mutation ($input: {kind}Input!) {{ {name}(input: $input) {{ __typename }} }}"
        if KINDS[caller] not in kinds:
            assert await client.code(query, input=given) == "FORBIDDEN", name
        elif caller != "platform" and name == "createInstallation":
            assert await client.code(query, input=given) == "FORBIDDEN"
        elif caller != "platform":
            assert await client.data(query, input=given) == {name: {"__typename": "InstallationNotFound"}}
    untouched = await dataset.callers["platform"].data("query ($id: ID!) { installation(id: $id) { id } }", id=foreign)
    assert untouched["installation"] == {"id": foreign}


@pytest.mark.parametrize("caller", BOUNDS)
async def test_subscriptions_deliver_only_events_within_the_bounds(dataset: Dataset, caller: str) -> None:
    """Replays the log from its first event up to the last one that is visible to the caller."""
    client, platform = dataset.callers[caller], dataset.callers["platform"]
    everything = "{ installationEvents(first: 100) { nodes { cursor installationId __typename } } }"
    log = (await platform.data(everything))["installationEvents"]["nodes"]
    allowed = [
        one["cursor"]
        for one in log[1:]
        if one["installationId"] in dataset.visible(caller)
        and not (caller == "account" and one["__typename"] == "InstallationMetadataUpdated")
    ]
    query = "subscription ($after: String) { installationEvents(after: $after) { cursor } }"
    async with client.subscription(query, after=log[0]["cursor"]) as events:
        received = [one["installationEvents"]["cursor"] for one in await events.take(len(allowed))]
    assert received == allowed
    statuses = [
        one["cursor"]
        for one in log[1:]
        if one["cursor"] in allowed and one["__typename"] == "InstallationStatusChanged"
    ]
    query = "subscription ($after: String) { installationStatusChanged(after: $after) { cursor } }"
    async with client.subscription(query, after=log[0]["cursor"]) as events:
        received = [one["installationStatusChanged"]["cursor"] for one in await events.take(len(statuses))]
    assert received == statuses


async def test_application_does_not_see_the_account_that_it_is_bound_to_before_it_is_installed(served: Served) -> None:
    application, account = await served.application(), await served.account("Acme")
    client = await served.of_application(application, account=account)
    query = "query ($id: ID!) { viewer { account { name } installation { id } } account(id: $id) { name } }"
    assert await client.data(query, id=str(account.id)) == {
        "viewer": {"account": None, "installation": None},
        "account": None,
    }


@pytest.mark.parametrize("method", AuthorizationMethod)
async def test_application_cannot_detect_accounts_by_creating(served: Served, method: AuthorizationMethod) -> None:
    application, account = await served.application(method=method), await served.account("Acme")
    client = await served.of_application(application)
    mutation = """mutation ($input: CreateInstallationInput!) {
      createInstallation(input: $input) {
        __typename ... on ActionNotAllowed { message allowedActions installation { id } }
      }
    }"""
    known = await client.data(mutation, input={"accountId": str(account.id)})
    unknown = await client.data(mutation, input={"accountId": "8a0f0f0e-7d9c-4c39-9a57-0d5c9f3f2f3a"})
    assert known == unknown
    assert known["createInstallation"]["__typename"] == "ActionNotAllowed"
