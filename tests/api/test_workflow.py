"""The whole workflow over HTTP with real keys, while a subscription opened at the start delivers each change."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from gateway.domain.installations import AuthorizationMethod
from gateway.domain.principals import PrincipalKind
from tests.api.conftest import Client, Serve, Served
from tests.serving import DEADLINE

INSTALLATION = """
fragment Shown on Installation { id status version statusReason { code } allowedActions sync { state } }
"""
AUTHORIZE = (
    INSTALLATION
    + """mutation ($input: AuthorizeInstallationInput!) {
  authorizeInstallation(input: $input) { __typename ...Shown }
}"""
)
EVENTS = """subscription ($after: String) {
  installationStatusChanged(after: $after) {
    cursor version from to reason { code } actor { kind } installationId installation { id status }
  }
}"""


def mutation(name: str) -> str:
    """Write one of the mutations that take an id, with everything that it may answer."""
    kind = name[0].upper() + name[1:]
    success = (
        "DeletedInstallation { deletedInstallationId }" if name == "deleteInstallation" else "Installation { ...Shown }"
    )
    fragment = "" if name == "deleteInstallation" else INSTALLATION
    return (
        fragment
        + f"""mutation ($input: {kind}Input!) {{
  {name}(input: $input) {{
    __typename
    ... on {success}
    ... on Error {{ message }}
    ... on ActionNotAllowed {{ action instead: allowedActions was: installation {{ status }} }}
  }}
}}"""
    )


async def run(client: Client, name: str, **given: Any) -> Any:
    """Run a mutation; return its payload."""
    query = AUTHORIZE if name == "authorizeInstallation" else mutation(name)
    return (await client.data(query, input=given))[name]


async def status(client: Client, name: str, **given: Any) -> tuple[str, str]:
    """Run a mutation that succeeds; return the new status and its reason."""
    shown = await run(client, name, **given)
    assert shown["__typename"] == "Installation", shown
    return shown["status"], shown["statusReason"]["code"]


async def cursor(client: Client) -> str:
    answer: str = (await client.data("{ eventCursor }"))["eventCursor"]
    return answer


async def test_oauth_without_configuration_is_activated_by_authorizing(served: Served) -> None:
    application, account, platform = await served.application(), await served.account(), await served.platform()
    shown = await run(platform, "authorizeInstallation", applicationId=str(application.id), accountId=str(account.id))
    assert (shown["status"], shown["statusReason"]["code"]) == ("ACTIVATED", "AUTHORIZATION_COMPLETED")


async def test_oauth_with_configuration_is_activated_by_the_application(served: Served) -> None:
    application = await served.application(requires_configuration=True)
    account, platform = await served.account(), await served.platform()
    itself = await served.of_application(application)
    shown = await run(platform, "authorizeInstallation", applicationId=str(application.id), accountId=str(account.id))
    assert (shown["status"], shown["statusReason"]["code"]) == ("AUTHORIZED", "AUTHORIZATION_COMPLETED")
    activated = await status(itself, "activateInstallation", id=shown["id"])
    assert activated == ("ACTIVATED", "CONFIGURATION_COMPLETED")


async def test_an_api_key_application_is_activated_by_creating(served: Served) -> None:
    application = await served.application(method=AuthorizationMethod.API_KEY)
    account, platform = await served.account(), await served.platform()
    itself = await served.of_application(application, account=account)
    shown = await run(platform, "authorizeInstallation", applicationId=str(application.id), accountId=str(account.id))
    assert (shown["status"], shown["statusReason"]["code"]) == ("AUTHORIZED", "AUTHORIZATION_COMPLETED")
    assert await status(itself, "createInstallation", metadata={"tenant": 7}) == ("ACTIVATED", "API_KEY_CONNECTED")


async def test_lifecycle_delivers_each_change_once(serve: Serve) -> None:
    time = Time()
    async with serve(now=time) as served:
        application, account = await served.application(), await served.account()
        platform, itself = await served.platform(), await served.of_application(application)
        pair = {"applicationId": str(application.id), "accountId": str(account.id)}
        start = await cursor(platform)
        async with platform.subscription(EVENTS, after=start) as changes:
            installation = (await run(platform, "authorizeInstallation", **pair))["id"]
            await live(itself, platform, installation=installation, pair=pair, time=time)
            received = [event["installationStatusChanged"] for event in await changes.take(len(EXPECTED))]
        assert [(event["from"], event["to"], event["reason"]["code"]) for event in received] == EXPECTED
        versions = [event["version"] for event in received]
        assert versions == sorted(set(versions))
        assert {event["installationId"] for event in received} == {installation}
        assert received[7]["actor"]["kind"] == "PLATFORM"
        await assert_each_cursor_resumes(platform, received)


EXPECTED = [
    (None, "ACTIVATED", "AUTHORIZATION_COMPLETED"),
    ("ACTIVATED", "PENDING_INTEGRATION", "SYNC_STARTED"),
    ("PENDING_INTEGRATION", "ACTIVATED", "SYNC_SUCCEEDED"),
    ("ACTIVATED", "INACTIVE", "CONNECTION_FAILED"),
    ("INACTIVE", "ACTIVATED", "AUTHORIZATION_COMPLETED"),
    ("ACTIVATED", "INACTIVE", "AUTHORIZATION_EXPIRED"),
    ("INACTIVE", "ACTIVATED", "AUTHORIZATION_COMPLETED"),
    ("ACTIVATED", None, "DELETED"),
]


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset


async def live(itself: Client, platform: Client, *, installation: str, pair: dict[str, str], time: Time) -> None:
    """Take an ACTIVATED installation through a synchronisation, failures, an expiry, and its end."""
    assert await status(itself, "startInstallationSync", id=installation) == ("PENDING_INTEGRATION", "SYNC_STARTED")
    steps = [{"name": "tags", "done": 3, "total": 10}]
    await status(itself, "reportInstallationSyncProgress", id=installation, steps=steps)
    refused = await run(platform, "deleteInstallation", id=installation)
    assert refused["__typename"] == "ActionNotAllowed"
    assert (refused["action"], refused["was"]) == ("DELETE", {"status": "PENDING_INTEGRATION"})
    assert refused["instead"] == [
        "AUTHORIZE", "REPORT_SYNC_PROGRESS", "FINISH_SYNC",
        "REPORT_CONNECTION_FAILURE", "REPORT_CONNECTION_SUCCESS", "DEACTIVATE", "UPDATE_METADATA",
    ]  # fmt: skip
    finished = await status(itself, "finishInstallationSync", id=installation, outcome="SUCCEEDED")
    assert finished == ("ACTIVATED", "SYNC_SUCCEEDED")

    for _ in range(4):
        reported = await status(itself, "reportInstallationConnection", id=installation, succeeded=False)
        assert reported == ("ACTIVATED", "SYNC_SUCCEEDED")
    reported = await status(itself, "reportInstallationConnection", id=installation, succeeded=False)
    assert reported == ("INACTIVE", "CONNECTION_FAILED")

    expiry = (time() + timedelta(hours=1)).isoformat()
    back = await run(platform, "authorizeInstallation", **pair, expiresAt=expiry)
    assert (back["id"], back["status"]) == (installation, "ACTIVATED")
    time.offset += timedelta(hours=2)
    await until_status(platform, installation, "INACTIVE")
    assert (await run(platform, "authorizeInstallation", **pair))["status"] == "ACTIVATED"

    assert (await run(platform, "deleteInstallation", id=installation))["__typename"] == "DeletedInstallation"
    assert await platform.data("query ($id: ID!) { installation(id: $id) { id } }", id=installation) == {
        "installation": None
    }


async def until_status(client: Client, installation: str, wanted: str) -> None:
    """Wait for the gateway's clock."""
    async with asyncio.timeout(DEADLINE):
        while True:
            found = await client.data("query ($id: ID!) { installation(id: $id) { status } }", id=installation)
            if found["installation"]["status"] == wanted:
                return


