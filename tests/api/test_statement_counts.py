"""A page takes the same number of SQL statements at any size.

The rows that are requested in one turn of the event loop are read together, so a run that takes several turns has more
statements. How long a run takes depends on the machine: here everything is one turn. Values are written directly from
the first run on.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from asyncpg.connection import LoggedQuery

from gateway.domain.principals import Principal, PrincipalKind
from gateway.execution import state
from gateway.execution.costs import CostModel
from gateway.execution.documents import Documents
from gateway.feed.feed import Feed
from gateway.operations import pipeline
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.quotas import Quota
from gateway.operations.requests import GraphQLRequest
from gateway.schema.context import Context
from gateway.schema.schema import build_schema
from gateway.storage.database import StatementMeter, connection, open_database
from gateway.storage.queries import queries
from gateway.usecases.api_keys import ApiKeyCache
from gateway.usecases.batch_loader import BatchLoaders
from gateway.usecases.installations import authorize_installation
from gateway.usecases.services import Services
from tests.api.conftest import PLATFORM, Served
from tests.api.marketplace_rows import Marketplace, populate

SIZES = (1, 20, 100)


@dataclass(kw_only=True)
class Counter:
    """Runs operations as the gateway does, on one connection that notes the names of its statements."""

    pipeline: OperationPipeline
    statements: list[str] = field(default_factory=list)

    def note(self, logged: LoggedQuery) -> None:
        names = {query.sql: query.name for query in queries._variants.values()}
        self.statements.append(names.get(logged.query, logged.query))

    async def run(self, query: str, *, caller: Principal = PLATFORM, **variables: Any) -> tuple[Any, list[str]]:
        """Run an operation; return its data and its statements."""
        self.statements.clear()
        request = GraphQLRequest(query=query, variables=variables)
        response = await self.pipeline.execute(await self.pipeline.prepare(request, caller), request, caller)
        answer = json.loads(response.body)
        assert "errors" not in answer, answer
        return answer["data"], sorted(self.statements)


@pytest.fixture
async def counter(served: Served, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counter]:
    monkeypatch.setattr(state, "TURN_SECONDS", 60)
    monkeypatch.setattr(state, "RUNS_BEFORE", 0)
    async with open_database(served.database_url, pool_size=1) as database:
        services = Services(database=database, notify=lambda: None)
        make_context = partial(
            Context,
            services=services,
            feed=Feed(database, url=served.database_url),
            api_key_cache=ApiKeyCache(services),
            batch_loaders=BatchLoaders(database),
        )
        counter = Counter(pipeline=OperationPipeline(Documents(build_schema()), make_context=make_context))
        async with connection(database) as held:
            await held.fetch(
                "select $1::uuid[], $2::text[], $3::bigint[]", [], [], []
            )  # the driver asks about these types, once
            held.add_query_logger(counter.note)
        yield counter


@pytest.fixture
async def market(served: Served) -> Marketplace:
    return await populate(served, applications=10, accounts=12)


FLAT = """query ($first: Int) {
  installations(first: $first) {
    nodes {
      id status metadata allowedActions
      sync { state steps { name done total } }
      application { id name installation(accountId: "00000000-0000-0000-0000-000000000000") { id } }
      account { id name }
      history(first: 3) { nodes { id cursor } pageInfo { hasNextPage } }
    }
  }
}"""
DEEP = """query ($first: Int) {
  installations(first: $first) {
    nodes {
      application {
        installations(first: 2, orderBy: {field: UPDATED_AT, direction: ASC}) {
          totalCount
          nodes {
            account {
              installations(first: 2) {
                totalCount statusCounts { status count }
                nodes { allowedActions application { name } history(last: 2) { nodes { id installation { id } } } }
              }
            }
          }
        }
      }
    }
  }
}"""


async def test_page_takes_the_same_statements_at_any_size(market: Marketplace, counter: Counter) -> None:
    assert len(market.installations) > max(SIZES)
    for size in SIZES:
        data, statements = await counter.run(FLAT, first=size)
        assert len(data["installations"]["nodes"]) == size
        assert statements == [
            "select_applications_by_id",
            "select_event_page",
            "select_installation_page",
            "select_installations_by_pair",
        ]


async def test_nested_page_takes_the_same_statements_at_any_size(market: Marketplace, counter: Counter) -> None:
    """Each level costs its own statements; what a level above has read is not read again."""
    assert len(market.installations) > max(SIZES)
    for size in SIZES:
        data, statements = await counter.run(DEEP, first=size)
        assert len(data["installations"]["nodes"]) == size
        assert statements == [
            "count_installations",
            "count_installations",
            "select_accounts_by_id",
            *(["select_applications_by_id"] * (2 if size == 1 else 1)),
            "select_event_page",
            "select_installation_page",
            "select_installation_page",
            "select_installation_page",
        ]


@pytest.mark.parametrize(
    ("selection", "statements"),
    [
        ("installations { nodes { id } }", ["select_installation_page"]),
        ("installations { edges { cursor } pageInfo { hasNextPage } }", ["select_installation_page"]),
        ("installations { totalCount }", ["count_installations", "select_installation_page"]),
        ("installations { statusCounts { count } }", ["count_installations", "select_installation_page"]),
        (
            "installations { nodes { id } totalCount statusCounts { status count } }",
            ["count_installations", "select_installation_page"],
        ),
        ("applications { nodes { slug } }", ["select_application_page"]),
        ("applications { totalCount }", ["count_applications", "select_application_page"]),
        ("accounts { nodes { name } }", ["select_account_page"]),
        ("accounts { totalCount }", ["count_accounts", "select_account_page"]),
        ("apiKeys { nodes { label } }", ["select_api_key_page"]),
        ("apiKeys { totalCount }", ["count_api_keys", "select_api_key_page"]),
    ],
)
async def test_counts_are_queried_only_when_selected(counter: Counter, selection: str, statements: list[str]) -> None:
    _, taken = await counter.run(f"{{ {selection} }}")
    assert taken == statements


ENDS = "application { id name slug } account { id name }"


@pytest.mark.parametrize("selection", [ENDS, f"version {ENDS}", f"updatedAt {ENDS}", f"metadata {ENDS}"])
async def test_names_are_read_with_the_installation(market: Marketplace, counter: Counter, selection: str) -> None:
    """Not those of a mutation's result, which are looked up."""
    row, application, account = market.installations[0], market.application, market.account
    ends = {
        "application": {"id": str(application.id), "name": application.name, "slug": application.slug},
        "account": {"id": str(account.id), "name": account.name},
    }
    assert (row.application_id, row.account_id) == (application.id, account.id)
    point = f"query ($id: ID!) {{ installation(id: $id) {{ id {selection} }} }}"
    data, statements = await counter.run(point, id=str(row.id))
    assert (data["installation"] | ends, statements) == (data["installation"], ["select_installations_by_id"])
    of_one = f'filter: {{applicationIds: ["{application.id}"], accountIds: ["{account.id}"]}}'
    for order in ("CREATED_AT", "UPDATED_AT"):
        arguments = f"{of_one}, orderBy: {{field: {order}, direction: ASC}}"
        page = f"{{ installations({arguments}) {{ edges {{ cursor node {{ {selection} }} }} nodes {{ id {ENDS} }} }} }}"
        data, statements = await counter.run(page)
        assert statements == ["select_installation_page"]
        ((edge,), (node,)) = data["installations"]["edges"], data["installations"]["nodes"]
        assert (edge["node"] | ends, node) == (edge["node"], {"id": str(row.id), **ends})
    change = f"""mutation ($id: ID!) {{ updateInstallationMetadata(input: {{id: $id, change: {{merge: {{a: 1}}}}}}) {{
      ... on Installation {{ {selection} }} }} }}"""
    data, statements = await counter.run(change, id=str(row.id))
    assert data["updateInstallationMetadata"] | ends == data["updateInstallationMetadata"]
    assert {"select_applications_by_id", "select_accounts_by_id"} <= set(statements)


