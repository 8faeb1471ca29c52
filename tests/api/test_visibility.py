"""Who sees what. What a caller may not see is, byte for byte, what does not exist."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from gateway.domain.installations import Account, Application, Installation
from gateway.usecases.installations import authorize_installation, delete_installation, replace_metadata
from tests.api.conftest import PLATFORM, Client, Served


@dataclass(frozen=True, kw_only=True)
class World:
    """Of four applications two are unlisted; each account has some of them, and one has been deleted."""

    applications: dict[str, Application]
    accounts: dict[str, Account]
    installations: dict[str, Installation]
    """By the names of their application and account; the deleted one as well."""

    @property
    def names(self) -> dict[UUID, str]:
        kinds: list[dict[str, Any]] = [self.applications, self.accounts, self.installations]
        return {one.id: name for kind in kinds for name, one in kind.items()}


TIES = ("open-acme", "open-brick", "other-acme", "other-brick", "hidden-acme", "secret-brick", "open-corner")
DELETED = "open-corner"


@pytest.fixture
async def world(served: Served) -> World:
    listed = {"open": True, "other": True, "hidden": False, "secret": False}
    applications = {name: await served.application(name, listed=seen) for name, seen in listed.items()}
    accounts = {name: await served.account(name) for name in ("acme", "brick", "corner")}
    installations = {}
    for tie in TIES:
        application, account = tie.split("-")
        row = await authorize_installation(
            served.services, PLATFORM,
            application_id=applications[application].id, account_id=accounts[account].id, expires_at=None,
        )  # fmt: skip
        installations[tie] = await replace_metadata(
            served.services, PLATFORM, installation_id=row.id, metadata={"of": tie}, expected_version=None
        )
    await delete_installation(
        served.services, PLATFORM, installation_id=installations[DELETED].id, expected_version=None
    )
    return World(applications=applications, accounts=accounts, installations=installations)


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What one caller sees, by name; its events are those of these ties."""

    applications: str
    accounts: str
    installations: str
    told_of: str
    reads_metadata: bool = True

    @property
    def everything(self) -> set[str]:
        return {*self.applications.split(), *self.accounts.split(), *self.installations.split()}


SIGHTS = {
    "the platform": Sight(
        applications="open other hidden secret",
        accounts="acme brick corner",
        installations="open-acme open-brick other-acme other-brick hidden-acme secret-brick",
        told_of=" ".join(TIES),
    ),
    "a listed application": Sight(
        applications="open other",
        accounts="acme brick",
        installations="open-acme open-brick",
        told_of="open-acme open-brick open-corner",
    ),
    "a listed application for one account": Sight(
        applications="open other", accounts="acme", installations="open-acme", told_of="open-acme"
    ),
    "a listed application for the account that left it": Sight(
        applications="open other", accounts="", installations="", told_of="open-corner"
    ),
    "an unlisted application": Sight(
        applications="open other hidden", accounts="acme", installations="hidden-acme", told_of="hidden-acme"
    ),
    "an account": Sight(
        applications="open other hidden",
        accounts="acme",
        installations="open-acme other-acme hidden-acme",
        told_of="open-acme other-acme hidden-acme",
        reads_metadata=False,
    ),
    "an account without any installation": Sight(
        applications="open other", accounts="corner", installations="", told_of="open-corner", reads_metadata=False
    ),
}


async def callers(served: Served, world: World) -> list[Client]:
    """Answer a client for each of the sights, in their order."""
    applications, accounts = world.applications, world.accounts
    return [
        await served.platform(),
        await served.of_application(applications["open"]),
        await served.of_application(applications["open"], account=accounts["acme"]),
        await served.of_application(applications["open"], account=accounts["corner"]),
        await served.of_application(applications["hidden"]),
        await served.of_account(accounts["acme"]),
        await served.of_account(accounts["corner"]),
    ]


