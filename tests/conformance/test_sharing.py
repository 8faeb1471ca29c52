"""Equal subscribers share the execution and the encoded payload of each event."""

import asyncio
import gc
from functools import partial
from typing import Any

import pytest
from graphql.execution.collect_fields import CollectedFields

from gateway.domain.errors import RateLimited
from gateway.domain.principals import Principal, PrincipalKind
from gateway.execution.costs import CostModel
from gateway.execution.documents import Documents
from gateway.execution.encoding import Payload
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.quotas import CallerRate, Quota
from gateway.operations.requests import GraphQLRequest
from gateway.operations.subscriptions import DELIVERY, PayloadStream
from tests.conformance.sample_gateway import SCHEMA, Context, State
from tests.serving import DEADLINE, eventually

PLATFORM = Principal(kind=PrincipalKind.PLATFORM)
ACCOUNT = Principal(kind=PrincipalKind.ACCOUNT)
TICKS = "subscription { ticks { place } }"


class Subscribers:
    """Subscribers of one pipeline, without a transport."""

    def __init__(self, *, costs: CostModel = CostModel(), minute: int | None = None) -> None:  # noqa: B008 - frozen
        self.state = State()
        quotas: dict[PrincipalKind | None, Quota] = dict.fromkeys(PrincipalKind, Quota(operation=10**9, minute=minute))
        make_context = partial(Context, state=self.state)
        self.pipeline = OperationPipeline(Documents(SCHEMA, costs=costs), make_context=make_context, quotas=quotas)

    @property
    def rate(self) -> CallerRate:
        rate = self.pipeline._rate_limiter.of(PLATFORM)
        assert rate is not None
        return rate

    async def follow(
        self, query: str = TICKS, *, principal: Principal = PLATFORM, variables: dict[str, Any] | None = None
    ) -> PayloadStream:
        request = GraphQLRequest(query=query, variables=variables)
        operation = await self.pipeline.prepare(request, principal)
        return await self.pipeline.subscribe(operation, request, principal)


async def next_payloads(streams: list[PayloadStream]) -> list[Payload]:
    async with asyncio.timeout(DEADLINE):
        return await asyncio.gather(*(anext(stream) for stream in streams))


async def test_thousand_equal_subscribers_cost_one_execution_per_event() -> None:
    subscribers = Subscribers()
    streams = [await subscribers.follow() for _ in range(1_000)]
    for place in (3, 4):
        await subscribers.state.tick(place)
        payloads = await next_payloads(streams)
        assert {id(payload) for payload in payloads} == {id(payloads[0])}
        assert payloads[0].text == f'{{"data":{{"ticks":{{"place":{place}}}}}}}'
    assert subscribers.state.executions == [3, 4]
    assert len(subscribers.pipeline.shared_subscriptions) == 1
    for stream in streams:
        await stream.aclose()
    assert (len(subscribers.pipeline.shared_subscriptions), subscribers.state.subscribers) == (0, 0)


async def test_delivered_events_leave_nothing_in_memory() -> None:
    subscribers = Subscribers()
    stream = await subscribers.follow()
    collected = []
    for place in range(1, 301):
        await subscribers.state.tick(place)
        await next_payloads([stream])
        if place % 100 == 0:
            gc.collect()
            collected.append(sum(isinstance(one, CollectedFields) for one in gc.get_objects()))
    assert collected[1] == collected[2]
    await stream.aclose()


async def test_different_subscriptions_share_nothing() -> None:
    subscribers = Subscribers()
    with_variable = "subscription S($on: Boolean = true) { ticks { place __typename @include(if: $on) } }"
    streams = [
        await subscribers.follow(),
        await subscribers.follow(principal=ACCOUNT),
        await subscribers.follow("subscription { ticks { at: place } }"),
        await subscribers.follow(with_variable, variables={"on": True}),
        await subscribers.follow(with_variable, variables={"on": False}),
        await subscribers.follow(with_variable),
    ]
    await subscribers.state.tick(1)
    await next_payloads(streams)
    assert len(subscribers.state.executions) == len(subscribers.pipeline.shared_subscriptions) == len(streams)
    for stream in streams:
        await stream.aclose()


