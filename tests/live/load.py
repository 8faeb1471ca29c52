"""Load: many writers and many subscribers on two gateways during a fault, and the check that no event is lost."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, islice

from gateway.domain.cursors import encode_position
from gateway.domain.event_filters import ALL_KINDS, EventFilter
from gateway.domain.events import Event, EventKind
from gateway.domain.installations import InstallationStatus
from gateway.domain.principals import PrincipalKind
from tests.live.dataset import Dataset
from tests.live.servers import GatewayProcess, Postgres
from tests.live.subscribers import (
    STATUS_CHANGES,
    Received,
    StreamSubscriber,
    Subscriber,
    SubscriptionSpec,
    WebSocketSubscriber,
)
from tests.live.writers import WriteResults, write_here, write_over_http
from tests.postgres.event_rows import whole_log

STATUSES = frozenset({EventKind.STATUS_CHANGED})
CATCH_UP_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Size:
    writers: int
    changes: int
    subscribers: int
    applications: int
    accounts: int
    faults: int
    """How often Postgres restarts in the fault that restarts it."""
    kills: int
    """How often the feeds' connections are killed in the fault that kills them."""
    overtaking: int
    """How many changes are made while one transaction stays open, in the fault of late commits."""


@dataclass(frozen=True, kw_only=True)
class LoadRun:
    """A running load, as its fault sees it."""

    postgres: Postgres
    gateways: Sequence[GatewayProcess]
    dataset: Dataset
    results: WriteResults
    size: Size

    async def reached(self, part: float) -> None:
        """Wait until this part of the changes is done."""
        while self.results.progress() < part:  # noqa: ASYNC110 - the results are a plain set, written by many tasks
            await asyncio.sleep(0.01)


