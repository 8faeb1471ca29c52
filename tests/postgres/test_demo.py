"""The example data, on an empty database and beside other data."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from gateway.demo.catalogue import ACCOUNTS, APPLICATIONS
from gateway.demo.loading import load_example_data
from gateway.demo.scenarios import EXAMPLES
from gateway.domain.cursors import Keyset
from gateway.domain.events import Event, StatusChanged
from gateway.domain.installations import Application, Installation, InstallationStatus, StatusReasonCode, SyncState
from gateway.domain.pages import (
    ApplicationFilter,
    InstallationFilter,
    InstallationList,
    InstallationOrder,
    Page,
    Window,
)
from gateway.storage.database import read, transaction
from gateway.storage.installation_pages import WHOLE
from gateway.storage.installations import installation_of
from gateway.usecases.expiry import expire_due_installations
from gateway.usecases.installation_lists import list_installations
from gateway.usecases.marketplace import register_application
from gateway.usecases.reads import list_applications
from tests.matrix import APPLICATIONS as KINDS
from tests.postgres.worlds import PLATFORM, World


async def lists(world: World) -> tuple[Page[Installation], Page[Application]]:
    window: Window[Keyset] = Window(size=1000, backward=False, after=None, before=None)
    listed = InstallationList(of=None, matching=InstallationFilter(), order=InstallationOrder())
    pages = await read(
        world.services.database, list_installations, PLATFORM, ids=[None], listed=listed, window=window, parts=WHOLE
    )
    applications = await list_applications(world.services, PLATFORM, matching=ApplicationFilter(), window=window)
    page = pages[None]
    items = [installation_of(row) for row in page.items]
    return Page(items=items, has_next=page.has_next, has_previous=page.has_previous), applications


async def everything(world: World) -> tuple[object, ...]:
    page, applications = await lists(world)
    return page.items, applications.items, await world.events()


async def test_example_data_has_every_status_reason_and_sync_state_and_an_ordered_history(world: World) -> None:
    assert await load_example_data(world.services) == len(EXAMPLES)
    page, applications = await lists(world)
    events = await world.events()

    kinds = {(one.authorization_method, one.requires_configuration) for one in applications.items}
    assert (kinds, len(applications.items) >= 10) == (set(KINDS.values()), True)
    assert {one.account_id for one in page.items} == {account.id for account in ACCOUNTS}
    assert 45 <= len(page.items) <= len(EXAMPLES)
    assert {one.status for one in page.items} == set(InstallationStatus)
    assert {one.sync.state for one in page.items if one.sync} == set(SyncState)
    reasons = {event.change.reason for event in events if isinstance(event.change, StatusChanged)}
    assert reasons == set(StatusReasonCode)
    assert {type(event.change).__name__ for event in events} == {
        "StatusChanged", "MetadataUpdated", "SyncProgressed", "ConnectionReported", "AuthorizationRenewed",
    }  # fmt: skip
    expect_history_in_the_past_and_in_order(events, now=world.clock())


def expect_history_in_the_past_and_in_order(events: Sequence[Event], *, now: datetime) -> None:
    assert max(event.occurred_at for event in events) <= now
    for installation_id in {event.installation_id for event in events}:
        history = [event for event in events if event.installation_id == installation_id]
        assert [event.version for event in history] == list(range(1, len(history) + 1))
        assert [event.occurred_at for event in history] == sorted(event.occurred_at for event in history)


async def test_loading_again_changes_nothing_and_leaves_changed_examples_alone(world: World) -> None:
    await load_example_data(world.services)
    before = await everything(world)
    world.clock.advance(hours=1)
    assert await load_example_data(world.services) == 0
    assert await everything(world) == before
    world.clock.advance(days=400)
    while await expire_due_installations(world.services):
        pass
    before = await everything(world)
    assert await load_example_data(world.services) == 0
    assert await everything(world) == before


async def test_loading_concurrently_loads_each_example_once(world: World) -> None:
    loaded = await asyncio.gather(*(load_example_data(world.services) for _ in range(3)))
    assert sum(loaded) == len(EXAMPLES)
    versions = Counter((event.installation_id, event.version) for event in await world.events())
    assert set(versions.values()) == {1}


async def test_example_is_not_loaded_again_while_the_log_is_held_back(world: World) -> None:
    async with transaction(world.services.database) as running:
        await running.fetchval("select pg_current_xact_id()")
        assert await asyncio.create_task(load_example_data(world.services)) == len(EXAMPLES)
        assert await asyncio.create_task(load_example_data(world.services)) == 0


@pytest.mark.parametrize("failure_limit", [1, 1000])
async def test_example_data_is_the_same_for_every_failure_limit(world: World, failure_limit: int) -> None:
    services = replace(world.services, failure_limit=failure_limit)
    assert await load_example_data(services) == len(EXAMPLES)
    assert max(event.occurred_at for event in await world.events()) <= world.clock()


async def test_other_installations_are_left_alone(world: World) -> None:
    begun = world.clock()
    world.clock.time = begun - timedelta(days=50)
    overdue = await world.authorize(
        await world.application(), await world.account(), expires_at=begun - timedelta(days=49)
    )
    world.clock.time = begun
    assert await load_example_data(world.services) == len(EXAMPLES)
    assert await world.now(overdue) == overdue
    assert [event.version for event in await world.events(overdue)] == [1]


async def test_examples_of_an_application_whose_slug_is_taken_are_left_out(world: World) -> None:
    example = APPLICATIONS[0]
    other = await register_application(
        world.services, PLATFORM, slug=example.slug, name="Another application", description="", categories=(),
        logo_url=None, authorization_method=example.authorization_method, requires_configuration=False, listed=True,
    )  # fmt: skip
    assert await load_example_data(world.services) == len(EXAMPLES) - len(ACCOUNTS)
    assert [event for event in await world.events() if event.application_id in {other.id, example.id}] == []