@dataclass(frozen=True, kw_only=True)
class Looking:
    name: str
    client: Client
    sight: Sight
    world: World

    def named(self, ids: list[str]) -> set[str]:
        assert len(ids) == len(set(ids))
        return {self.world.names[UUID(one)] for one in ids}

    async def assert_there(self, query: str, variables: dict[str, Any], *, nothing: bytes, seen: bool) -> None:
        """Check that something is there, or that the answer is that of what never was."""
        answer = (await self.client.post(query, **variables)).content
        assert (answer != nothing) is seen, (self.name, query, variables, answer)


@pytest.fixture
async def everybody(served: Served, world: World) -> list[Looking]:
    clients = await callers(served, world)
    return [
        Looking(client=client, name=name, sight=sight, world=world)
        for client, (name, sight) in zip(clients, SIGHTS.items(), strict=True)
    ]


async def test_lists_have_what_is_seen_and_count_that(everybody: list[Looking]) -> None:
    for looking in everybody:
        data = await looking.client.data("""{
          applications { nodes { id } totalCount }
          installations { nodes { id application { id } account { id } } totalCount statusCounts { count } }
        }""")
        applications, installations = data["applications"], data["installations"]
        expected = set(looking.sight.applications.split())
        assert looking.named([node["id"] for node in applications["nodes"]]) == expected
        assert applications["totalCount"] == len(expected)
        expected = set(looking.sight.installations.split())
        assert looking.named([node["id"] for node in installations["nodes"]]) == expected
        assert installations["totalCount"] == len(expected)
        assert sum(one["count"] for one in installations["statusCounts"]) == len(expected)
        for node in installations["nodes"]:
            ends = [looking.world.names[UUID(node[end]["id"])] for end in ("application", "account")]
            assert "-".join(ends) == looking.world.names[UUID(node["id"])]


LOOKUPS = """query ($id: ID!) {
  node(id: $id) { id } nodes(ids: [$id]) { id }
  installation(id: $id) { id } account(id: $id) { id } application(by: {id: $id}) { id }
}"""


async def test_what_is_not_seen_is_looked_up_like_what_does_not_exist(everybody: list[Looking]) -> None:
    for looking in everybody:
        kinds: dict[str, dict[str, Any]] = {
            "installation": looking.world.installations,
            "account": looking.world.accounts,
            "application": looking.world.applications,
        }
        nothing = (await looking.client.post(LOOKUPS, id=str(uuid4()))).content
        for row_id, name in looking.world.names.items():
            answer = await looking.client.post(LOOKUPS, id=str(row_id))
            if name in looking.sight.everything:
                itself = {"id": str(row_id)}
                as_its_kind = {kind: itself if name in rows else None for kind, rows in kinds.items()}
                assert answer.json() == {"data": {"node": itself, "nodes": [itself], **as_its_kind}}
            else:
                assert answer.content == nothing, (looking.name, name)


async def test_an_application_that_is_not_seen_has_no_slug_either(everybody: list[Looking]) -> None:
    for looking in everybody:
        query = "query ($slug: String!) { application(by: {slug: $slug}) { id } }"
        nothing = (await looking.client.post(query, slug="no-such-application")).content
        for name in looking.world.applications:
            seen = name in looking.sight.applications.split()
            await looking.assert_there(query, {"slug": name}, nothing=nothing, seen=seen)