NODES = """query ($ids: [ID!]!) {
  nodes(ids: $ids) {
    __typename id
    ... on Installation { application { name } account { name } }
    ... on Application { installations(first: 1) { nodes { id } } }
    ... on Account { installations(first: 1) { nodes { id } } }
  }
}"""


async def test_hundred_nodes_take_the_same_statements_as_four(market: Marketplace, counter: Counter) -> None:
    kinds: list[list[UUID]] = [
        [row.id for row in market.installations],
        [row.id for row in market.applications],
        [row.id for row in market.accounts],
        [uuid4() for _ in range(30)],
    ]
    few = [kind[0] for kind in kinds]
    many = [*kinds[0][:50], *kinds[1], *kinds[2], *kinds[3][:28]]
    user = Principal(kind=PrincipalKind.ACCOUNT, account_id=market.account.id)
    itself = Principal(kind=PrincipalKind.APPLICATION, application_id=market.application.id)
    for caller in (PLATFORM, itself, user):
        found, cost = await counter.run(NODES, caller=caller, ids=[str(one) for one in few])
        assert len(found["nodes"]) == 4
        found, again = await counter.run(NODES, caller=caller, ids=[str(one) for one in many])
        assert len(found["nodes"]) == 100
        assert again == cost
        assert len(cost) <= 8


async def test_viewer_takes_statements_only_for_selected_fields(market: Marketplace, counter: Counter) -> None:
    row = market.installations[0]
    bound = Principal(kind=PrincipalKind.APPLICATION, application_id=row.application_id, account_id=row.account_id)
    assert await counter.run("{ viewer { kind } }", caller=bound) == ({"viewer": {"kind": "APPLICATION"}}, [])
    viewer = "{ viewer { application { slug } account { name } installation { id application { slug } } } }"
    assert await counter.run(viewer, caller=bound) == (
        {
            "viewer": {
                "application": {"slug": "application-0"},
                "account": {"name": "Company 0"},
                "installation": {"id": str(row.id), "application": {"slug": "application-0"}},
            }
        },
        [
            "select_accounts_by_id",
            "select_applications_by_id",
            "select_applications_by_id",
            "select_installations_by_pair",
            "select_installations_by_pair",
        ],
    )


