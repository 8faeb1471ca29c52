"""Concurrent use cases, each on its own connection."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable
from datetime import timedelta
from uuid import UUID

import pytest

from gateway.domain.errors import (
    ActionNotAllowed,
    ExpectedFailure,
    InstallationAlreadyExists,
    InstallationNotFound,
    Unavailable,
    VersionConflict,
)
from gateway.domain.events import Event, MetadataUpdated, StatusChanged
from gateway.domain.installations import Account, Application, Installation, InstallationStatus
from gateway.domain.metadata import decode_metadata
from gateway.storage.database import Connection, transaction
from gateway.storage.events import WriteConflict, append_event
from gateway.usecases.expiry import expire_due_installations
from gateway.usecases.installations import create_installation
from gateway.usecases.transitions import Written, write_with_events
from tests.postgres.event_rows import EventSource, write
from tests.postgres.worlds import BEGINNING, PLATFORM, World

ROUNDS = 25
AUTHORIZED, ACTIVATED = InstallationStatus.AUTHORIZED, InstallationStatus.ACTIVATED
INACTIVE, PENDING = InstallationStatus.INACTIVE, InstallationStatus.PENDING_INTEGRATION


async def race(*contenders: Awaitable[object]) -> list[object]:
    """Run all concurrently; return their results, expected failures included."""
    results = await asyncio.gather(*contenders, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, ExpectedFailure):
            raise result
    return list(results)


async def after(seconds: float, contender: Awaitable[object]) -> object:
    """Begin later: the order is left to chance all the same."""
    await asyncio.sleep(seconds)
    return await contender


def versions_of(events: list[Event]) -> dict[UUID, list[int]]:
    """Return each installation's versions in the order of the log."""
    versions: dict[UUID, list[int]] = defaultdict(list)
    for event in events:
        versions[event.installation_id].append(event.version)
    return versions


async def assert_the_log_is_in_order(world: World) -> None:
    for installation_id, versions in versions_of(await world.events()).items():
        assert versions == list(range(1, len(versions) + 1)), installation_id


async def create(world: World, application: Application, account: Account, metadata: object = None) -> Installation:
    return await create_installation(
        world.services, PLATFORM, application_id=application.id, account_id=account.id, metadata=metadata
    )


async def test_two_equal_creates_return_the_same_installation(world: World) -> None:
    application = await world.application("key")
    for _ in range(ROUNDS):
        account = await world.account()
        await world.authorize(application, account)
        one, other = await race(
            create(world, application, account, {"a": 1, "b": 2}), create(world, application, account, {"b": 2, "a": 1})
        )
        assert isinstance(one, Installation)
        assert isinstance(other, Installation)
        assert (one.id, one.version) == (other.id, other.version)
        assert versions_of(await world.events(account=account)) == {one.id: [1, 2]}


async def test_one_of_two_different_creates_fails_with_the_installation(world: World) -> None:
    application = await world.application("key")
    for _ in range(ROUNDS):
        account = await world.account()
        await world.authorize(application, account)
        results = await race(*(create(world, application, account, {"number": number}) for number in range(3)))
        (winner,) = (result for result in results if isinstance(result, Installation))
        losers = [result.installation for result in results if isinstance(result, InstallationAlreadyExists)]
        assert losers == [winner, winner]
        assert versions_of(await world.events(account=account)) == {winner.id: [1, 2]}


async def test_create_against_authorize_succeeds_only_after_it(world: World) -> None:
    application = await world.application("key")
    for _ in range(ROUNDS):
        account = await world.account()
        authorized, created = await race(world.authorize(application, account), create(world, application, account))
        assert isinstance(authorized, Installation)
        now = await world.now(authorized)
        assert now is not None
        if isinstance(created, ActionNotAllowed):
            assert (now.status, created.installation) == (AUTHORIZED, None)
        else:
            assert now == created
        assert versions_of(await world.events(account=account)) == {now.id: list(range(1, now.version + 1))}


async def test_create_never_outlasts_what_takes_the_authorization_away(world: World) -> None:
    application = await world.application("key")
    for number in range(ROUNDS):
        account = await world.account()
        authorized = await world.authorize(application, account)
        away = world.delete(authorized) if number % 2 else world.deactivate(authorized)
        contenders = [create(world, application, account), away]
        results = await race(*(contenders if number % 4 < 2 else reversed(contenders)))
        assert sum(isinstance(result, ExpectedFailure) for result in results) <= 1
        now = await world.now(authorized)
        assert (now and now.status) == (None if number % 2 else INACTIVE)
    await assert_the_log_is_in_order(world)


async def test_authorizing_races_with_itself_and_nothing_is_lost(world: World) -> None:
    application = await world.application("settings")
    for _ in range(ROUNDS):
        account = await world.account()
        results = await race(
            *(
                world.authorize(application, account, expires_at=BEGINNING + timedelta(days=days))
                for days in range(1, 6)
            )
        )
        (identifier,) = {result.id for result in results if isinstance(result, Installation)}
        assert versions_of(await world.events(account=account)) == {identifier: [1, 2, 3, 4, 5]}


async def test_activate_against_delete_always_ends_deleted(world: World) -> None:
    for _ in range(ROUNDS):
        installation = await world.installation(AUTHORIZED, kind="settings")
        activated, deleted = await race(world.activate(installation), world.delete(installation))
        assert not isinstance(deleted, ExpectedFailure)
        assert isinstance(activated, Installation | InstallationNotFound)
        assert await world.now(installation) is None
        expected = [1, 2, 3] if isinstance(activated, Installation) else [1, 2]
        assert versions_of(await world.events(installation)) == {installation.id: expected}