async def test_subscriptions_with_different_cursors_share_payloads() -> None:
    subscribers = Subscribers()
    query = "subscription S($after: Int) { ticks(after: $after) { place } }"
    for place in (1, 2):
        await subscribers.state.tick(place)
    streams = [
        await subscribers.follow(query, variables=variables) for variables in ({"after": 0}, {"after": 1}, {}, None)
    ]
    assert [payload.text for payload in await next_payloads(streams[:2])] == [
        '{"data":{"ticks":{"place":1}}}',
        '{"data":{"ticks":{"place":2}}}',
    ]
    await subscribers.state.tick(3)
    await next_payloads(streams[:1])
    assert len({id(payload) for payload in await next_payloads([streams[0], streams[1]])}) == 1
    assert subscribers.state.executions == [1, 2, 3]
    assert len(subscribers.pipeline.shared_subscriptions) == 1
    for stream in streams:
        await stream.aclose()


LATEST = "subscription S($after: Int) { ticks(after: $after) { latest } }"


async def test_payload_that_shows_rows_is_not_replayed_to_a_later_subscriber() -> None:
    subscribers = Subscribers()
    first = await subscribers.follow(LATEST)
    await subscribers.state.tick(1)
    assert [payload.text for payload in await next_payloads([first])] == ['{"data":{"ticks":{"latest":1}}}']
    await subscribers.state.tick(2)
    late, first_again = await subscribers.follow(LATEST), await subscribers.follow(LATEST)
    for stream in (late, first_again):
        assert (await next_payloads([stream]))[0].text == '{"data":{"ticks":{"latest":2}}}'
    assert subscribers.state.executions == [1, 1, 1]
    for stream in (first, late, first_again):
        await stream.aclose()


async def test_thousand_subscribers_share_payloads_that_show_rows() -> None:
    subscribers = Subscribers()
    streams = [await subscribers.follow(LATEST) for _ in range(1_000)]

    async def take(stream: PayloadStream) -> list[Payload]:
        return [await anext(stream) for _ in range(20)]

    async with asyncio.timeout(DEADLINE):
        tasks = [asyncio.create_task(take(stream)) for stream in streams]
        await eventually(lambda: subscribers.state.subscribers == len(streams))
        await subscribers.state.tick(*range(10))  # at once
        await eventually(lambda: len(subscribers.state.executions) == 10)
        for place in range(10, 20):
            await subscribers.state.tick(place)
        await asyncio.gather(*tasks)
    assert subscribers.state.executions == list(range(20))
    for stream in streams:
        await stream.aclose()


async def test_event_without_a_share_key_is_executed_for_each_subscriber() -> None:
    subscribers = Subscribers()
    streams = [await subscribers.follow() for _ in range(3)]
    await subscribers.state.tick(-1)
    await next_payloads(streams)
    assert subscribers.state.executions == [-1, -1, -1]
    for stream in streams:
        await stream.aclose()


async def test_cancelled_subscriber_leaves_the_shared_execution_running() -> None:
    subscribers = Subscribers()
    streams = [await subscribers.follow() for _ in range(3)]
    waiting = [asyncio.create_task(anext(stream)) for stream in streams]
    await eventually(lambda: subscribers.state.subscribers == 3)
    await subscribers.state.tick(1)
    while not subscribers.state.executions:  # noqa: ASYNC110 - the very turn of the loop in which it has begun
        await asyncio.sleep(0)
    waiting[0].cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert [payload.cursor for payload in results[1:] if isinstance(payload, Payload)] == ["c1", "c1"]
    assert subscribers.state.executions == [1]
    for stream in streams:
        await stream.aclose()
    assert len(subscribers.pipeline.shared_subscriptions) == 0


async def test_slow_subscriber_gets_every_event_and_payloads_are_bounded() -> None:
    subscribers = Subscribers()
    ahead, behind = await subscribers.follow(), await subscribers.follow()
    await subscribers.state.tick(*range(200))
    for stream in (ahead, behind):
        for place in range(200):
            assert (await anext(stream)).cursor == f"c{place}"
    assert len(subscribers.state.executions) == 400
    (shared,) = subscribers.pipeline.shared_subscriptions.values()
    assert len(shared._renderings) == 64
    await ahead.aclose()
    await behind.aclose()