@pytest.mark.parametrize("kind", ["Installation", "Application", "Account"])
async def test_node_takes_one_statement_for_each_type_tried(market: Marketplace, counter: Counter, kind: str) -> None:
    row = market.installations[0]
    kinds = {"Installation": row.id, "Application": row.application_id, "Account": row.account_id}
    found, cost = await counter.run("query ($id: ID!) { node(id: $id) { __typename id } }", id=str(kinds[kind]))
    assert found == {"node": {"__typename": kind, "id": str(kinds[kind])}}
    assert len(cost) == list(kinds).index(kind) + 1


async def test_page_of_events_takes_the_same_statements_at_any_size(served: Served, counter: Counter) -> None:
    application = await served.application()
    for number in range(100):
        account = await served.account(f"Company {number}")
        await authorize_installation(
            served.services, PLATFORM, application_id=application.id, account_id=account.id, expires_at=None
        )
    query = """query ($first: Int) {
      installationEvents(first: $first) {
        nodes { id installation { id application { name } account { name } history { nodes { id } } } }
      }
    }"""
    for size in SIZES:
        data, statements = await counter.run(query, first=size)
        assert len(data["installationEvents"]["nodes"]) == size
        assert statements == [
            "select_event_page",
            "select_event_page",
            "select_installations_by_id",
        ]


@pytest.mark.usefixtures("market")
async def test_empty_page_of_events_takes_no_statement(counter: Counter) -> None:
    page = "{ nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }"
    aliases = " ".join(f"a{number}: installationEvents(first: 0) {page}" for number in range(30))
    data, statements = await counter.run(f"{{ {aliases} }}")
    nowhere = {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None}
    assert (list(data.values()), statements) == ([{"nodes": [], "pageInfo": nowhere}] * 30, [])
    data, statements = await counter.run(f"{{ installations(first: 5) {{ nodes {{ history(first: 0) {page} }} }} }}")
    assert data["installations"]["nodes"] == [{"history": {"nodes": [], "pageInfo": nowhere}}] * 5
    assert statements == ["select_installation_page"]


async def test_pages_of_several_accounts_share_a_statement_and_its_time(
    market: Marketplace, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = """query ($account: ID!) {
      installations(filter: {accountIds: [$account]}, first: 3) { nodes { account { id } } pageInfo { hasNextPage } }
    }"""
    meters: list[StatementMeter] = []

    def make_meter() -> StatementMeter:
        meters.append(StatementMeter())
        return meters[-1]

    monkeypatch.setattr(pipeline, "StatementMeter", make_meter)

    async def page(account_id: UUID, caller: Principal) -> Any:
        return (await counter.run(document, caller=caller, account=str(account_id)))[0]["installations"]

    accounts = [each.id for each in market.accounts]
    own = Principal(kind=PrincipalKind.ACCOUNT, account_id=accounts[0], label="own")
    callers = [PLATFORM] * len(accounts)
    pages = await asyncio.gather(*map(page, accounts, callers), page(accounts[0], own), page(accounts[1], own))
    shared = counter.statements.count("select_installation_page")
    for account_id, found in zip([*accounts, accounts[0]], pages, strict=False):
        assert [node["account"]["id"] for node in found["nodes"]] == [str(account_id)] * 3
        assert found["pageInfo"] == {"hasNextPage": True}
    assert pages[-1] == {"nodes": [], "pageInfo": {"hasNextPage": False}}
    assert shared <= 2
    assert len(meters) == len(pages)
    assert all(meter.seconds > 0 for meter in meters[:-1])


COUNTED = """query ($one: InstallationFilter, $other: InstallationFilter) {
  installations(first: 0, filter: $one) { totalCount }
  again: installations(first: 1, filter: $one) { totalCount }
  other: installations(first: 0, filter: $other) { totalCount }
}"""


async def test_equal_lists_of_an_operation_are_counted_by_one_statement(counter: Counter) -> None:
    _, statements = await counter.run(COUNTED, one={"statuses": ["ACTIVATED"]}, other={"statuses": ["INACTIVE"]})
    assert statements.count("count_installations") == 2


async def test_what_a_count_finds_by_metadata_is_owed_afterwards(market: Marketplace, counter: Counter) -> None:
    """And nothing for what it does not find, or finds by an index alone."""
    costly = Documents(build_schema(), costs=CostModel(operation=10**8))  # more than statements take by the clock
    quotas: dict[PrincipalKind | None, Quota] = {PLATFORM.kind: Quota(operation=10**9, minute=10**12)}
    limited = OperationPipeline(costly, make_context=counter.pipeline._make_context, quotas=quotas)
    rate, owed = limited._rate_limiter.of(PLATFORM), []
    assert rate is not None
    filters: list[dict[str, Any]] = [{"metadata": {}}, {"metadata": {"none": "such"}}, {"statuses": ["ACTIVATED"]}]
    for one in filters:
        await Counter(pipeline=limited).run(COUNTED, one=one, other={"statuses": ["INACTIVE"]})
        owed.append(rate.owed)
        rate.owed = 0
    assert owed == [3 * len(market.installations), 0, 0]
