"""Lists of events over HTTP: pages in both directions, filters and their limits; subscriptions with the same filter."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from gateway.domain.installations import AuthorizationMethod
from gateway.settings import Settings
from tests.api.conftest import Client, Serve, Served
from tests.api.policy_dataset import create_installation_with_history

PAGE = """edges { cursor node { id } } nodes { id version __typename }
pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"""
ARGUMENTS = "filter: $filter, direction: $direction, first: $first, after: $after, last: $last, before: $before"
DECLARED = """$filter: InstallationEventFilter, $direction: OrderDirection,
$first: Int, $after: String, $last: Int, $before: String"""
LISTS = {
    "installationEvents": f"query ({DECLARED}) {{ installationEvents({ARGUMENTS}) {{ {PAGE} }} }}",
    "history": f"query ({DECLARED}) {{ installations(first: 1) {{ nodes {{ history({ARGUMENTS}) {{ {PAGE} }} }} }} }}",
}


@pytest.fixture(scope="module")
async def platform(module_gateway: Served) -> Client:
    """Return a client of a gateway whose one installation has an event of every kind."""
    served = module_gateway
    application = await served.application(method=AuthorizationMethod.API_KEY)
    client, account = await served.platform(), await served.account()
    pair = {"applicationId": str(application.id), "accountId": str(account.id)}
    await create_installation_with_history(client, pair, application=application)
    return client


async def page_of(client: Client, query: str, **asked: Any) -> dict[str, Any]:
    (answer,) = (await client.data(query, **asked)).values()
    page: dict[str, Any] = answer["nodes"][0]["history"] if "pageInfo" not in answer else answer
    ids = [node["id"] for node in page["nodes"]]
    assert page["edges"] == [{"cursor": each, "node": {"id": each}} for each in ids]
    edges = (page["pageInfo"]["startCursor"], page["pageInfo"]["endCursor"])
    assert edges == ((ids[0], ids[-1]) if ids else (None, None))
    return page


async def walked(client: Client, query: str, *, forward: bool, size: int, **asked: Any) -> AsyncIterator[list[int]]:
    """Follow the pages to the end; yield the versions of one after the other."""
    cursor: str | None = None
    while True:
        sizes = {"first": size, "after": cursor} if forward else {"last": size, "before": cursor}
        page = await page_of(client, query, **sizes, **asked)
        info, more = page["pageInfo"], ("hasNextPage", "hasPreviousPage")
        assert info[more[forward]] is (cursor is not None)
        yield [node["version"] for node in page["nodes"]]
        cursor = info["endCursor" if forward else "startCursor"]
        if not info[more[not forward]]:
            return


@pytest.mark.parametrize("name", LISTS)
async def test_pages_go_both_ways_in_both_directions(platform: Client, name: str) -> None:
    whole = [node["version"] for node in (await page_of(platform, LISTS[name]))["nodes"]]
    assert whole == list(range(1, 9))
    for direction, forward, size in itertools.product(("ASC", "DESC"), (True, False), (1, 3, 4, 8, 100)):
        pages = [page async for page in walked(platform, LISTS[name], forward=forward, size=size, direction=direction)]
        joined = list(itertools.chain.from_iterable(pages if forward else reversed(pages)))
        assert joined == (whole if direction == "ASC" else whole[::-1])
        assert [len(page) for page in pages] == [size] * (8 // size) + [8 % size] * (8 % size > 0)


@pytest.mark.parametrize("name", LISTS)
async def test_filters_narrow_lists(platform: Client, name: str) -> None:
    nodes = (await page_of(platform, LISTS[name]))["nodes"]
    kinds = {node["version"]: node["__typename"] for node in nodes}

    async def versions(direction: str = "ASC", **asked: Any) -> list[int]:
        page = await page_of(platform, LISTS[name], filter=asked, direction=direction)
        return [node["version"] for node in page["nodes"]]

    status_changes = [version for version, kind in kinds.items() if kind == "InstallationStatusChanged"]
    assert await versions(kinds=["STATUS_CHANGED"]) == status_changes
    assert await versions("DESC", kinds=["STATUS_CHANGED", "METADATA_UPDATED"]) == sorted(
        [*status_changes, *(version for version, kind in kinds.items() if kind == "InstallationMetadataUpdated")],
        reverse=True,
    )
    assert await versions(to=["AUTHORIZED"]) == [1]
    assert await versions("DESC", to=["ACTIVATED", "PENDING_INTEGRATION"]) == status_changes[:0:-1]
    assert await versions(to=["ACTIVATED"], kinds=["METADATA_UPDATED"]) == []
    assert await versions(installationIds=[], kinds=["STATUS_CHANGED"]) == []
    assert await versions(applicationIds=[str(uuid4())]) == []
    assert await versions(occurredSince="2199-01-01T00:00:00Z") == []
    assert await versions("DESC", occurredBefore="2199-01-01T00:00:00Z") == list(kinds)[::-1]


@pytest.mark.parametrize(
    ("asked", "argument", "message"),
    [
        ({"kinds": ["STATUS_CHANGED"] * 101}, "kinds", "kinds has at most 100 values, not 101."),
        ({"to": ["ACTIVATED"] * 101}, "to", "to has at most 100 values, not 101."),
        ({"installationIds": ["x"] * 101}, "installationIds", "installationIds has at most 100 values, not 101."),
        (
            {"applicationIds": [str(uuid4()) for _ in range(11)], "accountIds": [str(uuid4()) for _ in range(10)]},
            "accountIds",
            "Filter by at most 100 pairs of application and account, not 110.",
        ),
        (
            {"accountIds": ["x"]},
            "accountIds",
            "accountIds must be a UUID, such as 7d444840-9dc0-11d1-b245-5ffdce74fad2.",
        ),
    ],
)
async def test_filters_that_are_too_long_or_wrong_are_refused(
    platform: Client, asked: dict[str, Any], argument: str, message: str
) -> None:
    for query in LISTS.values():
        (error,) = await platform.errors(query, filter=asked)
        assert error["message"] == message
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": argument}


@pytest.mark.parametrize("name", ["installationEvents", "installationStatusChanged"])
async def test_subscriptions_take_the_filter_of_the_lists(platform: Client, name: str) -> None:
    query = f"""subscription ($filter: InstallationEventFilter, $after: String) {{
      {name}(filter: $filter, after: $after) {{ version }}
    }}"""
    nodes = (await page_of(platform, LISTS["installationEvents"]))["nodes"]
    asked: dict[str, Any]
    for asked in ({"to": ["ACTIVATED", "PENDING_INTEGRATION"]}, {"kinds": ["METADATA_UPDATED", "STATUS_CHANGED"]}):
        page = await page_of(platform, LISTS["installationEvents"], filter=asked)
        expected = [
            node["version"]
            for node in page["nodes"][asked.get("kinds") is not None :]
            if name == "installationEvents" or node["__typename"] == "InstallationStatusChanged"
        ]
        async with platform.subscription(query, filter=asked, after=nodes[0]["id"]) as events:
            received = [event[name]["version"] for event in await events.take(len(expected))]
        assert received == expected


async def test_subscription_counts_as_many_as_it_filters_by_ids(serve: Serve) -> None:
    """An index of the feed has each of the ids, and reading the backlog by 100 of them reads 100 ranges."""
    query = "subscription ($filter: InstallationEventFilter) { installationEvents(filter: $filter) { id } }"

    def of_ids(count: int) -> dict[str, Any]:
        return {"filter": {"accountIds": [str(uuid4()) for _ in range(count)]}}

    async with serve(Settings(max_caller_subscriptions=10)) as served:
        client = await served.of_account(await served.account())
        async with client.subscription(query, **of_ids(9)) as first, client.subscription(query) as second:
            payload = {"query": query, "variables": of_ids(2)}
            await second.socket.send(json.dumps({"type": "subscribe", "id": "2", "payload": payload}))
            refusal = json.loads(await second.socket.recv())
            assert refusal["payload"][0]["message"] == "At most 10 subscriptions may be open at a time."
            await first.socket.send(json.dumps({"type": "complete", "id": "1"}))
            await first.socket.close()
            for number in itertools.count(3):
                payload["variables"] = of_ids(9)
                await second.socket.send(json.dumps({"type": "subscribe", "id": str(number), "payload": payload}))
                try:
                    async with asyncio.timeout(0.5):
                        await second.socket.recv()
                except TimeoutError:
                    break  # it is open, and has no events