async def assert_each_cursor_resumes(client: Client, received: list[Any]) -> None:
    for number, event in enumerate(received[:-1]):
        async with client.subscription(EVENTS, after=event["cursor"]) as resumed:
            rest = [
                one["installationStatusChanged"]["cursor"] for one in await resumed.take(len(received) - number - 1)
            ]
        assert rest == [one["cursor"] for one in received[number + 1 :]]


async def test_create_for_an_oauth_application_is_not_allowed(served: Served) -> None:
    application, account = await served.application(), await served.account()
    itself = await served.of_application(application, account=account)
    refused = await run(itself, "createInstallation")
    assert (refused["__typename"], refused["action"], refused["was"]) == ("ActionNotAllowed", "CREATE", None)


async def test_an_application_cannot_undo_its_deactivation_by_creating_again(served: Served) -> None:
    application = await served.application(method=AuthorizationMethod.API_KEY)
    account, platform = await served.account(), await served.platform()
    itself, pair = await served.of_application(application), {"accountId": str(account.id)}
    authorization = {"applicationId": str(application.id), **pair}
    installation = (await run(platform, "authorizeInstallation", **authorization))["id"]
    await status(itself, "createInstallation", **pair)
    await status(platform, "deactivateInstallation", id=installation, reason="NOT_ENTITLED")
    refused = await run(itself, "createInstallation", **pair)
    assert (refused["__typename"], refused["was"]) == ("ActionNotAllowed", {"status": "INACTIVE"})
    assert (await run(itself, "deleteInstallation", id=installation))["__typename"] == "DeletedInstallation"
    assert await run(itself, "createInstallation", **pair) == NOT_AUTHORIZED
    await run(platform, "authorizeInstallation", **authorization)
    assert await status(itself, "createInstallation", **pair) == ("ACTIVATED", "API_KEY_CONNECTED")