async def test_the_way_through_a_parent_shows_no_more(everybody: list[Looking]) -> None:
    for looking in everybody:
        query = """query ($ids: [ID!]!, $account: ID!) {
          nodes(ids: $ids) {
            ... on Application { id installations { nodes { id } totalCount } installation(accountId: $account) { id } }
            ... on Account { id installations { nodes { id } totalCount } }
          }
        }"""
        seen = set(looking.sight.installations.split())
        for name, account in looking.world.accounts.items():
            data = await looking.client.data(
                query, ids=[str(one) for one in looking.world.names], account=str(account.id)
            )
            for parent in filter(None, data["nodes"]):
                if not parent:
                    continue
                end = looking.world.names[UUID(parent["id"])]
                expected = {tie for tie in seen if end in tie.split("-")}
                assert looking.named([node["id"] for node in parent["installations"]["nodes"]]) == expected
                assert parent["installations"]["totalCount"] == len(expected)
                if "installation" in parent:
                    there = parent["installation"] and looking.named([parent["installation"]["id"]])
                    assert there == ({f"{end}-{name}"} if f"{end}-{name}" in seen else None)


async def test_a_filter_by_what_is_not_seen_finds_what_a_filter_by_nothing_does(everybody: list[Looking]) -> None:
    for looking in everybody:
        query = """query ($filter: InstallationFilter) {
          installations(filter: $filter) { nodes { id } totalCount statusCounts { count } pageInfo { endCursor } }
        }"""
        ends: list[tuple[str, dict[str, Any]]] = [
            ("applicationId", looking.world.applications),
            ("accountId", looking.world.accounts),
        ]
        for part, kind in ends:
            nothing = (await looking.client.post(query, filter={part: str(uuid4())})).content
            for name, one in kind.items():
                seen = any(name in tie.split("-") for tie in looking.sight.installations.split())
                await looking.assert_there(query, {"filter": {part: str(one.id)}}, nothing=nothing, seen=seen)


EVENTS = """query ($filter: InstallationEventFilter) {
  installationEvents(filter: $filter, first: 100) {
    nodes { __typename installationId installation { id } } pageInfo { hasNextPage hasPreviousPage endCursor }
  }
}"""


async def test_events_are_told_of_what_is_or_was_seen(everybody: list[Looking]) -> None:
    for looking in everybody:
        told_of = set(looking.sight.told_of.split())
        nodes = (await looking.client.data(EVENTS))["installationEvents"]["nodes"]
        assert {looking.world.names[UUID(node["installationId"])] for node in nodes} == told_of
        kinds = {node["__typename"] for node in nodes}
        assert ("InstallationMetadataUpdated" in kinds) is looking.sight.reads_metadata
        living = {node["installationId"] for node in nodes if node["installation"]}
        assert looking.named(list(living)) == told_of - {DELETED}
        parts: list[tuple[str, dict[str, Any]]] = [
            ("installationId", looking.world.installations),
            ("applicationId", looking.world.applications),
            ("accountId", looking.world.accounts),
        ]
        for part, kind in parts:
            nothing = (await looking.client.post(EVENTS, filter={part: str(uuid4())})).content
            for name, one in kind.items():
                seen = any(name == tie or name in tie.split("-") for tie in told_of)
                await looking.assert_there(EVENTS, {"filter": {part: str(one.id)}}, nothing=nothing, seen=seen)


async def test_metadata_and_its_changes_are_for_those_who_may_read_it(everybody: list[Looking]) -> None:
    for looking in everybody:
        query = "{ installations { nodes { id metadata history { nodes { __typename } } } } }"
        for node in (await looking.client.data(query))["installations"]["nodes"]:
            name = looking.world.names[UUID(node["id"])]
            told = [event["__typename"] for event in node["history"]["nodes"]]
            assert node["metadata"] == ({"of": name} if looking.sight.reads_metadata else None)
            assert told == ["InstallationStatusChanged", "InstallationMetadataUpdated"][: len(told)]
            assert len(told) == (2 if looking.sight.reads_metadata else 1)


async def test_a_caller_sees_itself_as_far_as_it_sees_anything(everybody: list[Looking]) -> None:
    for looking in everybody:
        query = "{ viewer { application { id } account { id } installation { id } } }"
        viewer = (await looking.client.data(query))["viewer"]
        shown = {looking.world.names[UUID(one["id"])] for one in viewer.values() if one}
        assert shown <= looking.sight.everything
