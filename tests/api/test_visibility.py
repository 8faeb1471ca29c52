"""Visibility: an invisible row is answered byte for byte like an absent one."""

import itertools
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from gateway.domain.installations import Account, Application, Installation
from gateway.usecases.installations import authorize_installation, delete_installation, replace_metadata
from tests.api.conftest import PLATFORM, Client, Served


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Of four applications two are unlisted; each account has some of them, and one has been deleted."""

    applications: dict[str, Application]
    accounts: dict[str, Account]
    installations: dict[str, Installation]
    """By the names of their application and account; the deleted one as well."""

    @property
    def names(self) -> dict[UUID, str]:
        kinds: list[dict[str, Any]] = [self.applications, self.accounts, self.installations]
        return {one.id: name for kind in kinds for name, one in kind.items()}


PAIRS = ("open-acme", "open-brick", "other-acme", "other-brick", "hidden-acme", "secret-brick", "open-corner")
DELETED = "open-corner"


@pytest.fixture
async def dataset(served: Served) -> Dataset:
    listed = {"open": True, "other": True, "hidden": False, "secret": False}
    applications = {name: await served.application(name, listed=seen) for name, seen in listed.items()}
    accounts = {name: await served.account(name) for name in ("acme", "brick", "corner")}
    installations = {}
    for pair in PAIRS:
        application, account = pair.split("-")
        row = await authorize_installation(
            served.services, PLATFORM,
            application_id=applications[application].id, account_id=accounts[account].id, expires_at=None,
        )  # fmt: skip
        installations[pair] = await replace_metadata(
            served.services, PLATFORM, installation_id=row.id, metadata={"of": pair}, expected_version=None
        )
    await delete_installation(
        served.services, PLATFORM, installation_id=installations[DELETED].id, expected_version=None
    )
    return Dataset(applications=applications, accounts=accounts, installations=installations)


@dataclass(frozen=True, kw_only=True)
class VisibleRows:
    """What one caller sees, by name; its events are those of these pairs."""

    applications: str
    accounts: str
    installations: str
    told_of: str
    reads_metadata: bool = True

    @property
    def everything(self) -> set[str]:
        return {*self.applications.split(), *self.accounts.split(), *self.installations.split()}


EXPECTED_VISIBLE = {
    "the platform": VisibleRows(
        applications="open other hidden secret",
        accounts="acme brick corner",
        installations="open-acme open-brick other-acme other-brick hidden-acme secret-brick",
        told_of=" ".join(PAIRS),
    ),
    "a listed application": VisibleRows(
        applications="open other",
        accounts="acme brick",
        installations="open-acme open-brick",
        told_of="open-acme open-brick open-corner",
    ),
    "a listed application for one account": VisibleRows(
        applications="open other", accounts="acme", installations="open-acme", told_of="open-acme"
    ),
    "a listed application for the account that left it": VisibleRows(
        applications="open other", accounts="", installations="", told_of="open-corner"
    ),
    "an unlisted application": VisibleRows(
        applications="open other hidden", accounts="acme", installations="hidden-acme", told_of="hidden-acme"
    ),
    "an account": VisibleRows(
        applications="open other hidden",
        accounts="acme",
        installations="open-acme other-acme hidden-acme",
        told_of="open-acme other-acme hidden-acme",
        reads_metadata=False,
    ),
    "an account without any installation": VisibleRows(
        applications="open other", accounts="corner", installations="", told_of="open-corner", reads_metadata=False
    ),
}


async def callers(served: Served, dataset: Dataset) -> list[Client]:
    """Return a client for each caller, in their order."""
    applications, accounts = dataset.applications, dataset.accounts
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
    visible: VisibleRows
    dataset: Dataset

    def named(self, ids: list[str]) -> set[str]:
        assert len(ids) == len(set(ids))
        return {self.dataset.names[UUID(one)] for one in ids}

    async def assert_there(self, query: str, variables: dict[str, Any], *, nothing: bytes, seen: bool) -> None:
        """Check that a row is visible, or that the response equals that for a row that does not exist."""
        answer = (await self.client.post(query, **variables)).content
        assert (answer != nothing) is seen, (self.name, query, variables, answer)


@pytest.fixture
async def everybody(served: Served, dataset: Dataset) -> list[Looking]:
    clients = await callers(served, dataset)
    return [
        Looking(client=client, name=name, visible=visible, dataset=dataset)
        for client, (name, visible) in zip(clients, EXPECTED_VISIBLE.items(), strict=True)
    ]


async def test_lists_contain_and_count_visible_rows(everybody: list[Looking]) -> None:
    for looking in everybody:
        data = await looking.client.data("""{
          applications { nodes { id } totalCount }
          accounts { nodes { id } totalCount }
          installations { nodes { id application { id } account { id } } totalCount statusCounts { count } }
        }""")
        applications, accounts, installations = data["applications"], data["accounts"], data["installations"]
        for listed, seen in ((applications, looking.visible.applications), (accounts, looking.visible.accounts)):
            expected = set(seen.split())
            assert looking.named([node["id"] for node in listed["nodes"]]) == expected
            assert listed["totalCount"] == len(expected)
        expected = set(looking.visible.installations.split())
        assert looking.named([node["id"] for node in installations["nodes"]]) == expected
        assert installations["totalCount"] == len(expected)
        assert sum(one["count"] for one in installations["statusCounts"]) == len(expected)
        for node in installations["nodes"]:
            ends = [looking.dataset.names[UUID(node[end]["id"])] for end in ("application", "account")]
            assert "-".join(ends) == looking.dataset.names[UUID(node["id"])]


LOOKUPS = """query ($id: ID!) {
  node(id: $id) { id } nodes(ids: [$id]) { id }
  installation(id: $id) { id } account(id: $id) { id } application(by: {id: $id}) { id }
}"""


async def test_invisible_rows_are_answered_like_absent_ones(everybody: list[Looking]) -> None:
    for looking in everybody:
        kinds: dict[str, dict[str, Any]] = {
            "installation": looking.dataset.installations,
            "account": looking.dataset.accounts,
            "application": looking.dataset.applications,
        }
        nothing = (await looking.client.post(LOOKUPS, id=str(uuid4()))).content
        for row_id, name in looking.dataset.names.items():
            answer = await looking.client.post(LOOKUPS, id=str(row_id))
            if name in looking.visible.everything:
                itself = {"id": str(row_id)}
                as_its_kind = {kind: itself if name in rows else None for kind, rows in kinds.items()}
                assert answer.json() == {"data": {"node": itself, "nodes": [itself], **as_its_kind}}
            else:
                assert answer.content == nothing, (looking.name, name)


async def test_invisible_application_is_not_found_by_slug(everybody: list[Looking]) -> None:
    for looking in everybody:
        query = "query ($slug: String!) { application(by: {slug: $slug}) { id } }"
        nothing = (await looking.client.post(query, slug="no-such-application")).content
        for name in looking.dataset.applications:
            seen = name in looking.visible.applications.split()
            await looking.assert_there(query, {"slug": name}, nothing=nothing, seen=seen)


async def test_nested_lists_contain_only_visible_rows(everybody: list[Looking]) -> None:
    for looking in everybody:
        query = """query ($ids: [ID!]!, $account: ID!) {
          nodes(ids: $ids) {
            ... on Application { id installations { nodes { id } totalCount } installation(accountId: $account) { id } }
            ... on Account { id installations { nodes { id } totalCount } }
          }
        }"""
        seen = set(looking.visible.installations.split())
        for name, account in looking.dataset.accounts.items():
            data = await looking.client.data(
                query, ids=[str(one) for one in looking.dataset.names], account=str(account.id)
            )
            for parent in filter(None, data["nodes"]):
                if not parent:
                    continue
                end = looking.dataset.names[UUID(parent["id"])]
                expected = {pair for pair in seen if end in pair.split("-")}
                assert looking.named([node["id"] for node in parent["installations"]["nodes"]]) == expected
                assert parent["installations"]["totalCount"] == len(expected)
                if "installation" in parent:
                    there = parent["installation"] and looking.named([parent["installation"]["id"]])
                    assert there == ({f"{end}-{name}"} if f"{end}-{name}" in seen else None)


async def test_filters_by_invisible_and_by_absent_rows_answer_alike(everybody: list[Looking]) -> None:
    for looking in everybody:
        query = """query ($filter: InstallationFilter) {
          installations(filter: $filter) { nodes { id } totalCount statusCounts { count } pageInfo { endCursor } }
        }"""
        ends: list[tuple[str, dict[str, Any]]] = [
            ("applicationIds", looking.dataset.applications),
            ("accountIds", looking.dataset.accounts),
        ]
        for part, kind in ends:
            nothing = (await looking.client.post(query, filter={part: [str(uuid4())]})).content
            for name, one in kind.items():
                seen = any(name in pair.split("-") for pair in looking.visible.installations.split())
                await looking.assert_there(query, {"filter": {part: [str(one.id)]}}, nothing=nothing, seen=seen)
                await looking.assert_there(query, {"filter": {"search": name}}, nothing=nothing, seen=seen)


async def test_accounts_are_searched_among_visible_ones(everybody: list[Looking]) -> None:
    for looking in everybody:
        query = "query ($filter: AccountFilter) { accounts(filter: $filter) { nodes { id } totalCount } }"
        nothing = (await looking.client.post(query, filter={"search": "nobody"})).content
        for name in looking.dataset.accounts:
            seen = name in looking.visible.accounts.split()
            await looking.assert_there(query, {"filter": {"search": name[1:]}}, nothing=nothing, seen=seen)


async def test_api_keys_are_listed_for_the_platform_alone(everybody: list[Looking]) -> None:
    for looking in everybody:
        query = "{ apiKeys { totalCount } }"
        if looking.name == "the platform":
            assert await looking.client.data(query) == {"apiKeys": {"totalCount": len(everybody)}}
        else:
            assert await looking.client.code(query) == "FORBIDDEN"


EVENTS = """query ($filter: InstallationEventFilter, $direction: OrderDirection) {
  installationEvents(filter: $filter, direction: $direction, first: 100) {
    nodes { __typename installationId installation { id } } pageInfo { hasNextPage hasPreviousPage endCursor }
  }
}"""


async def test_events_are_delivered_within_the_bounds_after_a_deletion_too(everybody: list[Looking]) -> None:
    for looking in everybody:
        told_of = set(looking.visible.told_of.split())
        nodes = (await looking.client.data(EVENTS))["installationEvents"]["nodes"]
        assert {looking.dataset.names[UUID(node["installationId"])] for node in nodes} == told_of
        kinds = {node["__typename"] for node in nodes}
        assert ("InstallationMetadataUpdated" in kinds) is looking.visible.reads_metadata
        living = {node["installationId"] for node in nodes if node["installation"]}
        assert looking.named(list(living)) == told_of - {DELETED}
        parts: list[tuple[str, dict[str, Any]]] = [
            ("installationIds", looking.dataset.installations),
            ("applicationIds", looking.dataset.applications),
            ("accountIds", looking.dataset.accounts),
        ]
        for (part, kind), direction in itertools.product(parts, ("ASC", "DESC")):
            asked: dict[str, Any] = {"filter": {part: [str(uuid4())]}, "direction": direction}
            nothing = (await looking.client.post(EVENTS, **asked)).content
            for name, one in kind.items():
                seen = any(name == pair or name in pair.split("-") for pair in told_of)
                asked["filter"] = {part: [str(uuid4()), str(one.id)]}
                await looking.assert_there(EVENTS, asked, nothing=nothing, seen=seen)
        for kind, seen in (("METADATA_UPDATED", looking.visible.reads_metadata), ("STATUS_CHANGED", True)):
            await looking.assert_there(EVENTS, {"filter": {"kinds": [kind]}}, nothing=nothing, seen=seen)


async def test_metadata_and_its_events_are_hidden_from_accounts(everybody: list[Looking]) -> None:
    for looking in everybody:
        query = "{ installations { nodes { id metadata history { nodes { __typename } } } } }"
        for node in (await looking.client.data(query))["installations"]["nodes"]:
            name = looking.dataset.names[UUID(node["id"])]
            kinds = [event["__typename"] for event in node["history"]["nodes"]]
            assert node["metadata"] == ({"of": name} if looking.visible.reads_metadata else None)
            assert kinds == ["InstallationStatusChanged", "InstallationMetadataUpdated"][: len(kinds)]
            assert len(kinds) == (2 if looking.visible.reads_metadata else 1)


async def test_viewer_shows_only_visible_rows(everybody: list[Looking]) -> None:
    for looking in everybody:
        query = "{ viewer { application { id } account { id } installation { id } } }"
        viewer = (await looking.client.data(query))["viewer"]
        shown = {looking.dataset.names[UUID(one["id"])] for one in viewer.values() if one}
        assert shown <= looking.visible.everything