Fault = Callable[[LoadRun], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """The result of a load in which no event was lost."""

    log: Sequence[Event]
    subscribers: Sequence[Subscriber]
    results: WriteResults


async def run_load(
    dataset: Dataset, *, postgres: Postgres, gateways: Sequence[GatewayProcess], size: Size, fault: Fault
) -> LoadResult:
    """Write and subscribe until the changes are done and the fault is over; fail where a subscriber misses an event."""
    urls = [services.url for services in gateways]
    start = await dataset.feed.position()
    cursor = encode_position(start)
    subscribers = await make_subscribers(dataset, count=size.subscribers, urls=urls, cursor=cursor)
    tasks = [asyncio.create_task(subscriber.receive()) for subscriber in subscribers]
    results = WriteResults(wanted=size.changes)
    run = LoadRun(postgres=postgres, gateways=gateways, dataset=dataset, results=results, size=size)
    try:
        await asyncio.gather(fault(run), *_writers(dataset, results, count=size.writers, urls=urls))
        log = await whole_log(dataset.services.database, after=start)
        _check_log(log, results=results, dataset=dataset)
        expected = [expected_events(subscriber.spec, log=log) for subscriber in subscribers]
        await _received(subscribers, expected=expected, tasks=tasks)
    finally:
        for task in tasks:
            task.cancel()
        endings = await asyncio.gather(*tasks, return_exceptions=True)
    assert [ending for ending in endings if not isinstance(ending, asyncio.CancelledError)] == []
    for subscriber, events in zip(subscribers, expected, strict=True):
        assert subscriber.received == events
    return LoadResult(log=log, subscribers=subscribers, results=results)


def expected_events(spec: SubscriptionSpec, *, log: Sequence[Event]) -> list[Received]:
    return [
        Received(str(event.installation_id), event.version, encode_position(event.position))
        for event in log
        if spec.matching.matches(event)
    ]


async def make_subscribers(dataset: Dataset, *, count: int, urls: Sequence[str], cursor: str) -> list[Subscriber]:
    """Make subscribers with different filters, alternating between the transports and between the gateways."""
    specs = list(islice(cycle(await _specs(dataset)), count))
    kinds = (WebSocketSubscriber, StreamSubscriber)
    subscribers: list[Subscriber] = []
    for number, spec in enumerate(specs):
        first = number // 2 % len(urls)
        own_urls = [*urls[first:], *urls[:first]]
        subscribers.append(kinds[number % 2](spec, urls=own_urls, cursor=cursor))
    return subscribers


async def _specs(dataset: Dataset) -> list[SubscriptionSpec]:
    """Cover filters, subscriptions and kinds of callers. Odd in number, so that each meets both transports."""
    one, two = dataset.installations[0], dataset.installations[-1]
    application_key = await dataset.key(PrincipalKind.APPLICATION, application_id=one.application_id)
    account_key = await dataset.key(PrincipalKind.ACCOUNT, account_id=two.account_id)
    bound_key = await dataset.key(
        PrincipalKind.APPLICATION, application_id=two.application_id, account_id=two.account_id
    )
    of_one, of_account = (
        EventFilter(installation_ids=frozenset({one.id})),
        EventFilter(account_ids=frozenset({one.account_id})),
    )
    both = EventFilter(application_ids=frozenset({two.application_id}), account_ids=frozenset({one.account_id}))
    several = EventFilter(
        installation_ids=frozenset(each.id for each in dataset.installations[::3]),
        account_ids=frozenset(each.account_id for each in dataset.installations[::2]),
        kinds=frozenset({EventKind.METADATA_UPDATED, EventKind.STATUS_CHANGED}),
    )
    activated = EventFilter(
        application_ids=frozenset({one.application_id, two.application_id}),
        to=frozenset({InstallationStatus.ACTIVATED, InstallationStatus.PENDING_INTEGRATION}),
    )
    return [
        SubscriptionSpec(secret=dataset.secret, variables={}, matching=EventFilter()),
        SubscriptionSpec(secret=dataset.secret, variables=_filter(of_one), matching=of_one),
        SubscriptionSpec(secret=dataset.secret, variables=_filter(of_account), matching=of_account),
        SubscriptionSpec(secret=dataset.secret, variables=_filter(both), matching=both),
        SubscriptionSpec(secret=dataset.secret, variables=_filter(several), matching=several),
        SubscriptionSpec(secret=dataset.secret, variables=_filter(activated), matching=activated),
        SubscriptionSpec(
            secret=dataset.secret, document=STATUS_CHANGES, variables={}, matching=EventFilter(kinds=STATUSES)
        ),
        SubscriptionSpec(
            secret=dataset.secret,
            document=STATUS_CHANGES,
            variables={"filter": {"applicationIds": [str(one.application_id)]}},
            matching=EventFilter(application_ids=frozenset({one.application_id}), kinds=STATUSES),
        ),
        SubscriptionSpec(
            secret=application_key, variables={}, matching=EventFilter(application_ids=frozenset({one.application_id}))
        ),
        SubscriptionSpec(
            secret=account_key,
            variables={},
            matching=EventFilter(
                account_ids=frozenset({two.account_id}), kinds=ALL_KINDS - {EventKind.METADATA_UPDATED}
            ),
        ),
        SubscriptionSpec(
            secret=bound_key,
            variables={},
            matching=EventFilter(
                application_ids=frozenset({two.application_id}), account_ids=frozenset({two.account_id})
            ),
        ),
    ]


def _filter(matching: EventFilter) -> dict[str, dict[str, list[str]]]:
    given = {
        "installationIds": matching.installation_ids,
        "applicationIds": matching.application_ids,
        "accountIds": matching.account_ids,
    }
    asked = {name: [str(each) for each in ids] for name, ids in given.items() if ids is not None}
    enums = {"kinds": None if matching.kinds == ALL_KINDS else matching.kinds, "to": matching.to}
    return {"filter": asked | {name: [each.value for each in some] for name, some in enums.items() if some is not None}}


def _writers(dataset: Dataset, results: WriteResults, *, count: int, urls: Sequence[str]) -> list[Awaitable[None]]:
    """Three of four write over HTTP."""
    return [
        write_here(dataset, results, seed=seed)
        if seed % 4 == 0
        else write_over_http(dataset, results, urls=urls, seed=seed)
        for seed in range(count)
    ]


def _check_log(log: Sequence[Event], *, results: WriteResults, dataset: Dataset) -> None:
    """Every answered change is in the log, and the log has each installation's versions in order and without a gap."""
    versions: dict[str, list[int]] = {str(one.id): [] for one in dataset.installations}
    for event in log:
        versions[str(event.installation_id)].append(event.version)
    for numbers in versions.values():
        assert numbers == list(range(2, len(numbers) + 2))
    logged = {(installation_id, number) for installation_id, numbers in versions.items() for number in (1, *numbers)}
    assert results.answered <= logged


async def _received(
    subscribers: Sequence[Subscriber],
    *,
    expected: Sequence[Sequence[Received]],
    tasks: Sequence["asyncio.Task[None]"],
) -> None:
    """Wait until each subscriber has as many events as expected; the caller compares them."""
    pairs = list(zip(subscribers, expected, strict=True))
    with suppress(TimeoutError):
        async with asyncio.timeout(CATCH_UP_SECONDS):
            while any(len(one.received) < len(events) for one, events in pairs):
                if any(task.done() for task in tasks):
                    return
                await asyncio.sleep(0.01)
