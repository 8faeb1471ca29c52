"""Many writers and many followers on two gateways while something fails, and the proof that nothing was lost."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, islice

from gateway.domain.cursors import encode_position
from gateway.domain.event_filters import ALL_KINDS, EventFilter
from gateway.domain.events import Event, EventKind
from gateway.domain.principals import PrincipalKind
from tests.live.followers import STATUS_CHANGES, Received, SocketFollower, StreamFollower, SubscriberBuffer, Wish
from tests.live.servers import GatewayProcess, Postgres
from tests.live.worlds import World
from tests.live.writers import Ledger, write_here, write_over_http
from tests.postgres.event_rows import whole_log

STATUSES = frozenset({EventKind.STATUS_CHANGED})
CATCH_UP_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Size:
    writers: int
    changes: int
    followers: int
    applications: int
    accounts: int


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a fault can lay hands on."""

    postgres: Postgres
    gateways: Sequence[GatewayProcess]
    world: World
    ledger: Ledger

    async def reached(self, part: float) -> None:
        """Wait until so much of the changes is done."""
        while self.ledger.progress() < part:  # noqa: ASYNC110 - the ledger is a plain list, written by many
            await asyncio.sleep(0.01)


Fault = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What there was to see of a storm in which nothing was lost."""

    log: Sequence[Event]
    followers: Sequence[SubscriberBuffer]
    ledger: Ledger


async def storm(
    world: World, *, postgres: Postgres, gateways: Sequence[GatewayProcess], size: Size, fault: Fault
) -> Outcome:
    """Write and follow until the changes are done and the fault is over; fail where a follower lacks anything."""
    urls = [services.url for services in gateways]
    beginning = await world.feed.position()
    cursor = encode_position(beginning)
    followers = await made_followers(world, count=size.followers, urls=urls, cursor=cursor)
    following = [asyncio.create_task(follower.follow()) for follower in followers]
    ledger = Ledger(wanted=size.changes)
    stage = Stage(postgres=postgres, gateways=gateways, world=world, ledger=ledger)
    try:
        await asyncio.gather(fault(stage), *_writers(world, ledger, count=size.writers, urls=urls))
        log = await whole_log(world.services.database, after=beginning)
        _check_log(log, ledger=ledger, world=world)
        expected = [expected_of(follower.wish, log=log) for follower in followers]
        await _received(followers, expected=expected, following=following)
    finally:
        for task in following:
            task.cancel()
        endings = await asyncio.gather(*following, return_exceptions=True)
    assert [ending for ending in endings if not isinstance(ending, asyncio.CancelledError)] == []
    for follower, events in zip(followers, expected, strict=True):
        assert follower.received == events
    return Outcome(log=log, followers=followers, ledger=ledger)


def expected_of(wish: Wish, *, log: Sequence[Event]) -> list[Received]:
    return [
        Received(str(event.installation_id), event.version, encode_position(event.position))
        for event in log
        if wish.matching.matches(event)
    ]


async def made_followers(world: World, *, count: int, urls: Sequence[str], cursor: str) -> list[SubscriberBuffer]:
    """Make followers that ask for different things, by turns over both transports and first at each of the gateways."""
    wishes = list(islice(cycle(await _wishes(world)), count))
    kinds = (SocketFollower, StreamFollower)
    followers: list[SubscriberBuffer] = []
    for number, wish in enumerate(wishes):
        home = number // 2 % len(urls)
        own_urls = [*urls[home:], *urls[:home]]
        followers.append(kinds[number % 2](wish, urls=own_urls, cursor=cursor))
    return followers


async def _wishes(world: World) -> list[Wish]:
    """Cover filters, subscriptions and kinds of callers. Odd in number, so that all meet both transports."""
    one, two = world.installations[0], world.installations[-1]
    application_key = await world.key(PrincipalKind.APPLICATION, application_id=one.application_id)
    account_key = await world.key(PrincipalKind.ACCOUNT, account_id=two.account_id)
    bound_key = await world.key(PrincipalKind.APPLICATION, application_id=two.application_id, account_id=two.account_id)
    of_one, of_account = EventFilter(installation_id=one.id), EventFilter(account_id=one.account_id)
    both = EventFilter(application_id=two.application_id, account_id=one.account_id)
    return [
        Wish(secret=world.secret, variables={}, matching=EventFilter()),
        Wish(secret=world.secret, variables=_filter(of_one), matching=of_one),
        Wish(secret=world.secret, variables=_filter(of_account), matching=of_account),
        Wish(secret=world.secret, variables=_filter(both), matching=both),
        Wish(secret=world.secret, document=STATUS_CHANGES, variables={}, matching=EventFilter(kinds=STATUSES)),
        Wish(
            secret=world.secret,
            document=STATUS_CHANGES,
            variables={"applicationId": str(one.application_id)},
            matching=EventFilter(application_id=one.application_id, kinds=STATUSES),
        ),
        Wish(secret=application_key, variables={}, matching=EventFilter(application_id=one.application_id)),
        Wish(
            secret=account_key,
            variables={},
            matching=EventFilter(account_id=two.account_id, kinds=ALL_KINDS - {EventKind.METADATA_UPDATED}),
        ),
        Wish(
            secret=bound_key,
            variables={},
            matching=EventFilter(application_id=two.application_id, account_id=two.account_id),
        ),
    ]


def _filter(matching: EventFilter) -> dict[str, dict[str, str]]:
    given = {
        "installationId": matching.installation_id,
        "applicationId": matching.application_id,
        "accountId": matching.account_id,
    }
    return {"filter": {name: str(value) for name, value in given.items() if value is not None}}


def _writers(world: World, ledger: Ledger, *, count: int, urls: Sequence[str]) -> list[Awaitable[None]]:
    """Three of four write over HTTP."""
    return [
        write_here(world, ledger, seed=seed) if seed % 4 == 0 else write_over_http(world, ledger, urls=urls, seed=seed)
        for seed in range(count)
    ]


def _check_log(log: Sequence[Event], *, ledger: Ledger, world: World) -> None:
    """What was answered is in the log, and the log has each installation's versions in order and without a gap."""
    versions: dict[str, list[int]] = {str(one.id): [] for one in world.installations}
    for event in log:
        versions[str(event.installation_id)].append(event.version)
    for numbers in versions.values():
        assert numbers == list(range(2, len(numbers) + 2))
    logged = {(installation_id, number) for installation_id, numbers in versions.items() for number in (1, *numbers)}
    assert ledger.answered <= logged


async def _received(
    followers: Sequence[SubscriberBuffer],
    *,
    expected: Sequence[Sequence[Received]],
    following: Sequence["asyncio.Task[None]"],
) -> None:
    """Wait until everybody has as much as there is; what is wrong shows after."""
    pairs = list(zip(followers, expected, strict=True))
    with suppress(TimeoutError):
        async with asyncio.timeout(CATCH_UP_SECONDS):
            while any(len(one.received) < len(events) for one, events in pairs):
                if any(task.done() for task in following):
                    return
                await asyncio.sleep(0.01)