async def test_an_application_cannot_undo_the_disconnection_of_an_account(served: Served) -> None:
    application = await served.application(method=AuthorizationMethod.API_KEY)
    account, platform = await served.account(), await served.platform()
    itself, user = await served.of_application(application), await served.of_account(account)
    pair = {"accountId": str(account.id)}
    shown = await run(platform, "authorizeInstallation", applicationId=str(application.id), **pair)
    await status(itself, "createInstallation", **pair)
    assert (await run(user, "deleteInstallation", id=shown["id"]))["__typename"] == "DeletedInstallation"
    assert await run(itself, "createInstallation", **pair) == NOT_AUTHORIZED
    assert await user.data("{ installations { totalCount } }") == {"installations": {"totalCount": 0}}


async def test_an_application_cannot_connect_itself_to_an_account_that_never_authorized_it(served: Served) -> None:
    application = await served.application(method=AuthorizationMethod.API_KEY)
    account = await served.account()
    for itself in (await served.of_application(application), await served.of_application(application, account=account)):
        assert await run(itself, "createInstallation", accountId=str(account.id)) == NOT_AUTHORIZED
    unbound = await served.of_application(application)
    assert await run(unbound, "createInstallation", accountId=str(uuid4())) == NOT_AUTHORIZED
    assert await unbound.data("query ($id: ID!) { account(id: $id) { id } }", id=str(account.id)) == {"account": None}


NOT_AUTHORIZED: dict[str, Any] = {
    "__typename": "ActionNotAllowed",
    "message": "CREATE is not possible before the platform has authorized the application for this account.",
    "action": "CREATE",
    "was": None,
    "instead": [],
}


async def test_of_two_racing_creates_of_an_authorized_installation_both_succeed(served: Served) -> None:
    application = await served.application(method=AuthorizationMethod.API_KEY)
    account, platform = await served.account(), await served.platform()
    itself, pair = await served.of_application(application), {"accountId": str(account.id)}
    shown = await run(platform, "authorizeInstallation", applicationId=str(application.id), **pair)
    results = await asyncio.gather(*(run(itself, "createInstallation", **pair) for _ in range(2)))
    assert [(one["id"], one["status"], one["version"]) for one in results] == [(shown["id"], "ACTIVATED", 2)] * 2


async def test_activate_on_inactive_is_not_allowed(served: Served) -> None:
    application = await served.application(requires_configuration=True)
    account, platform = await served.account(), await served.platform()
    itself = await served.of_application(application)
    pair = {"applicationId": str(application.id), "accountId": str(account.id)}
    installation = (await run(platform, "authorizeInstallation", **pair))["id"]
    await status(itself, "deactivateInstallation", id=installation)
    refused = await run(itself, "activateInstallation", id=installation)
    assert refused == {
        "__typename": "ActionNotAllowed",
        "message": "ACTIVATE is not possible while the installation is INACTIVE. It has to be authorized again.",
        "action": "ACTIVATE",
        "was": {"status": "INACTIVE"},
        "instead": ["UPDATE_METADATA", "DELETE"],
    }


