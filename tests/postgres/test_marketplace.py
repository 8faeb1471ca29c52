"""Applications, accounts and API keys, and their visibility to each kind of caller."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from gateway.domain.api_keys import new_secret
from gateway.domain.errors import (
    AccountNotFound,
    ApiKeyNotFound,
    ApplicationNotFound,
    Forbidden,
    InvalidInput,
    SlugTaken,
    Unauthenticated,
)
from gateway.domain.installations import Application, AuthorizationMethod
from gateway.domain.principals import Principal, PrincipalKind
from gateway.storage.database import read
from gateway.usecases import api_keys, marketplace
from gateway.usecases.api_keys import ApiKeyCache
from gateway.usecases.reads import find_accounts, find_applications, find_applications_by_slug
from tests.postgres.worlds import BEGINNING, PLATFORM, World, itself, user_of

KEY, OAUTH = AuthorizationMethod.API_KEY, AuthorizationMethod.OAUTH
LATER = BEGINNING + timedelta(days=1)


async def register(world: World, slug: str, principal: Principal = PLATFORM) -> Application:
    return await marketplace.register_application(
        world.services, principal, slug=slug, name="Ledger", description="", categories=("tax",), logo_url=None,
        authorization_method=KEY, requires_configuration=False, listed=True,
    )  # fmt: skip


async def found(
    world: World, find: Callable[..., Awaitable[dict[UUID, Any]]], principal: Principal, *, ids: list[UUID]
) -> list[Any]:
    """Return the visible ones of these ids, in their order."""
    rows = await read(world.services.database, find, principal, ids=ids)
    return [rows.get(each) for each in ids]


async def issue(
    world: World, kind: PrincipalKind, *, application_id: UUID | None = None, account_id: UUID | None = None
) -> api_keys.IssuedApiKey:
    return await api_keys.issue_key(
        world.services, PLATFORM, kind=kind, application_id=application_id, account_id=account_id, label="nightly",
        expires_at=LATER,
    )  # fmt: skip


async def test_a_slug_is_taken_once_even_in_a_race(world: World) -> None:
    results = await asyncio.gather(*(register(world, "ledger") for _ in range(4)), return_exceptions=True)
    (registered,) = (result for result in results if isinstance(result, Application))
    assert [type(result) for result in results].count(SlugTaken) == 3
    assert await read(world.services.database, find_applications_by_slug, PLATFORM, ids=["ledger"]) == {
        "ledger": registered
    }


async def test_an_update_changes_only_the_given_fields(world: World) -> None:
    registered = await register(world, "ledger")
    at = world.clock.advance(hours=1)
    changed = await marketplace.update_application_details(
        world.services, PLATFORM, application_id=registered.id, changes={"name": "Ledger 2", "listed": False}
    )
    assert changed == replace(registered, name="Ledger 2", listed=False, updated_at=at)
    world.clock.advance(hours=1)
    again = await marketplace.update_application_details(
        world.services, PLATFORM, application_id=registered.id, changes={"name": "Ledger 2"}
    )
    assert again == changed
    assert await found(world, find_applications, PLATFORM, ids=[registered.id]) == [changed]


async def test_an_update_is_checked_as_a_registration_is(world: World) -> None:
    registered = await register(world, "ledger")
    for changes in ({"name": " "}, {"logo_url": "javascript:alert(1)"}, {"categories": ("x",) * 21}):
        with pytest.raises(InvalidInput):
            await marketplace.update_application_details(
                world.services, PLATFORM, application_id=registered.id, changes=changes
            )
    with pytest.raises(ApplicationNotFound):
        await marketplace.update_application_details(world.services, PLATFORM, application_id=uuid4(), changes={})
    assert await found(world, find_applications, PLATFORM, ids=[registered.id]) == [registered]


async def test_the_same_account_again_is_renamed(world: World) -> None:
    account = await world.account()
    renamed = await marketplace.register_account(world.services, PLATFORM, account_id=account.id, name="Acme & Sons")
    assert await found(world, find_accounts, PLATFORM, ids=[account.id]) == [renamed]


async def test_only_the_platform_registers_and_issues(world: World) -> None:
    application, account = await world.application(), await world.account()
    for principal in (itself(application), user_of(account.id)):
        attempts = (
            register(world, "other", principal),
            marketplace.update_application_details(
                world.services, principal, application_id=application.id, changes={}
            ),
            marketplace.register_account(world.services, principal, account_id=account.id, name="Mine"),
            api_keys.issue_key(
                world.services, principal, kind=PrincipalKind.PLATFORM, application_id=None, account_id=None,
                label="mine", expires_at=None,
            ),
            api_keys.revoke_key(world.services, principal, api_key_id=uuid4()),
            api_keys.list_keys(world.services, principal),
        )  # fmt: skip
        for attempt in attempts:
            with pytest.raises(Forbidden):
                await attempt


async def test_an_application_sees_accounts_where_it_is_installed_and_no_others(world: World) -> None:
    application, account, other = await world.application(), await world.account(), await world.account()
    installation = await world.authorize(application, account)
    ids = [account.id, other.id]
    assert await found(world, find_accounts, PLATFORM, ids=ids) == [account, other]
    assert await found(world, find_accounts, user_of(other.id), ids=ids) == [None, other]
    assert await found(world, find_accounts, itself(application), ids=ids) == [account, None]
    await world.delete(installation)
    assert await found(world, find_accounts, itself(application), ids=ids) == [None, None]


async def test_an_unlisted_application_is_seen_where_it_is_installed(world: World) -> None:
    application, account = await world.register(OAUTH, listed=False), await world.account()
    ids = [application.id]
    assert await found(world, find_applications, user_of(account.id), ids=ids) == [None]
    assert await found(world, find_applications, itself(await world.application()), ids=ids) == [None]
    assert await found(world, find_applications, itself(application), ids=ids) == [application]
    await world.authorize(application, account)
    assert await found(world, find_applications, user_of(account.id), ids=ids) == [application]


async def test_a_key_is_valid_until_it_expires_and_is_never_listed_with_its_secret(world: World) -> None:
    issued = await issue(world, PrincipalKind.PLATFORM)
    cache = ApiKeyCache(world.services)
    principal = await cache.authenticate(issued.secret)
    assert (principal.kind, principal.id, principal.label) == (
        PrincipalKind.PLATFORM, str(issued.api_key.id), "nightly",
    )  # fmt: skip
    await cache.store_last_used()
    (listed,) = await api_keys.list_keys(world.services, PLATFORM)
    assert listed == replace(issued.api_key, last_used_at=BEGINNING)
    assert issued.secret not in repr(listed)
    world.clock.time = LATER
    with pytest.raises(Unauthenticated):
        await cache.authenticate(issued.secret)


async def test_a_revoked_key_is_invalid_and_keeps_the_time_of_its_first_revocation(world: World) -> None:
    issued = await issue(world, PrincipalKind.PLATFORM)
    cache = ApiKeyCache(world.services)
    await cache.authenticate(issued.secret)
    revoked = await api_keys.revoke_key(world.services, PLATFORM, api_key_id=issued.api_key.id)
    world.clock.advance(hours=1)
    again = await api_keys.revoke_key(world.services, PLATFORM, api_key_id=issued.api_key.id)
    assert (revoked.revoked_at, again.revoked_at) == (BEGINNING, BEGINNING)
    cache.clear()
    with pytest.raises(Unauthenticated):
        await cache.authenticate(issued.secret)
    with pytest.raises(ApiKeyNotFound):
        await api_keys.revoke_key(world.services, PLATFORM, api_key_id=uuid4())


async def test_made_up_keys_take_one_connection_and_delay_no_valid_key(world: World) -> None:
    issued = await issue(world, PrincipalKind.PLATFORM)
    cache = ApiKeyCache(world.services)
    made_up = [new_secret() for _ in range(400)]
    authenticating = asyncio.gather(
        *map(cache.authenticate, made_up), cache.authenticate(issued.secret), return_exceptions=True
    )
    in_use = set()
    while not authenticating.done():
        in_use.add(world.services.database.usage()[1])
        await asyncio.sleep(0)
    *refused, principal = await authenticating
    assert {type(error) for error in refused} == {Unauthenticated}
    assert isinstance(principal, Principal)
    assert max(in_use) == 1


async def test_many_gateways_store_the_last_use_of_the_same_keys_at_once(world: World) -> None:
    secrets = [(await issue(world, PrincipalKind.PLATFORM)).secret for _ in range(20)]
    caches = [ApiKeyCache(world.services) for _ in range(4)]
    for number, cache in enumerate(caches):
        for secret in secrets if number % 2 else reversed(secrets):
            await cache.authenticate(secret)
    await asyncio.gather(*(cache.store_last_used() for cache in caches))
    used = {api_key.last_used_at for api_key in await api_keys.list_keys(world.services, PLATFORM)}
    assert used == {BEGINNING}


async def test_a_keys_ids_fit_its_kind_and_exist(world: World) -> None:
    application, account = await world.application(), await world.account()
    one, other = application.id, account.id
    for kind, application_id, account_id in (
        (PrincipalKind.PLATFORM, one, None),
        (PrincipalKind.APPLICATION, None, other),
        (PrincipalKind.ACCOUNT, None, None),
        (PrincipalKind.ACCOUNT, one, other),
        (PrincipalKind.SYSTEM, None, None),
    ):
        with pytest.raises(InvalidInput):
            await issue(world, kind, application_id=application_id, account_id=account_id)
    with pytest.raises(ApplicationNotFound):
        await issue(world, PrincipalKind.APPLICATION, application_id=uuid4())
    with pytest.raises(AccountNotFound):
        await issue(world, PrincipalKind.ACCOUNT, account_id=uuid4())
    world.clock.time = LATER
    with pytest.raises(InvalidInput):
        await issue(world, PrincipalKind.PLATFORM)
    assert await api_keys.list_keys(world.services, PLATFORM) == []