async def test_stream_that_is_dropped_or_empty_ends_cleanly() -> None:
    subscribers = Subscribers()
    stream = await subscribers.follow("subscription { expiring }")
    await anext(stream)
    del stream
    gc.collect()
    stream = await subscribers.follow("subscription { count(to: 0) }")
    assert [payload async for payload in stream] == []
    assert [payload async for payload in stream] == []


EXPENSIVE = CostModel(operation=100_000)


async def test_equal_subscribers_pay_for_each_event_once() -> None:
    subscribers = Subscribers(costs=EXPENSIVE, minute=20_000_000)
    streams = [await subscribers.follow() for _ in range(10)]
    before = await subscribers.rate.remaining()
    for place in range(20):
        await subscribers.state.tick(place)
        await next_payloads(streams)
    spent = before - await subscribers.rate.remaining()
    assert 0 < spent <= 20 * (101_000 + 10 * DELIVERY)  # what has come back meanwhile is not spent
    for stream in streams:
        await stream.aclose()


async def test_each_delivery_is_paid_by_its_caller() -> None:
    subscribers = Subscribers(minute=600_000)
    query = "subscription { ticks { padding(size: 100000) } }"
    streams = [await subscribers.follow(query) for _ in range(50)]
    await subscribers.state.tick(1)
    await next_payloads(streams)
    assert subscribers.state.executions == []
    assert 50 * (DELIVERY + 100) <= subscribers.rate.owed <= 50 * (DELIVERY + 200)
    for stream in streams:
        await stream.aclose()


async def test_subscriber_whose_caller_owes_too_much_waits_and_gets_every_event() -> None:
    subscribers = Subscribers(minute=6_000_000)
    streams = [await subscribers.follow() for _ in range(3)]
    subscribers.rate.owe(10**9)
    waiting = [asyncio.ensure_future(anext(stream)) for stream in streams]
    await subscribers.state.tick(*range(5))
    done, _ = await asyncio.wait(waiting, timeout=0.1)
    assert not done
    async with asyncio.timeout(DEADLINE):
        first = [(await each).cursor for each in waiting]
    rest = [[payload.cursor for payload in await next_payloads(streams)] for _ in range(4)]
    assert [first, *rest] == [[f"c{place}"] * 3 for place in range(5)]
    for stream in streams:
        await stream.aclose()


async def test_those_that_wait_for_a_rate_are_served_in_order() -> None:
    rate, served = Subscribers(minute=60_000).rate, list[int]()
    await rate.charge(5_000)

    async def wait(number: int) -> None:
        await rate.wait(10 if number else 800)
        served.append(number)

    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*(wait(number) for number in range(4)))
    assert served == [0, 1, 2, 3]


async def test_document_that_took_more_than_its_charge_is_paid_before_the_next_one() -> None:
    subscribers = Subscribers(minute=6_000_000)
    fields = " ".join(f"f{number}: place" for number in range(60))

    async def prepare_many() -> None:
        for number in range(1_000):  # of 5 ms each
            request = GraphQLRequest(query=f"subscription {{ a{number}: ticks {{ {fields} }} }}")
            await subscribers.pipeline.prepare(request, PLATFORM)

    with pytest.raises(RateLimited):
        await prepare_many()


async def test_document_of_another_caller_does_not_wait_for_hundreds_of_one() -> None:
    pipeline = Subscribers(minute=6_000_000).pipeline

    async def prepare(number: int, *, caller: Principal) -> None:
        await pipeline.prepare(GraphQLRequest(query=f"subscription {{ a{number}: ticks {{ place }} }}"), caller)

    many = [asyncio.create_task(prepare(number, caller=PLATFORM)) for number in range(100)]
    await asyncio.sleep(0)  # they have begun
    await prepare(100, caller=ACCOUNT)
    assert sum(task.done() for task in many) < 10
    await asyncio.gather(*many)


async def test_subscriber_gets_its_events_as_its_quota_comes_back() -> None:
    subscribers = Subscribers(costs=EXPENSIVE, minute=20_000_000)
    stream = await subscribers.follow()
    subscribers.rate.owe(10**9)
    await subscribers.state.tick(1, 2)
    waiting = asyncio.ensure_future(anext(stream))
    done, _ = await asyncio.wait((waiting,), timeout=0.1)
    assert not done
    async with asyncio.timeout(DEADLINE):
        assert '"place":1' in (await waiting).text
    assert '"place":2' in (await next_payloads([stream]))[0].text
    await stream.aclose()
