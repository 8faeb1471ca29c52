"""Filters of lists, alone and combined, within the caller's bounds; and the counts of lists."""

import itertools
import json
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest

from gateway.domain.installations import AuthorizationMethod, Installation, InstallationStatus
from gateway.storage.database import connection as held_connection
from gateway.usecases.marketplace import update_application_details
from tests.api.conftest import PLATFORM, Client, Served
from tests.api.marketplace_rows import BEGINNING, Marketplace, example, place, populate

FILTERED = """query ($filter: InstallationFilter) {
  installations(filter: $filter, first: 100) { nodes { id } totalCount statusCounts { status count } }
}"""
APPLICATIONS = """query ($filter: ApplicationFilter) {
  applications(filter: $filter, first: 100) { nodes { slug } totalCount }
}"""
CHANGED = BEGINNING + timedelta(days=1, minutes=3)


@pytest.fixture
async def market(served: Served) -> Marketplace:
    return await populate(served, applications=4, accounts=16)


async def assert_found(client: Client, given: Any, expected: list[Installation]) -> None:
    """Check the rows, and that the counts are of just these."""
    connection = (await client.data(FILTERED, filter=given))["installations"]
    newest_first = sorted(expected, key=lambda row: (row.created_at, row.id), reverse=True)
    assert [node["id"] for node in connection["nodes"]] == [str(row.id) for row in newest_first], given
    assert connection["totalCount"] == len(expected)
    assert connection["statusCounts"] == [
        {"status": status.value, "count": sum(row.status is status for row in expected)}
        for status in InstallationStatus
    ]


async def test_each_filter_narrows_and_so_do_all_of_them_together(served: Served, market: Marketplace) -> None:
    application, account = market.application, market.account
    filters: list[tuple[dict[str, Any], Any]] = [
        ({"applicationId": str(application.id)}, lambda row: row.application_id == application.id),
        ({"accountId": str(account.id)}, lambda row: row.account_id == account.id),
        (
            {"status": ["AUTHORIZED", "PENDING_INTEGRATION"]},
            lambda row: row.status.value in {"AUTHORIZED", "PENDING_INTEGRATION"},
        ),
        ({"updatedSince": CHANGED.isoformat()}, lambda row: row.updated_at >= CHANGED),
        ({"metadata": {"tier": 1}}, lambda row: json.loads(row.metadata)["tier"] == 1),
    ]
    callers: list[tuple[Client, Any]] = [
        (await served.platform(), lambda _: True),
        (await served.of_application(application), lambda row: row.application_id == application.id),
        (
            await served.of_application(application, account=account),
            lambda row: (row.application_id, row.account_id) == (application.id, account.id),
        ),
    ]
    for client, sees in callers:
        for some in itertools.chain.from_iterable(itertools.combinations(filters, size) for size in range(6)):
            given = {name: value for one, _ in some for name, value in one.items()}
            expected = [row for row in market.installations if sees(row) and all(test(row) for _, test in some)]
            await assert_found(client, given, expected)


async def test_an_account_filters_its_own(served: Served, market: Marketplace) -> None:
    user, own = await served.of_account(market.account), market.account.id
    rows = [row for row in market.installations if row.account_id == own]
    await assert_found(user, None, rows)
    await assert_found(user, {"accountId": str(market.accounts[1].id)}, [])
    await assert_found(user, {"accountId": str(own), "status": ["ACTIVATED"]}, [rows[1]])


async def test_empty_list_of_statuses_matches_nothing(served: Served, market: Marketplace) -> None:
    platform = await served.platform()
    await assert_found(platform, {"status": []}, [])
    await assert_found(platform, {"status": None}, market.installations)
    await assert_found(platform, {"status": "ACTIVATED"}, market.installations[1::4])


async def test_updated_since_includes_the_instant_in_any_time_zone(served: Served, market: Marketplace) -> None:
    platform = await served.platform()
    expected = [row for row in market.installations if row.updated_at >= CHANGED]
    elsewhere = CHANGED.astimezone(timezone(timedelta(hours=-5, minutes=-30)))
    for since in (elsewhere.isoformat(), CHANGED.isoformat().replace("+00:00", "Z")):
        await assert_found(platform, {"updatedSince": since}, expected)


NO_TIMES = ["2026-01-02T00:00:00", "2026-01-02", "yesterday", "", 1767312000, "2026-13-01T00:00:00Z"]


