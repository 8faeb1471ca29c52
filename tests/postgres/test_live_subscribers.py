"""Live subscribers have no task and share one stream; each still gets every event once and in order."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.app import Components, build_components
from gateway.domain.cursors import encode_position
from gateway.domain.errors import CursorExpired
from gateway.domain.principals import Principal, PrincipalKind
from gateway.execution.encoding import Payload
from gateway.operations.quotas import CallerRate
from gateway.operations.requests import GraphQLRequest
from gateway.operations.subscriptions import _SINKS_PER_TURN, DELIVERY, Batch, PayloadStream
from gateway.settings import Settings
from gateway.storage.database import connection, transaction
from gateway.storage.events import append_event
from gateway.transport.connections import ConnectionRegistry
from gateway.usecases.services import utc_now
from tests.postgres.event_rows import EventSource, until, whole_log, write

CALLER = Principal(kind=PrincipalKind.PLATFORM)
EVENTS = "subscription ($after: String) { installationEvents(after: $after) { cursor } }"
SHOWN = "subscription { installationEvents { cursor installation { status } } }"


@dataclass(kw_only=True, eq=False)
class Subscriber:
    """A sink that notes the cursors of what it is given, and whose client reads or does not."""

    stream: PayloadStream
    on_take: Callable[[], object] = lambda: None
    cursors: list[str | None] = field(default_factory=list)
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    fallen_behind: int = 0
    ended: list[Exception | None] = field(default_factory=list)

    def start(self, payload: Payload | None = None) -> None:
        self.task = asyncio.create_task(self._follow(payload))

    async def _follow(self, payload: Payload | None) -> None:
        while True:
            if payload is not None:
                await self.reads.wait()
                self.cursors.append(payload.cursor)
            payload = await self.stream.next_or_join(self)
            if payload is None:
                self.task = None
                return

    def take(self, batch: Batch) -> bool:
        if self.reads.is_set():
            self.cursors += [payload.cursor for payload in batch.payloads]
            self.on_take()
        return self.reads.is_set()

    def fall_behind(self, payload: Payload) -> None:
        self.fallen_behind += 1
        self.start(payload)

    def end(self, error: Exception | None) -> None:
        self.ended.append(error)


@dataclass(kw_only=True)
class Running:
    """A gateway without its transports."""

    parts: Components

    async def subscribe(self, query: str = EVENTS, **variables: Any) -> Subscriber:
        request = GraphQLRequest(query=query, variables=variables)
        operation = await self.parts.pipeline.prepare(request, CALLER)
        subscriber = Subscriber(stream=await self.parts.pipeline.subscribe(operation, request, CALLER))
        subscriber.reads.set()
        subscriber.start()
        return subscriber

    async def live(self, count: int, query: str = EVENTS, **variables: Any) -> list[Subscriber]:
        subscribers = [await self.subscribe(query, **variables) for _ in range(count)]
        await until(lambda: all(each.task is None for each in subscribers))
        return subscribers

    async def commit(self, source: EventSource, *, count: int = 1) -> None:
        await write(self.parts.database, *(source.next() for _ in range(count)))
        self.parts.feed.notify()

    @property
    def rate(self) -> CallerRate:
        rate = self.parts.pipeline._rate_limiter.of(CALLER)
        assert rate is not None
        return rate

    @property
    def streams(self) -> int:
        return sum(1 for _ in self.parts.feed._subscribers)


@asynccontextmanager
async def running(database_url: str, *, platform: int = 0) -> AsyncIterator[Running]:
    parts = build_components(
        Settings(rates={"platform": platform, "application": 0, "account": 0, "anonymous": 0}),
        database_url=database_url,
        registry=ConnectionRegistry(),
        prefilled=None,
        now=utc_now,
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(parts.database)
        await stack.enter_async_context(parts.feed)
        await until(lambda: parts.feed.stats.connected)
        yield Running(parts=parts)


@pytest.fixture
async def gateway(database_url: str) -> AsyncIterator[Running]:
    async with running(database_url) as started:
        yield started


async def test_live_subscribers_share_one_stream_and_are_counted_each(gateway: Running) -> None:
    subscribers = await gateway.live(20)
    stats = gateway.parts.feed.stats
    assert (gateway.streams, stats.subscribers) == (1, 20)
    await gateway.commit(EventSource(), count=3)
    await until(lambda: all(len(each.cursors) == 3 for each in subscribers))
    assert len({tuple(each.cursors) for each in subscribers}) == 1
    assert stats.events_delivered == 60
    for each in subscribers[:15]:
        each.stream.leave()
    assert (gateway.streams, stats.subscribers) == (1, 5)
    for each in subscribers:
        each.stream.leave()
    assert (gateway.streams, stats.subscribers, len(gateway.parts.pipeline.shared_subscriptions)) == (0, 0, 0)


async def test_subscribers_that_join_and_fall_behind_get_each_event_once_and_in_order(gateway: Running) -> None:
    chance, position = random.Random(11), await gateway.parts.feed.position()
    sources = [EventSource() for _ in range(4)]
    writing = True

    async def commit_out_of_order(source: EventSource) -> None:
        while writing:
            async with transaction(gateway.parts.database) as held:
                await append_event(held, source.next())
                await asyncio.sleep(chance.uniform(0, 0.02))
            gateway.parts.feed.notify()

    async def stop_reading_now_and_then(subscribers: list[Subscriber]) -> None:
        while writing:
            await asyncio.sleep(0.005)
            if subscribers:
                each = chance.choice(subscribers)
                each.reads.clear() if chance.random() < 0.5 else each.reads.set()

    subscribers: list[Subscriber] = []
    async with asyncio.TaskGroup() as group:
        for source in sources:
            group.create_task(commit_out_of_order(source))
        group.create_task(stop_reading_now_and_then(subscribers))
        for _ in range(60):
            known = chance.choice([None, *(each.cursors[-1] for each in subscribers if each.cursors)])
            subscribers.append(await gateway.subscribe(after=known or encode_position(position)))
            await asyncio.sleep(0.03)
        writing = False
    started_after = [each.cursors[0] for each in subscribers if each.cursors]
    assert started_after
    for each in subscribers:
        each.reads.set()
    log = [event.cursor for event in await whole_log(gateway.parts.database, after=position)]
    await until(lambda: all(each.task is None and each.cursors[-1:] == log[-1:] for each in subscribers))
    for each in subscribers:
        assert each.cursors == log[len(log) - len(each.cursors) :]
    assert sum(each.cursors == log for each in subscribers) > 1
    assert sum(each.fallen_behind for each in subscribers) > 10
    assert gateway.streams == 1


async def test_subscribers_do_not_join_across_events_that_wait_for_a_transaction(gateway: Running) -> None:
    position, source = await gateway.parts.feed.position(), EventSource()
    (live,) = await gateway.live(1)
    async with transaction(gateway.parts.database) as held:  # it has the horizon until its end
        await append_event(held, EventSource().next())
        await asyncio.create_task(gateway.commit(source, count=2))  # in transactions of their own
        late, early = await gateway.subscribe(), await gateway.subscribe(after=encode_position(position))
        await until(lambda: early.task is None)
        await asyncio.sleep(0.05)
        assert late.task is not None
    await gateway.commit(source)
    await until(lambda: all(each.task is None and len(each.cursors) >= 2 for each in (live, early, late)))
    log = [event.cursor for event in await whole_log(gateway.parts.database, after=position)]
    assert live.cursors == early.cursors == log
    assert late.cursors == [cursor for cursor in log if cursor not in (log[1], log[2])]


async def test_client_that_does_not_read_delays_no_other_and_gets_the_events_without_reading_the_log(
    gateway: Running,
) -> None:
    subscribers, source = await gateway.live(5), EventSource()
    silent, *others = subscribers
    silent.reads.clear()
    await gateway.commit(source)
    await until(lambda: [len(each.cursors) for each in subscribers] == [0, 1, 1, 1, 1])
    assert (gateway.streams, gateway.parts.feed.stats.subscribers) == (2, 5)
    await gateway.commit(source, count=40)
    await until(lambda: [len(each.cursors) for each in subscribers] == [0, 41, 41, 41, 41])
    silent.reads.set()
    await until(lambda: silent.task is None and silent.cursors == others[0].cursors)
    assert silent.fallen_behind == 1
    assert gateway.parts.feed.stats.backlog_events_read == 0
    assert gateway.streams == 1


async def test_subscriber_that_leaves_before_it_goes_on_by_itself_leaves_nothing(gateway: Running) -> None:
    first, second = await gateway.live(2)
    second.fall_behind = lambda payload: second.stream.leave()  # type: ignore[method-assign]  # noqa: ARG005
    second.reads.clear()
    await gateway.commit(EventSource())
    await until(lambda: first.cursors)
    assert (gateway.streams, gateway.parts.feed.stats.subscribers) == (1, 1)


async def test_each_delivery_is_paid_and_a_caller_that_owes_waits(database_url: str) -> None:
    async with running(database_url, platform=6_000_000) as gateway:
        subscribers, source = await gateway.live(50), EventSource()
        before = gateway.rate.owed
        await gateway.commit(source)
        await until(lambda: all(len(each.cursors) == 1 for each in subscribers))
        assert gateway.rate.owed - before == 50 * DELIVERY
        gateway.rate.owe(10**9)
        await gateway.commit(source)  # was asked for before
        await until(lambda: all(len(each.cursors) == 2 for each in subscribers))
        gateway.rate.owe(10**9)
        await gateway.commit(source, count=2)
        await asyncio.sleep(0.2)
        assert all(len(each.cursors) == 2 for each in subscribers)
        await until(lambda: all(len(each.cursors) == 4 for each in subscribers))


async def test_payload_that_has_waited_for_the_rate_is_rendered_again(database_url: str) -> None:
    async with running(database_url, platform=1_200_000) as gateway:
        subscribers = await gateway.live(3 * _SINKS_PER_TURN, SHOWN)
        (shared,) = gateway.parts.pipeline.shared_subscriptions.values()
        everything, some_seconds = 10**9, 30_000
        subscribers[0].on_take = lambda: gateway.rate.owe(everything)
        subscribers[_SINKS_PER_TURN].on_take = lambda: gateway.rate.owe(some_seconds)
        await gateway.commit(EventSource())
        await until(lambda: all(each.cursors for each in subscribers))
        assert {len(each.cursors) for each in subscribers} == {1}
        assert shared.begun > 1


async def test_live_subscribers_end_with_the_error_of_their_stream(gateway: Running) -> None:
    subscribers = await gateway.live(3)
    (buffer,) = gateway.parts.feed._subscribers
    async with connection(gateway.parts.database) as held:
        await held.execute("update event_log set epoch = (epoch + 1) % (2::bigint ^ 59)::bigint")
    buffer.resync(reader_position=None)
    await until(lambda: all(each.ended for each in subscribers))
    assert all(isinstance(each.ended[0], CursorExpired) and len(each.ended) == 1 for each in subscribers)
    assert len(gateway.parts.pipeline.shared_subscriptions) == 0


async def test_live_subscribers_end_with_the_feed(database_url: str) -> None:
    async with running(database_url) as gateway:
        subscribers = await gateway.live(3)
    await until(lambda: all(each.ended == [None] for each in subscribers))
