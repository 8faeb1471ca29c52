"""Equal subscriptions share payloads, and a replay still shows rows as they are at its time."""

from typing import Any

from tests.api.conftest import Client, Served

QUERY = """subscription ($after: String) {
  installationEvents(after: $after) { version installation { status metadata account { name } } }
}"""
UNSHARED = QUERY.replace("{ version", "{ alone: cursor version")
AUTHORIZE = """mutation ($input: AuthorizeInstallationInput!) {
  authorizeInstallation(input: $input) { ... on Installation { id } } }"""
UPDATE = """mutation ($input: UpdateInstallationMetadataInput!) {
  updateInstallationMetadata(input: $input) { __typename } }"""
DELETE = "mutation ($input: DeleteInstallationInput!) { deleteInstallation(input: $input) { __typename } }"


async def replayed(client: Client, query: str, *, after: str, count: int) -> list[Any]:
    """Return the events after a cursor, without the field that keeps a subscription from being shared."""
    async with client.subscription(query, after=after) as events:
        received = [one["installationEvents"] for one in await events.take(count)]
    return [{name: value for name, value in one.items() if name != "alone"} for one in received]


async def test_replay_beside_an_equal_subscriber_shows_the_installation_as_it_is_then(served: Served) -> None:
    application, account = await served.application(), await served.account()
    itself, platform = await served.of_application(application), await served.platform()
    start = (await itself.data("{ eventCursor }"))["eventCursor"]
    async with itself.subscription(QUERY, after=start) as first:
        pair = {"applicationId": str(application.id), "accountId": str(account.id)}
        created = await platform.data(AUTHORIZE, input=pair)
        installation = created["authorizeInstallation"]["id"]
        assert (await first.next())["installationEvents"]["installation"]["metadata"] == {}

        change = {"id": installation, "change": {"replace": {"plan": "large"}}}
        await itself.data(UPDATE, input=change)
        await first.next()
        updated = await replayed(itself, QUERY, after=start, count=2)
        assert [one["installation"]["metadata"] for one in updated] == [{"plan": "large"}] * 2
        assert updated == await replayed(itself, UNSHARED, after=start, count=2)

        await platform.data(DELETE, input={"id": installation})
        await first.next()
        deleted = await replayed(itself, QUERY, after=start, count=3)
        assert deleted == [{"version": version, "installation": None} for version in (1, 2, 3)]
        assert deleted == await replayed(itself, UNSHARED, after=start, count=3)
