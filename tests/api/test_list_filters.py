"""Filters of lists, alone and combined, within the caller's bounds; and the counts of lists."""

import itertools
import json
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any

import pytest

from gateway.domain.installations import AuthorizationMethod, Installation, InstallationStatus
from gateway.settings import Settings
from gateway.storage.database import connection as held_connection
from gateway.usecases.installation_lists import MOST_FOUND_BY_NAME
from gateway.usecases.marketplace import update_application_details
from tests.api.conftest import PLATFORM, Client, Serve, Served
from tests.api.marketplace_rows import BEGINNING, FAR_OFF, Marketplace, example, place, populate
from tests.api.test_connections import walk

FILTERED = """query ($filter: InstallationFilter) {
  installations(filter: $filter, first: 100) { nodes { id } totalCount statusCounts { status count } }
}"""
APPLICATIONS = """query ($filter: ApplicationFilter) {
  applications(filter: $filter, first: 100) { nodes { slug } totalCount }
}"""
CHANGED = BEGINNING + timedelta(days=1, minutes=3)
LATER = CHANGED + timedelta(minutes=1)
ENDS = FAR_OFF + timedelta(hours=2)
REASONS = {"SYNC_STARTED", "NOT_ENTITLED"}


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


async def test_each_filter_narrows_and_so_do_all_of_them_together(serve: Serve) -> None:
    async with serve(Settings(rates=dict.fromkeys(("platform", "application", "account"), 0))) as served:
        await assert_filters_narrow(served, await populate(served, applications=4, accounts=16))


async def assert_filters_narrow(served: Served, market: Marketplace) -> None:
    """Compare each filter, each two of them, and all of them together with the rows in Python."""
    application, account = market.application, market.account
    applications = [one.id for one in market.applications[:3]]
    accounts = [one.id for one in (*market.accounts[:2], *market.accounts[9:13])]
    names = {one.id: one.name.lower() for one in market.applications}
    names |= {one.id: one.name.lower() for one in market.accounts}
    filters: list[tuple[dict[str, Any], Any]] = [
        ({"applicationIds": [str(one) for one in applications]}, lambda row: row.application_id in applications),
        ({"accountIds": [str(one) for one in accounts]}, lambda row: row.account_id in accounts),
        (
            {"statuses": ["AUTHORIZED", "PENDING_INTEGRATION"]},
            lambda row: row.status.value in {"AUTHORIZED", "PENDING_INTEGRATION"},
        ),
        ({"reasons": ["SYNC_STARTED", "NOT_ENTITLED"]}, lambda row: row.status_reason.code.value in REASONS),
        ({"search": "N 1"}, lambda row: "n 1" in names[row.application_id] or "n 1" in names[row.account_id]),
        ({"updatedSince": CHANGED.isoformat()}, lambda row: row.updated_at >= CHANGED),
        ({"updatedBefore": LATER.isoformat()}, lambda row: row.updated_at < LATER),
        (
            {"authorizationExpiresBefore": ENDS.isoformat()},
            lambda row: row.authorization_expires_at is not None and row.authorization_expires_at < ENDS,
        ),
        ({"metadata": {"tier": 1}}, lambda row: json.loads(row.metadata)["tier"] == 1),
    ]
    callers: list[tuple[Client, Any]] = [
        (await served.platform(), lambda _: True),
        (await served.of_application(application), lambda row: row.application_id == application.id),
        (
            await served.of_application(application, account=account),
            lambda row: (row.application_id, row.account_id) == (application.id, account.id),
        ),
        (await served.of_account(account), lambda row: row.account_id == account.id),
    ]
    for client, sees in callers:
        usable = filters if client is not callers[-1][0] else filters[:-1]
        sizes = (0, 1, 2, 9) if client is callers[0][0] else (0, 1, len(usable))
        for some in itertools.chain.from_iterable(itertools.combinations(usable, size) for size in sizes):
            given = {name: value for one, _ in some for name, value in one.items()}
            expected = [row for row in market.installations if sees(row) and all(test(row) for _, test in some)]
            await assert_found(client, given, expected)


