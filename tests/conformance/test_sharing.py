"""What equal subscribers would be told alike is executed and encoded once, also when some of them leave."""

import asyncio
import gc
from functools import partial
from typing import Any

from graphql.execution.collect_fields import CollectedFields

from gateway.domain.principals import Principal, PrincipalKind
from gateway.execution.documents import Documents
from gateway.execution.subscriptions import Payload, PayloadStream
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.requests import GraphQLRequest
from tests.conformance.marketplace import SCHEMA, Context, Market
from tests.serving import eventually

PLATFORM = Principal(kind=PrincipalKind.PLATFORM)
ACCOUNT = Principal(kind=PrincipalKind.ACCOUNT)
TICKS = "subscription { ticks { place } }"


class SubscriberIndex:
    """Subscribers of one engine, without a transport between."""

    def __init__(self) -> None:
        self.market = Market()
        self.pipeline = OperationPipeline(Documents(SCHEMA), make_context=partial(Context, market=self.market))

    async def follow(
        self, query: str = TICKS, *, principal: Principal = PLATFORM, variables: dict[str, Any] | None = None
    ) -> PayloadStream:
        request = GraphQLRequest(query=query, variables=variables)
        operation = await self.pipeline.prepare(request, principal)
        return await self.pipeline.subscribe(operation, request, principal)


async def next_payloads(streams: list[PayloadStream]) -> list[Payload]:
    async with asyncio.timeout(10):
        return await asyncio.gather(*(anext(stream) for stream in streams))


async def test_a_thousand_equal_subscribers_cost_one_execution_for_an_event() -> None:
    followers = SubscriberIndex()
    streams = [await followers.follow() for _ in range(1_000)]
    for place in (3, 4):
        await followers.market.tick(place)
        payloads = await next_payloads(streams)
        assert {id(payload) for payload in payloads} == {id(payloads[0])}
        assert payloads[0].text == f'{{"data":{{"ticks":{{"place":{place}}}}}}}'
    assert followers.market.executions == [3, 4]
    assert followers.pipeline.shared_subscriptions == 1
    for stream in streams:
        await stream.aclose()
    assert (followers.pipeline.shared_subscriptions, followers.market.followers) == (0, 0)


async def test_nothing_is_kept_of_events_that_are_over() -> None:
    followers = SubscriberIndex()
    stream = await followers.follow()
    collected = []
    for place in range(1, 301):
        await followers.market.tick(place)
        await next_payloads([stream])
        if place % 100 == 0:
            gc.collect()
            collected.append(sum(isinstance(one, CollectedFields) for one in gc.get_objects()))
    assert collected[1] == collected[2]
    await stream.aclose()


async def test_what_differs_is_not_shared() -> None:
    followers = SubscriberIndex()
    with_variable = "subscription S($on: Boolean = true) { ticks { place __typename @include(if: $on) } }"
    streams = [
        await followers.follow(),
        await followers.follow(principal=ACCOUNT),
        await followers.follow("subscription { ticks { at: place } }"),
        await followers.follow(with_variable, variables={"on": True}),
        await followers.follow(with_variable, variables={"on": False}),
        await followers.follow(with_variable),
    ]
    await followers.market.tick(1)
    await next_payloads(streams)
    assert len(followers.market.executions) == followers.pipeline.shared_subscriptions == len(streams)
    for stream in streams:
        await stream.aclose()


async def test_where_somebody_began_to_follow_is_no_difference() -> None:
    followers = SubscriberIndex()
    query = "subscription S($after: Int) { ticks(after: $after) { place } }"
    for place in (1, 2):
        await followers.market.tick(place)
    streams = [
        await followers.follow(query, variables=variables) for variables in ({"after": 0}, {"after": 1}, {}, None)
    ]
    assert [payload.text for payload in await next_payloads(streams[:2])] == [
        '{"data":{"ticks":{"place":1}}}',
        '{"data":{"ticks":{"place":2}}}',
    ]
    await followers.market.tick(3)
    await next_payloads(streams[:1])
    assert len({id(payload) for payload in await next_payloads([streams[0], streams[1]])}) == 1
    assert followers.market.executions == [1, 2, 3]
    assert followers.pipeline.shared_subscriptions == 1
    for stream in streams:
        await stream.aclose()


async def test_an_event_without_a_share_key_is_executed_for_each() -> None:
    followers = SubscriberIndex()
    streams = [await followers.follow() for _ in range(3)]
    await followers.market.tick(-1)
    await next_payloads(streams)
    assert followers.market.executions == [-1, -1, -1]
    for stream in streams:
        await stream.aclose()


async def test_who_leaves_in_the_middle_does_not_take_the_answer_from_the_others() -> None:
    followers = SubscriberIndex()
    streams = [await followers.follow() for _ in range(3)]
    waiting = [asyncio.create_task(anext(stream)) for stream in streams]
    await eventually(lambda: followers.market.followers == 3)
    await followers.market.tick(1)
    while not followers.market.executions:  # noqa: ASYNC110 - the very turn of the loop in which it has begun
        await asyncio.sleep(0)
    waiting[0].cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert [payload.cursor for payload in results[1:] if isinstance(payload, Payload)] == ["c1", "c1"]
    assert followers.market.executions == [1]
    for stream in streams:
        await stream.aclose()
    assert followers.pipeline.shared_subscriptions == 0


async def test_who_is_far_behind_is_served_too_and_renderings_do_not_pile_up() -> None:
    followers = SubscriberIndex()
    ahead, behind = await followers.follow(), await followers.follow()
    await followers.market.tick(*range(200))
    for stream in (ahead, behind):
        for place in range(200):
            assert (await anext(stream)).cursor == f"c{place}"
    assert len(followers.market.executions) == 400
    (shared,) = followers.pipeline._shared._shared.values()
    assert len(shared._payloads) == 64
    await ahead.aclose()
    await behind.aclose()


async def test_a_source_that_cannot_be_opened_leaves_no_plan_behind() -> None:
    followers = SubscriberIndex()
    stream = await followers.follow("subscription { expiring }")
    await anext(stream)
    del stream
    gc.collect()
    stream = await followers.follow("subscription { count(to: 0) }")
    assert [payload async for payload in stream] == []
    assert [payload async for payload in stream] == []