@pytest.mark.parametrize("since", [*NO_TIMES, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_time_without_a_zone_is_refused(served: Served, since: Any) -> None:
    platform = await served.platform()
    (by_variable,) = await platform.errors(FILTERED, filter={"updatedSince": since})
    (inline,) = await platform.errors(
        f"{{ installations(filter: {{updatedSince: {json.dumps(since)}}}) {{ totalCount }} }}"
    )
    assert by_variable["extensions"] == inline["extensions"] == {"code": "BAD_USER_INPUT"}
    assert "DateTime" in by_variable["message"]
    assert "DateTime" in inline["message"]


async def test_metadata_filter_matches_contained_values(served: Served) -> None:
    application, platform = await served.application(), await served.platform()
    contents: list[Any] = [
        {},
        {"a": 1, "list": [1, 2, {"deep": True}]},
        {"a": 1.0, "big": 12345678901234567890123},
        {"a": "1", "": {"ключ": None}},
    ]
    rows = [
        replace(example(application, await served.account(), number=number), metadata=json.dumps(content))
        for number, content in enumerate(contents)
    ]
    await place(served, *rows)
    for wanted, found in [
        ({}, rows),
        ({"a": 1}, rows[1:3]),
        ({"a": "1"}, rows[3:]),
        ({"list": [{"deep": True}]}, rows[1:2]),
        ({"list": [2]}, rows[1:2]),
        ({"big": 12345678901234567890123}, rows[2:3]),
        ({"big": 12345678901234567890124}, []),
        ({"": {"ключ": None}}, rows[3:]),
        ({"missing": None}, []),
    ]:
        await assert_found(platform, {"metadata": wanted}, found)


@pytest.mark.parametrize(
    "wanted", [[], "text", 1, {"a": "\0"}, {"a": "\ud800"}, {"k" * 41: 1}, {"a": [[[[[[[[1]]]]]]]]}]
)
async def test_metadata_filter_with_invalid_metadata_is_refused(served: Served, wanted: Any) -> None:
    (error,) = await (await served.platform()).errors(FILTERED, filter={"metadata": wanted})
    assert error["message"].startswith("No metadata can contain this: ")
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": "metadata"}


async def test_an_accounts_user_cannot_filter_by_metadata(served: Served, market: Marketplace) -> None:
    user = await served.of_account(market.account)
    assert await user.code(FILTERED, filter={"metadata": {"tier": 1}}) == "FORBIDDEN"
    counted = "{ installations(first: 0, filter: {metadata: {}}) { totalCount } }"
    assert await user.code(counted) == "FORBIDDEN"


async def offer(served: Served, slug: str, **changes: Any) -> None:
    method = changes.pop("method", AuthorizationMethod.OAUTH)
    application = await served.application(slug, method=method, listed=changes.pop("listed", True))
    await update_application_details(served.services, PLATFORM, application_id=application.id, changes=changes)


async def slugs(client: Client, **given: Any) -> list[str]:
    connection = (await client.data(APPLICATIONS, filter=given))["applications"]
    found = [node["slug"] for node in connection["nodes"]]
    assert connection["totalCount"] == len(found)
    return found


async def test_the_marketplace_is_searched_and_narrowed(served: Served) -> None:
    await offer(served, "percent", name="100% Books", description="No under_score here.", categories=("books",))
    await offer(served, "plain", name="100 Books", description="Ünïcode & more", method=AuthorizationMethod.API_KEY)
    await offer(served, "slashed", name=r"C:\Books", description="underXscore", categories=("books", "hr"))
    await offer(served, "hidden", name="Hidden Books", description="", listed=False, categories=("hr",))
    platform = await served.platform()
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["plain", "percent", "slashed", "hidden"]),
        ({"search": ""}, ["plain", "percent", "slashed", "hidden"]),
        ({"search": "bOOks"}, ["plain", "percent", "slashed", "hidden"]),
        ({"search": "100%"}, ["percent"]),
        ({"search": "%"}, ["percent"]),
        ({"search": "r_s"}, ["percent"]),
        ({"search": "\\"}, ["slashed"]),
        ({"search": ":\\B"}, ["slashed"]),
        ({"search": "ünï"}, ["plain"]),
        ({"search": "' or true --"}, []),
        ({"search": "lashe"}, ["slashed"]),
        ({"category": "hr"}, ["slashed", "hidden"]),
        ({"category": "HR"}, []),
        ({"authorizationMethod": "API_KEY"}, ["plain"]),
        ({"listed": False}, ["hidden"]),
        ({"listed": True, "category": "hr"}, ["slashed"]),
        (
            {"search": "book", "category": "books", "authorizationMethod": "OAUTH", "listed": True},
            ["percent", "slashed"],
        ),
    ]
    for given, found in cases:
        assert sorted(await slugs(platform, **given)) == sorted(found), given


@pytest.mark.parametrize("text", ["\0", "a\ud800", "x" * 201])
async def test_search_for_an_impossible_text_finds_nothing(served: Served, text: str) -> None:
    platform = await served.platform()
    for part in ("search", "category"):
        (error,) = await platform.errors(APPLICATIONS, filter={part: text})
        assert error["message"].startswith(f"{part} has ")
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
    lookup = "query ($slug: String!) { application(by: {slug: $slug}) { id } }"
    assert await platform.data(lookup, slug=text) == {"application": None}


async def test_applications_are_paged_by_name_in_both_directions(served: Served) -> None:
    names = ["Alpha", "alpha", "Beta", "Ärger", "beta", "Beta", "Zeta", "10", "9", "_", "Beta"]
    for number, name in enumerate(names):
        await offer(served, f"number-{number}", name=name)
    platform = await served.platform()
    async with held_connection(served.services.database) as held:
        rows = await held.fetch("select slug from applications order by name, id")
    expected = [row["slug"] for row in rows]
    query = """query ($first: Int, $after: String, $last: Int, $before: String) {
      applications(first: $first, after: $after, last: $last, before: $before) {
        edges { cursor node { slug } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }"""
    forward: list[str] = []
    asked: dict[str, Any] = {"first": 2}
    while True:
        page = (await platform.data(query, **asked))["applications"]
        forward += [edge["node"]["slug"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        asked["after"] = page["pageInfo"]["endCursor"]
    backward: list[str] = []
    asked = {"last": 3}
    while True:
        page = (await platform.data(query, **asked))["applications"]
        backward = [edge["node"]["slug"] for edge in page["edges"]] + backward
        if not page["pageInfo"]["hasPreviousPage"]:
            break
        asked["before"] = page["pageInfo"]["startCursor"]
    assert forward == backward == expected