async def test_account_cannot_read_or_write_metadata(served: Served) -> None:
    application, account, platform = await served.application(), await served.account(), await served.platform()
    user, itself = await served.of_account(account), await served.of_application(application)
    pair = {"applicationId": str(application.id), "accountId": str(account.id)}
    installation = (await run(platform, "authorizeInstallation", **pair))["id"]
    change = {"merge": {"tenant": 7}}
    assert await status(itself, "updateInstallationMetadata", id=installation, change=change)
    shown = "query ($id: ID!) { installation(id: $id) { metadata history { nodes { __typename } } } }"
    assert await itself.data(shown, id=installation) == {
        "installation": {
            "metadata": {"tenant": 7},
            "history": {
                "nodes": [{"__typename": "InstallationStatusChanged"}, {"__typename": "InstallationMetadataUpdated"}]
            },
        }
    }
    assert await user.data(shown, id=installation) == {
        "installation": {"metadata": None, "history": {"nodes": [{"__typename": "InstallationStatusChanged"}]}}
    }
    query = mutation("updateInstallationMetadata")
    assert await user.code(query, input={"id": installation, "change": change}) == "FORBIDDEN"
    filtered = "query ($filter: InstallationFilter) { installations(filter: $filter) { totalCount } }"
    assert await user.code(filtered, filter={"metadata": {"tenant": 7}}) == "FORBIDDEN"


async def test_another_applications_installation_does_not_exist(served: Served) -> None:
    application, other = await served.application(), await served.application("bookwell")
    account, platform = await served.account(), await served.platform()
    stranger = await served.of_application(other)
    pair = {"applicationId": str(application.id), "accountId": str(account.id)}
    installation = (await run(platform, "authorizeInstallation", **pair))["id"]
    refused = await run(stranger, "activateInstallation", id=installation)
    assert refused["__typename"] == "InstallationNotFound"
    assert await stranger.data(
        "query ($id: ID!) { installation(id: $id) { id } node(id: $id) { id } }", id=installation
    ) == {
        "installation": None,
        "node": None,
    }


@pytest.mark.parametrize("authorization", [None, "Bearer nobody", "Bearer igw_abcdefghijkl_" + "x" * 43])
async def test_requests_without_a_valid_key_are_unauthenticated(served: Served, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    response = await served.http.post(served.url, json={"query": "{ viewer { kind } }"}, headers=headers)
    assert response.status_code == 401
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_revoked_key_is_refused_at_once(served: Served) -> None:
    platform = await served.platform()
    query = """mutation ($input: IssueApiKeyInput!) {
      issueApiKey(input: $input) { ... on IssuedApiKey { apiKey { id kind label revokedAt } secret } }
    }"""
    issued = (await platform.data(query, input={"kind": "PLATFORM", "label": "short-lived"}))["issueApiKey"]
    fresh = served.client(issued["secret"])
    assert await fresh.data("{ viewer { kind } }") == {"viewer": {"kind": "PLATFORM"}}
    known = {"kind": "PLATFORM", "label": "short-lived"}
    assert issued["apiKey"] == {"id": issued["apiKey"]["id"], **known, "revokedAt": None}
    revoke = """mutation ($input: RevokeApiKeyInput!) {
      revokeApiKey(input: $input) { ... on ApiKey { kind label revokedAt } }
    }"""
    revoked = (await platform.data(revoke, input={"id": issued["apiKey"]["id"]}))["revokeApiKey"]
    assert revoked == {**known, "revokedAt": revoked["revokedAt"]}
    assert datetime.fromisoformat(revoked["revokedAt"]) <= datetime.now(UTC)
    assert (await fresh.post("{ viewer { kind } }")).status_code == 401


async def test_a_caller_may_be_bound_to_an_application_and_an_account(served: Served) -> None:
    application, account, platform = await served.application(), await served.account(), await served.platform()
    pair = {"applicationId": str(application.id), "accountId": str(account.id)}
    installation = (await run(platform, "authorizeInstallation", **pair))["id"]
    bound = await served.key(PrincipalKind.APPLICATION, application_id=application.id, account_id=account.id)
    assert await bound.data("{ viewer { kind application { slug } account { name } installation { id } } }") == {
        "viewer": {
            "kind": "APPLICATION",
            "application": {"slug": "ledgerline"},
            "account": {"name": "Acme Bakery"},
            "installation": {"id": installation},
        }
    }