async def test_delete_against_start_sync_never_lets_both_succeed(world: World) -> None:
    winners = set[bool]()
    for number in range(20 * ROUNDS):
        if number >= ROUNDS and winners == {True, False}:
            break
        installation = await world.installation(ACTIVATED)
        # Deleting waits for no batch, and would win nearly always: it begins up to 3.5 ms later.
        delayed = after(number % 8 * 0.0005, world.delete(installation))
        contenders = [delayed, world.start_sync(installation)]
        # The first one mostly wins, so each begins in half of the rounds.
        results = await race(*(contenders if number % 2 else reversed(contenders)))
        deleted, started = results if number % 2 else reversed(results)
        now = await world.now(installation)
        if isinstance(deleted, ActionNotAllowed):
            assert now is not None
            assert (now.status, deleted.installation) == (PENDING, now)
            assert isinstance(started, Installation)
        else:
            assert now is None
            assert isinstance(started, InstallationNotFound)
        winners.add(now is None)
        assert versions_of(await world.events(installation)) == {installation.id: [1, 2]}
    assert winners == {True, False}


async def test_of_many_updates_of_one_version_exactly_one_wins(world: World) -> None:
    for _ in range(ROUNDS):
        installation = await world.installation(ACTIVATED)
        results = await race(*(world.merge(installation, expected_version=1, winner=number) for number in range(8)))
        (won,) = (result for result in results if isinstance(result, Installation))
        conflicts = [result for result in results if isinstance(result, VersionConflict)]
        assert [(lost.expected_version, lost.current_version, lost.installation) for lost in conflicts] == [
            (1, 2, won)
        ] * 7
        assert await world.now(installation) == won


async def test_ten_writers_merge_ten_keys_and_all_are_kept(world: World) -> None:
    for _ in range(5):
        installation = await world.installation(ACTIVATED)
        results = await race(*(world.merge(installation, **{f"key{number}": number}) for number in range(10)))
        now = await world.now(installation)
        assert now is not None
        assert decode_metadata(now.metadata) == {f"key{number}": number for number in range(10)}
        assert sorted(result.version for result in results if isinstance(result, Installation)) == list(range(2, 12))
        changes = [event.change for event in await world.events(installation)]
        assert sorted(change.changed_keys for change in changes if isinstance(change, MetadataUpdated)) == [
            (f"key{number}",) for number in range(10)
        ]
    await assert_the_log_is_in_order(world)


async def test_deleting_against_installing_again_leaves_one_or_none(world: World) -> None:
    application = await world.application("key")
    for _ in range(ROUNDS):
        account = await world.account()
        first = await world.authorize(application, account)
        results = await race(
            world.delete(first), *(world.authorize(application, account) for _ in range(3)), world.delete(first)
        )
        assert sum(isinstance(result, InstallationNotFound) for result in results) == 1
        again = {result.id for result in results if isinstance(result, Installation)} - {first.id}
        living = await asyncio.gather(*(world.now(identifier) for identifier in again))
        assert (len(again) <= 1, None in living) == (True, False)
        assert [(event.installation_id, event.version) for event in await world.events(account=account)] == [
            (first.id, 1), (first.id, 2), *((one, 1) for one in again),
        ]  # fmt: skip


async def test_an_event_that_would_precede_its_predecessor_is_not_written(world: World) -> None:
    database, subject = world.services.database, EventSource()
    first, second = subject.next(), subject.next()
    async with transaction(database) as early:
        await early.fetchval("select pg_current_xact_id()")
        await asyncio.create_task(write(database, first))
        with pytest.raises(WriteConflict):
            await append_event(early, second)
    await write(database, second)
    assert versions_of(await world.events()) == {subject.installation_id: [1, 2]}


async def test_too_many_write_conflicts_are_unavailable(world: World) -> None:
    attempts: list[None] = []

    async def attempt(_: Connection) -> Written[None]:
        attempts.append(None)
        raise WriteConflict

    with pytest.raises(Unavailable):
        await write_with_events(world.services, attempt)
    assert len(attempts) == 50


async def random_actions(world: World, pairs: list[tuple[Application, Account]], *, chance: random.Random) -> None:
    """Take random actions, one after the other."""
    known: list[Installation] = []
    for number in range(40):
        application, account = chance.choice(pairs)
        expires_at = world.clock.advance(seconds=1) + timedelta(seconds=chance.choice([1, 20, 1000]))
        one = chance.choice(known) if known else None
        try:
            match chance.randrange(8):
                case 0 | 1:
                    known.append(await world.authorize(application, account, expires_at=expires_at))
                case 2:
                    known.append(await create(world, application, account))
                case 3 if one:
                    await world.merge(one, key=number)
                case 4 if one:
                    await world.start_sync(one, lease_seconds=chance.choice([1, 100]))
                case 5 if one:
                    await world.activate(one)
                case 6 if one:
                    await world.delete(one)
                case _:
                    await expire_due_installations(world.services)
        except ExpectedFailure:
            continue


@pytest.mark.parametrize("seed", range(3))
async def test_the_log_is_in_order_after_concurrent_random_actions(world: World, seed: int) -> None:
    pairs = [(await world.application("key"), await world.account()) for _ in range(3)]
    await asyncio.gather(*(random_actions(world, pairs, chance=random.Random(f"{seed} {one}")) for one in range(9)))
    await assert_the_log_is_in_order(world)
    last = {event.installation_id: event for event in await world.events()}
    assert len(last) > len(pairs)
    for installation_id, event in last.items():
        now = await world.now(installation_id)
        gone = isinstance(event.change, StatusChanged) and event.change.after is None
        assert (now.version if now else None) == (None if gone else event.version)
