"""API keys as the platform lists them, and as each caller sees its own."""

import asyncio
import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from gateway.domain.api_keys import ApiKey
from gateway.domain.principals import PrincipalKind
from gateway.storage.database import connection
from gateway.usecases.api_keys import issue_key, list_keys, revoke_key
from gateway.usecases.services import utc_now
from tests.api.conftest import PLATFORM, Served
from tests.api.test_connections import walk

OWN = """{ viewer { apiKey {
  id prefix kind label createdAt expiresAt revokedAt boundApplication { slug } boundAccount { name }
} } }"""
BY_ID = "query ($id: ID!) { node(id: $id) { __typename id } nodes(ids: [$id]) { id } }"


async def test_viewer_shows_the_key_that_authenticated_it(served: Served) -> None:
    application, account = await served.application(), await served.account()
    bound = await served.of_application(application, account=account)
    key = (await bound.data(OWN))["viewer"]["apiKey"]
    assert str(bound.secret).startswith(f"{key['prefix']}_")
    assert key["boundApplication"] == {"slug": "ledgerline"}
    assert key["boundAccount"] is None  # the application is not installed for it
    assert (key["kind"], key["label"], key["revokedAt"]) == ("APPLICATION", "a test's application", None)


async def test_other_callers_see_only_their_own_key(served: Served) -> None:
    application, account = await served.application(), await served.account()
    clients = [
        await served.of_application(application),
        await served.of_application(application),
        await served.of_account(account),
        await served.of_account(account),
    ]
    ids = [(await client.data(OWN))["viewer"]["apiKey"]["id"] for client in clients]
    for (at, client), key in ((pair, key) for pair in enumerate(clients) for key in ids):
        itself = {"id": key} if key == ids[at] else None
        found = await client.data(BY_ID, id=key)
        assert found == {"node": itself and {"__typename": "ApiKey", **itself}, "nodes": [itself]}
    platform = await served.platform()
    found = await asyncio.gather(*(platform.data(BY_ID, id=key) for key in ids))
    assert [one["nodes"] for one in found] == [[{"id": key}] for key in ids]


LIST = """query ($filter: ApiKeyFilter, $first: Int, $after: String, $last: Int, $before: String) {
  apiKeys(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { id } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
COUNT = "query ($filter: ApiKeyFilter) { apiKeys(filter: $filter, first: 0) { totalCount } }"


async def issue_keys(served: Served) -> tuple[str, str]:
    """Issue keys of every kind, valid, expired and revoked ones, many at the same time; return two of the ids."""
    applications, account = [await served.application(), await served.application("other")], await served.account()
    bounds: list[dict[str, Any]] = [
        {"kind": PrincipalKind.PLATFORM, "application_id": None, "account_id": None},
        {"kind": PrincipalKind.ACCOUNT, "application_id": None, "account_id": account.id},
        {"kind": PrincipalKind.APPLICATION, "application_id": applications[1].id, "account_id": account.id},
        {"kind": PrincipalKind.APPLICATION, "application_id": applications[0].id, "account_id": None},
    ]
    for bound, (at, expiry) in itertools.product(bounds, enumerate((None, timedelta(days=1), timedelta(days=1)))):
        expires_at = None if expiry is None else utc_now() + expiry
        key = (await issue_key(served.services, PLATFORM, **bound, label="one", expires_at=expires_at)).api_key
        if at == 2 and bound["application_id"] is None:
            await revoke_key(served.services, PLATFORM, api_key_id=key.id)
    async with connection(served.services.database) as held:
        await held.execute("update api_keys set created_at = date_trunc('day', now()) where application_id is null")
        await held.execute("update api_keys set expires_at = now() where expires_at is not null and account_id is null")
    return str(applications[0].id), str(account.id)


async def test_keys_are_listed_newest_first_and_filtered(served: Served) -> None:
    application, account = await issue_keys(served)
    platform = await served.platform()
    keys = await list_keys(served.services, PLATFORM)
    newest = sorted(keys, key=lambda key: (key.created_at, key.id), reverse=True)

    def in_force(key: ApiKey) -> bool:
        return key.revoked_at is None and (key.expires_at is None or key.expires_at > utc_now())

    filters: list[tuple[dict[str, Any], Callable[[ApiKey], bool]]] = [
        ({}, lambda _: True),
        ({"kind": "ACCOUNT"}, lambda key: key.kind is PrincipalKind.ACCOUNT),
        ({"kind": "SYSTEM"}, lambda _: False),
        ({"applicationId": application}, lambda key: str(key.application_id) == application),
        ({"accountId": account}, lambda key: str(key.account_id) == account),
        ({"inForce": True}, in_force),
        ({"inForce": False}, lambda key: not in_force(key)),
        (
            {"kind": "APPLICATION", "accountId": account, "inForce": True},
            lambda key: key.kind is PrincipalKind.APPLICATION and str(key.account_id) == account and in_force(key),
        ),
    ]
    for given, matches in filters:
        expected = [str(key.id) for key in newest if matches(key)]
        assert (await platform.data(COUNT, filter=given))["apiKeys"]["totalCount"] == len(expected), given
        for forward, size in ((True, 2), (False, 5)):
            assert await walk(platform, LIST, forward=forward, size=size, filter=given) == expected, given
    assert {in_force(key) for key in keys} == {True, False}