async def test_an_account_filters_its_own(served: Served, market: Marketplace) -> None:
    user, own = await served.of_account(market.account), market.account.id
    rows = [row for row in market.installations if row.account_id == own]
    await assert_found(user, None, rows)
    await assert_found(user, {"accountIds": [str(market.accounts[1].id)]}, [])
    await assert_found(user, {"accountIds": [str(own)], "statuses": ["ACTIVATED"]}, [rows[1]])


async def test_empty_list_matches_nothing(served: Served, market: Marketplace) -> None:
    platform = await served.platform()
    for part in ("applicationIds", "accountIds", "statuses", "reasons"):
        await assert_found(platform, {part: []}, [])
        await assert_found(platform, {part: None}, market.installations)
    await assert_found(platform, {"statuses": "ACTIVATED"}, market.installations[1::4])
    await assert_found(platform, {"search": ""}, market.installations)


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
    assert by_variable["extensions"] == {"code": "BAD_USER_INPUT", "argument": "filter"}
    assert inline["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}
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
    assert error["message"].startswith("No metadata can contain this. ")
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
        assert error["message"].startswith(f"{part}: Has ")
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
    lookup = "query ($slug: String!) { application(by: {slug: $slug}) { id } }"
    assert await platform.data(lookup, slug=text) == {"application": None}


NAMED = """query ($first: Int, $after: String, $last: Int, $before: String) {
  LIST(first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { id } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""


async def test_applications_are_paged_by_name_in_both_directions(served: Served) -> None:
    names = ["Alpha", "alpha", "Beta", "Ärger", "beta", "Beta", "Zeta", "10", "9", "_", "Beta"]
    for number, name in enumerate(names):
        await offer(served, f"number-{number}", name=name)
    platform = await served.platform()
    async with held_connection(served.services.database) as held:
        rows = await held.fetch("select id from applications order by name, id")
    expected = [str(row["id"]) for row in rows]
    for forward, size in ((True, 2), (False, 3)):
        assert await walk(platform, NAMED.replace("LIST", "applications"), forward=forward, size=size) == expected


async def test_accounts_are_paged_by_name_in_both_directions(served: Served) -> None:
    for name in ("Alpha", "alpha", "Beta", "Ärger", "beta", "Beta", "Zeta", "10", "9", "_", "Beta"):
        await served.account(name)
    async with held_connection(served.services.database) as held:
        expected = [str(row["id"]) for row in await held.fetch("select id from accounts order by name, id")]
    for forward, size in ((True, 2), (False, 3)):
        found = await walk(await served.platform(), NAMED.replace("LIST", "accounts"), forward=forward, size=size)
        assert found == expected


ACCOUNTS = """query ($filter: AccountFilter) { accounts(filter: $filter, first: 100) { nodes { name } totalCount } }"""


async def test_accounts_are_searched_by_every_part_of_their_names(served: Served) -> None:
    names = ["100% Bäckerei Ölmühle", "ΑΘΗΝΑ Books", r"a_b\c", "AbcAbc", "x", "Ab", "💶💶💶", "It's"]
    for name in names:
        await served.account(name)
    platform = await served.platform()
    parts = {name[at : at + size] for name in names for size in (1, 3, 4) for at in range(len(name))}
    for part in [*parts, "zz", "' or true --", "%", "", "abcabcabc", "abd"]:
        found = (await platform.data(ACCOUNTS, filter={"search": part}))["accounts"]
        expected = sorted(name for name in names if part.lower() in name.lower())
        assert sorted(node["name"] for node in found["nodes"]) == expected, part
        assert found["totalCount"] == len(expected)


async def test_search_that_finds_too_many_names_is_refused(served: Served) -> None:
    async with held_connection(served.services.database) as held:
        await held.execute(
            "insert into accounts select gen_random_uuid(), 'Many ' || n from generate_series(1, $1::int) n",
            MOST_FOUND_BY_NAME,
        )
    platform, application = await served.platform(), await served.application("many")
    itself = await served.of_application(application)
    assert (await platform.data(FILTERED, filter={"search": "many"}))["installations"]["totalCount"] == 0
    await served.account("One too many")
    (error,) = await platform.errors(FILTERED, filter={"search": "many"})
    assert error["message"] == ("More than 500 applications or accounts have such a name. Search for more of it.")
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": "search"}
    assert (await itself.data(FILTERED, filter={"search": "many"}))["installations"]["totalCount"] == 0
