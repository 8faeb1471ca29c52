"""Relay connections over HTTP: pages by keyset, in both directions, while rows come, change and go."""

import itertools
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from gateway.domain.installations import Installation
from gateway.settings import Settings
from gateway.storage.database import transaction
from gateway.storage.installations import update_installation
from gateway.storage.queries import queries
from tests.api.conftest import Client, Serve, Served
from tests.api.marketplace_rows import BEGINNING, Marketplace, example, place, populate

PAGE = """query (
  $filter: InstallationFilter, $order: InstallationOrder, $first: Int, $after: String, $last: Int, $before: String
) {
  installations(filter: $filter, orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { id } } nodes { id }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
OF_ONE = """query ($id: ID!, $order: InstallationOrder, $first: Int, $after: String, $last: Int, $before: String) {
  node(id: $id) {
    ... on Application {
      installations(orderBy: $order, first: $first, after: $after, last: $last, before: $before) { ...Page }
    }
    ... on Account {
      installations(orderBy: $order, first: $first, after: $after, last: $last, before: $before) { ...Page }
    }
  }
}
fragment Page on InstallationConnection {
  edges { cursor node { id } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
}"""
ORDERS = [(field, direction) for field in ("CREATED_AT", "UPDATED_AT") for direction in ("ASC", "DESC")]


@pytest.fixture
async def market(served: Served) -> Marketplace:
    return await populate(served, applications=5, accounts=52)


def ordered(installations: list[Installation], *, field: str, direction: str) -> list[str]:
    def key(row: Installation) -> Any:
        return (row.created_at if field == "CREATED_AT" else row.updated_at, row.id)

    return [str(row.id) for row in sorted(installations, key=key, reverse=direction == "DESC")]


async def walked(
    client: Client, query: str = PAGE, *, forward: bool, size: int, **asked: Any
) -> AsyncIterator[list[str]]:
    """Follow the pages to the end, each of them checked by itself; yield the ids of one after the other."""
    cursor: str | None = None
    while True:
        sizes = {"first": size, "after": cursor} if forward else {"last": size, "before": cursor}
        data = await client.data(query, **sizes, **asked)
        (page,) = (data.get("node") or data).values()
        ids, info = [edge["node"]["id"] for edge in page["edges"]], page["pageInfo"]
        cursors = [edge["cursor"] for edge in page["edges"]]
        assert [node["id"] for node in page["nodes"]] == ids
        assert (info["startCursor"], info["endCursor"]) == ((cursors[0], cursors[-1]) if cursors else (None, None))
        assert info["hasPreviousPage" if forward else "hasNextPage"] is (cursor is not None)
        yield ids
        if not info["hasNextPage" if forward else "hasPreviousPage"]:
            return
        assert len(ids) == size
        cursor = cursors[-1] if forward else cursors[0]


async def walk(client: Client, query: str = PAGE, *, forward: bool, size: int, **asked: Any) -> list[str]:
    """Return all ids in the list's own order."""
    pages = [page async for page in walked(client, query, forward=forward, size=size, **asked)]
    return list(itertools.chain.from_iterable(pages if forward else reversed(pages)))


async def test_pages_cover_the_whole_list_in_both_directions(served: Served, market: Marketplace) -> None:
    platform = await served.platform()
    for field, direction in ORDERS:
        expected = ordered(market.installations, field=field, direction=direction)
        order = {"field": field, "direction": direction}
        for forward, size in [(True, 37), (False, 37), (True, 65), (False, 100)]:
            assert await walk(platform, forward=forward, size=size, order=order) == expected, (order, forward, size)


async def test_pages_of_one_application_and_of_one_account(served: Served, market: Marketplace) -> None:
    platform = await served.platform()
    application, account = market.application.id, market.account.id
    own = {
        application: [row for row in market.installations if row.application_id == application],
        account: [row for row in market.installations if row.account_id == account],
    }
    for (parent, rows), (field, direction), forward in itertools.product(own.items(), ORDERS, (True, False)):
        found = await walk(
            platform, OF_ONE, forward=forward, size=13,
            id=str(parent), order={"field": field, "direction": direction},
        )  # fmt: skip
        assert found == ordered(rows, field=field, direction=direction)


async def test_pages_of_filtered_lists_cover_them_in_both_directions(serve: Serve) -> None:
    """Of several statuses, applications and accounts, and of names: these merge several ranges of an index."""
    async with serve(Settings(rates={"platform": 0})) as served:
        market = await populate(served, applications=5, accounts=52)
        names = {one.id: one.name for one in market.applications} | {one.id: one.name for one in market.accounts}
        applications, accounts = [one.id for one in market.applications[1:4]], [one.id for one in market.accounts[::4]]
        filters: list[tuple[dict[str, Any], Callable[[Installation], bool]]] = [
            ({"statuses": ["AUTHORIZED", "INACTIVE"]}, lambda row: row.status.value in {"AUTHORIZED", "INACTIVE"}),
            ({"applicationIds": [*map(str, applications)]}, lambda row: row.application_id in applications),
            ({"accountIds": [*map(str, accounts)]}, lambda row: row.account_id in accounts),
            ({"search": " 3"}, lambda row: " 3" in names[row.application_id] or " 3" in names[row.account_id]),
            (
                {"search": " 3", "applicationIds": [*map(str, applications)], "reasons": ["NOT_ENTITLED"]},
                lambda row: (
                    row.application_id in applications
                    and row.status_reason.code.value == "NOT_ENTITLED"
                    and (" 3" in names[row.application_id] or " 3" in names[row.account_id])
                ),
            ),
        ]
        platform = await served.platform()
        for (given, matches), (field, direction), forward in itertools.product(filters, ORDERS[1:3], (True, False)):
            order = {"field": field, "direction": direction}
            rows = [row for row in market.installations if matches(row)]
            found = await walk(platform, forward=forward, size=47, order=order, filter=given)
            assert found == ordered(rows, field=field, direction=direction), (given, order, forward)


async def test_nested_lists_are_searched_for_all_their_parents(served: Served, market: Marketplace) -> None:
    query = """{
      applications { nodes { name installations(filter: {search: " 3"}, first: 100) {
        totalCount nodes { account { name } }
      } } }
      accounts(first: 100) { nodes { name installations(filter: {search: " 3"}) {
        totalCount nodes { application { name } }
      } } }
    }"""
    data = await (await served.platform()).data(query)
    accounts, applications = [one.name for one in market.accounts], [one.name for one in market.applications]
    for parents, others, end in (("applications", accounts, "account"), ("accounts", applications, "application")):
        for parent in data[parents]["nodes"]:
            expected = [name for name in others if " 3" in parent["name"] or " 3" in name]
            assert sorted(node[end]["name"] for node in parent["installations"]["nodes"]) == sorted(expected)
            assert parent["installations"]["totalCount"] == len(expected)


async def test_nested_list_is_of_its_parent_also_where_the_filter_names_others(
    served: Served, market: Marketplace
) -> None:
    query = """query ($filter: InstallationFilter) {
      applications { nodes { id installations(filter: $filter) { totalCount } } }
      accounts(first: 100) { nodes { id installations(filter: $filter) { totalCount } } }
    }"""
    application, account = str(market.application.id), str(market.account.id)
    platform = await served.platform()
    for given, of_each_account in (({"applicationIds": [application]}, 1), ({"accountIds": [account]}, None)):
        data = await platform.data(query, filter=given)
        for parent in data["applications"]["nodes"]:
            count = parent["installations"]["totalCount"]
            assert count == (len(market.accounts) * (parent["id"] == application) if of_each_account else 1)
        for parent in data["accounts"]["nodes"]:
            count = parent["installations"]["totalCount"]
            assert count == (of_each_account or len(market.applications) * (parent["id"] == account))


async def test_the_newest_come_first_unless_ordered_otherwise(served: Served, market: Marketplace) -> None:
    newest = ordered(market.installations, field="CREATED_AT", direction="DESC")
    assert await walk(await served.platform(), forward=True, size=100) == newest


async def page_of(client: Client, **asked: Any) -> tuple[list[str], dict[str, Any]]:
    page = (await client.data(PAGE, **asked))["installations"]
    return [node["id"] for node in page["nodes"]], page["pageInfo"]


async def test_a_page_between_two_cursors(served: Served, market: Marketplace) -> None:
    platform = await served.platform()
    expected = ordered(market.installations, field="CREATED_AT", direction="DESC")
    edges = (await platform.data(PAGE, first=100))["installations"]["edges"]
    between: dict[str, Any] = {"after": edges[9]["cursor"], "before": edges[40]["cursor"]}
    for asked, ids, more in [
        ({"first": 10}, expected[10:20], {"hasNextPage": True, "hasPreviousPage": True}),
        ({"first": 30}, expected[10:40], {"hasNextPage": False, "hasPreviousPage": True}),
        ({"last": 10}, expected[30:40], {"hasNextPage": True, "hasPreviousPage": True}),
        ({"last": 30}, expected[10:40], {"hasNextPage": True, "hasPreviousPage": False}),
        ({}, expected[10:30], {"hasNextPage": True, "hasPreviousPage": True}),
        ({"first": 0}, [], {"hasNextPage": True, "hasPreviousPage": True}),
    ]:
        found, info = await page_of(platform, **between, **asked)
        assert (found, {name: info[name] for name in more}) == (ids, more), asked
    nothing = {"after": edges[9]["cursor"], "before": edges[10]["cursor"]}
    assert await page_of(platform, **nothing) == (
        [],
        {"hasNextPage": False, "hasPreviousPage": True, "startCursor": None, "endCursor": None},
    )


async def test_a_page_without_a_size_has_twenty(served: Served, market: Marketplace) -> None:
    platform = await served.platform()
    expected = ordered(market.installations, field="CREATED_AT", direction="DESC")
    found, info = await page_of(platform)
    assert found == expected[:20]
    found, info = await page_of(platform, after=info["endCursor"])
    assert found == expected[20:40]
    found, info = await page_of(platform, before=info["endCursor"])
    assert (found, info["hasNextPage"], info["hasPreviousPage"]) == (expected[19:39], True, True)


async def test_page_of_size_zero_is_empty(served: Served, market: Marketplace) -> None:
    platform = await served.platform()
    empty = {"startCursor": None, "endCursor": None}
    assert market.installations
    assert await page_of(platform, first=0) == ([], {"hasNextPage": True, "hasPreviousPage": False, **empty})
    assert await page_of(platform, last=0) == ([], {"hasNextPage": False, "hasPreviousPage": True, **empty})


async def test_an_empty_list_is_one_empty_page(served: Served) -> None:
    platform = await served.platform()
    for asked in ({"first": 10}, {"last": 10}, {}):
        assert await page_of(platform, **asked) == (
            [],
            {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
        )


@pytest.mark.parametrize("sizes", [{"first": 100}, {"last": 100}])
async def test_page_has_at_most_a_hundred_rows(served: Served, market: Marketplace, sizes: dict[str, int]) -> None:
    found, _ = await page_of(await served.platform(), **sizes)
    assert (len(market.installations), len(found)) == (260, 100)


class Meddler:
    """Changes the marketplace between the pages: some come, some change, some go."""

    def __init__(self, served: Served, market: Marketplace) -> None:
        self.served, self.market = served, market
        self.dice = random.Random(7)
        self.changed: set[UUID] = set()
        self.gone: set[UUID] = set()
        self.rounds = 0

    async def __call__(self) -> None:
        self.rounds += 1
        company = await self.served.account(f"Newcomer {self.rounds}")
        await place(
            self.served,
            *(
                example(application, company, number=self.dice.randrange(35))
                for application in self.market.applications
            ),
        )
        chosen = self.dice.sample(self.market.installations, 20)
        async with transaction(self.served.services.database) as connection:
            for row in chosen[:10]:
                await queries.delete_installation.execute(connection, id=row.id)
            for row in chosen[10:]:
                moved = BEGINNING + timedelta(days=self.dice.randrange(3), minutes=self.dice.randrange(5))
                await update_installation(connection, replace(row, updated_at=moved))
        self.gone |= {row.id for row in chosen[:10]}
        self.changed |= {row.id for row in chosen[10:]}

    def untouched(self, *, moves: bool) -> list[Installation]:
        """Return the ids that existed all the time at one place of the order: a change moves some."""
        touched = self.gone | (self.changed if moves else set())
        return [row for row in self.market.installations if row.id not in touched]


@pytest.mark.parametrize("forward", [True, False], ids=["forward", "backward"])
@pytest.mark.parametrize(("field", "direction"), ORDERS)
async def test_pages_stay_consistent_while_rows_are_inserted_updated_and_deleted(
    served: Served, market: Marketplace, field: str, direction: str, *, forward: bool
) -> None:
    platform, meddle = await served.platform(), Meddler(served, market)
    pages: list[list[str]] = []
    order = {"field": field, "direction": direction}
    async for page in walked(platform, forward=forward, size=40, order=order):
        pages.append(page)
        await meddle()
    seen = list(itertools.chain.from_iterable(pages if forward else reversed(pages)))
    untouched = meddle.untouched(moves=field == "UPDATED_AT")
    expected = ordered(untouched, field=field, direction=direction)
    assert meddle.rounds >= 5
    assert [one for one in seen if one in set(expected)] == expected
    if field == "CREATED_AT":
        assert len(seen) == len(set(seen))


LISTS: dict[str, Callable[[str], str]] = {
    "installations": lambda arguments: f"{{ installations({arguments}) {{ nodes {{ id }} }} }}",
    "applications": lambda arguments: f"{{ applications({arguments}) {{ nodes {{ id }} }} }}",
    "history": lambda arguments: f"{{ installations {{ nodes {{ history({arguments}) {{ nodes {{ id }} }} }} }} }}",
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    ("arguments", "argument", "message"),
    [
        ("first: 101", "first", "first must be from 0 to 100, not 101."),
        ("last: 101", "last", "last must be from 0 to 100, not 101."),
        ("first: -1", "first", "first must be from 0 to 100, not -1."),
        ("last: -1", "last", "last must be from 0 to 100, not -1."),
        ("first: 1, last: 1", "last", "Give either first or last, not both."),
    ],
)
async def test_invalid_page_size_is_refused(
    served: Served, name: str, arguments: str, argument: str, message: str
) -> None:
    await populate(served, applications=1, accounts=1)
    (error,) = await (await served.platform()).errors(LISTS[name](arguments))
    assert error["message"] == message
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": argument}
