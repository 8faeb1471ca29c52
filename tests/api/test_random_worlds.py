"""Random worlds, callers and questions: no answer shows anything of what its caller does not see.

The questions are run by the pipeline on the real database, some of them over HTTP as well: the pipeline answers several
hundred a second, and HTTP adds to its bytes nothing that depends on the caller. The long form has
more of them.
"""

import asyncio
import json
import logging
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from asyncpg import Record
from graphql import FieldNode, GraphQLError, ObjectValueNode, OperationDefinitionNode, StringValueNode, parse
from hypothesis import strategies as st
from hypothesis_graphql import nodes

from gateway.domain.cursors import encode_position
from gateway.domain.errors import GatewayError
from gateway.domain.principals import Principal, PrincipalKind
from gateway.execution.errors import format_errors
from gateway.feed.feed import Feed
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.requests import GraphQLRequest
from gateway.schema.context import Context
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.usecases.api_keys import ApiKeyCache
from gateway.usecases.batch_loader import BatchLoaders
from gateway.usecases.services import Services
from gateway.wiring import build_documents, quotas
from tests.api.conftest import Serve
from tests.generation import prying
from tests.generation.asking import Reading, known_in, settled
from tests.generation.documents import (
    CURSORS,
    JSON,
    Replacements,
    Scalars,
    json_object,
    mutation_documents,
    placeholders,
    query_documents,
    replaced,
    subscription_documents,
)
from tests.generation.plans import BEGINNING, Plan, plans, with_other_secrets
from tests.generation.samples import sampled
from tests.generation.sight import Sight
from tests.generation.worlds import World, made

LOG = logging.getLogger(__name__)
UNLIMITED = Settings(max_operation_cost=10_000_000, max_depth=100)
PLATFORM = Principal(kind=PrincipalKind.PLATFORM)
CALLERS_IN_EACH = 4
SIMPLEST = 5
"""So many worlds are left out: hypothesis begins with the least that can be."""
EVENT_SECONDS = 30

_SECRETS = placeholders(("secret",)).map(lambda secret: json_object({"secret": nodes.String(secret)}))
SCALARS: Scalars = {
    "ID": placeholders(("application", "account", "installation", "absent")).map(nodes.String),
    "String": st.one_of(placeholders((*CURSORS, "foreign")), *[placeholders(("slug", "word"))] * 2).map(nodes.String),
    "Int": st.sampled_from((0, 1, 2, 3, 5, 20, 100)).map(nodes.Int),
    "DateTime": st.sampled_from(("2026-01-01T00:05:00Z", "2026-01-01T00:20:00Z")).map(nodes.String),
    "JSON": st.one_of(_SECRETS, _SECRETS, JSON),
}
PLAIN: Scalars = {"String": st.just("text").map(nodes.String), "JSON": st.just({}).map(json_object)}
"""What changes nothing that is traced."""


# graphql-core cancels the siblings of a field that fails, and drops what of them had not begun.
pytestmark = pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited:RuntimeWarning",
    "ignore:Exception ignored in. <coroutine object:pytest.PytestUnraisableExceptionWarning",
)


@dataclass(kw_only=True)
class House:
    """The operation pipeline on a database, and counts of what it ran."""

    pipeline: OperationPipeline
    services: Services
    counted: Counter[str] = field(default_factory=Counter)

    async def answer(self, caller: Principal, query: str) -> str:
        self.counted["queries"] += 1
        try:
            request = GraphQLRequest(query=query)
            operation = await self.pipeline.prepare(request, caller)
            response = await self.pipeline.execute(operation, request, caller)
        except GatewayError as error:
            return json.dumps({"errors": format_errors(error)})
        return response.body.decode()

    async def told(self, caller: Principal, subscription: str, *, count: int) -> tuple[list[str], list[str]]:
        """Follow a subscription for so many events; answer what was told, and the cursors."""
        self.counted["subscriptions"] += 1
        try:
            request = GraphQLRequest(query=subscription)
            operation = await self.pipeline.prepare(request, caller)
            stream = await self.pipeline.subscribe(operation, request, caller)
        except (GatewayError, GraphQLError) as error:
            return [json.dumps({"errors": format_errors(error)})], []
        try:
            async with asyncio.timeout(EVENT_SECONDS):
                payloads = [await anext(stream) for _ in range(count)]
        finally:
            await stream.aclose()
        self.counted["events"] += count
        return [payload.text for payload in payloads], [payload.cursor or "" for payload in payloads]


@pytest.fixture
async def house(database: Database, database_url: str) -> AsyncIterator[House]:
    async with Feed(database, url=database_url) as feed:
        services = Services(database=database, notify=feed.notify, failure_limit=2)
        make_context = partial(
            Context,
            services=services,
            feed=feed,
            api_key_cache=ApiKeyCache(services),
            batch_loaders=BatchLoaders(database),
        )
        pipeline = OperationPipeline(
            build_documents(UNLIMITED, introspection=True), make_context=make_context, quotas=quotas(UNLIMITED)
        )
        yield House(pipeline=pipeline, services=services)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked in one world, by whom."""

    plan: Plan
    queries: list[str]
    subscriptions: list[str]
    mutations: list[str]
    callers: list[Principal]


@pytest.fixture(scope="module")
def everything_asked(*, long: bool) -> list[Asked]:
    """Draw the worlds and the questions: the same ones each time, and before anything runs that must not be held up."""
    worlds, queries_in_each, subscriptions_in_each, mutations_in_each = (60, 12, 4, 20) if long else (4, 6, 2, 8)
    queries = sampled(query_documents(scalars=SCALARS), count=worlds * queries_in_each)
    subscriptions = sampled(subscription_documents(scalars=SCALARS), count=worlds * subscriptions_in_each)
    mutations = sampled(mutation_documents(scalars={**SCALARS, **PLAIN}), count=worlds * mutations_in_each)
    chance = random.Random(1)
    return [
        Asked(
            plan=plan,
            queries=[*prying.QUERIES, *chance.choices(queries, k=queries_in_each)],
            subscriptions=chance.choices(subscriptions, k=subscriptions_in_each),
            mutations=[*prying.MUTATIONS, *chance.choices(mutations, k=mutations_in_each)],
            callers=chance.sample(plan.callers()[1:], k=min(CALLERS_IN_EACH, len(plan.callers()) - 1)),
        )
        for plan in sampled(plans(), count=SIMPLEST + worlds)[SIMPLEST:]
    ]


async def test_nothing_is_shown_of_what_a_caller_does_not_see(everything_asked: list[Asked], house: House) -> None:
    for asked in everything_asked:
        world = await made(asked.plan, services=house.services)
        inquiries = [
            Inquiry(house=house, asked=asked, reading=Reading(Sight(world, caller))) for caller in asked.callers
        ]
        await asyncio.gather(*(inquiry.sees_everything_that_is_visible() for inquiry in inquiries))
        await asyncio.gather(*(inquiry.asks_everything() for inquiry in inquiries))
        for inquiry in inquiries:
            await inquiry.reaches_for_what_is_hidden()
        world = await made(asked.plan, services=house.services)
        await asks_in_another_world(house, asked, caller=asked.callers[0], world=world)
    LOG.info("%s", house.counted)
    # The platform's answers to the same questions show what is hidden from the others: these did look for it.
    assert house.counted["telling"] > house.counted["queries"] / 50


@dataclass(frozen=True, kw_only=True)
class Inquiry:
    """One caller who asks everything in one world."""

    house: House
    asked: Asked
    reading: Reading

    @property
    def caller(self) -> Principal:
        return self.reading.sight.caller

    def known(self) -> Replacements:
        return known_in(self.reading.sight.world) | self.reading.places

    async def sees_everything_that_is_visible(self) -> None:
        sight, query = self.reading.sight, replaced(prying.EVERYTHING, self.known())
        answer = await self.house.answer(self.caller, query)
        assert self.reading.leaks(answer, asked="") == [], self._said(query, answer)
        data = json.loads(answer)["data"]
        living = {str(row["id"]) for row in (*sight.applications, *sight.accounts, *sight.installations)}
        assert {node["id"] for node in data["nodes"] if node} == living
        assert [node["cursor"] for node in data["installationEvents"]["nodes"]] == self.reading.places["event"][:100]
        assert data["installations"]["totalCount"] == len(sight.installations)
        assert data["applications"]["totalCount"] == len(sight.applications)

    async def asks_everything(self) -> None:
        known = self.known()
        for template in self.asked.queries:
            await self._asks(replaced(template, known))
        for template in self.asked.subscriptions:
            await self._follows(_from_the_start(template, known))

    async def _asks(self, query: str) -> None:
        answer = await self.house.answer(self.caller, query)
        assert self.reading.leaks(answer, asked=query) == [], self._said(query, answer)
        platforms = await self.house.answer(PLATFORM, query)
        self.house.counted["telling"] += any(text in platforms for text in self.reading.hidden)
        absent = self.reading.with_absent(query)
        if absent != query:
            self.house.counted["asked of the absent"] += 1
            other = self.reading.with_hidden(await self.house.answer(self.caller, absent))
            assert settled(other) == settled(answer), self._said(query, answer)

    async def reaches_for_what_is_hidden(self) -> None:
        """A mutation of what is hidden answers as one of what is nowhere."""
        known = self.known()
        for template in self.asked.mutations:
            mutation = replaced(template, known)
            absent = self.reading.with_absent(mutation)
            if absent == mutation or self._may_begin_anywhere(mutation):
                continue
            self.house.counted["mutations"] += 1
            answer = await self.house.answer(self.caller, mutation)
            other = self.reading.with_hidden(await self.house.answer(self.caller, absent))
            assert settled(other) == settled(answer), self._said(mutation, answer)

    def _may_begin_anywhere(self, mutation: str) -> bool:
        """Tell whether it creates an installation in an account that is not seen yet: API-key applications may."""
        own = [row for row in self.reading.sight.applications if row["id"] == self.caller.application_id]
        return "createInstallation" in mutation and any(row["authorization_method"] == "API_KEY" for row in own)

    async def _follows(self, subscription: str) -> None:
        expected = expected_events(subscription, sight=self.reading.sight)
        world = self.reading.sight.world
        told, cursors = await self.house.told(self.caller, subscription, count=len(expected))
        for answer in told:
            assert self.reading.leaks(answer, asked=subscription) == [], self._said(subscription, answer)
        assert cursors == [encode_position(world.position(event)) for event in expected], subscription

    def _said(self, question: str, answer: str) -> str:
        return f"{self.caller} asked {question}\nand was told {answer}\nin {self.reading.sight.world.plan}"


async def asks_in_another_world(house: House, asked: Asked, *, caller: Principal, world: World) -> None:
    """Ask the same where all that this caller does not see is otherwise: each answer is the same."""
    one = Reading(Sight(world, caller))
    questions = [template for template in asked.queries if "@foreign" not in template]
    follows = asked.subscriptions
    known = known_in(world)
    first = await _answers(house, one, questions=questions, follows=follows, known=known)
    plan = with_other_secrets(asked.plan, caller=caller, seen=one.sight.ids, reads_metadata=one.sight.reads_metadata)
    other = Reading(Sight(await made(plan, services=house.services), caller))
    assert _versions(one.sight.events) == _versions(other.sight.events)
    second = await _answers(house, other, questions=questions, follows=follows, known=known)
    for question, before, after in zip((*questions, *follows), first, second, strict=True):
        house.counted["asked in another world"] += 1
        assert before == after, f"{caller} asked {question}\nin {asked.plan}"


async def _answers(
    house: House, reading: Reading, *, questions: list[str], follows: list[str], known: Replacements
) -> list[list[str]]:
    caller, known = reading.sight.caller, {**known, **reading.places, "end": []}
    answers = [[await house.answer(caller, replaced(question, known))] for question in questions]
    for template in follows:
        subscription = _from_the_start(template, known)
        expected = expected_events(subscription, sight=reading.sight)
        told, _ = await house.told(caller, subscription, count=len(expected))
        answers.append(told)
    return [[reading.without_places(text) for text in texts] for texts in answers]


def _versions(events: list[Record]) -> list[tuple[Any, int]]:
    return [(event["installation_id"], event["version"]) for event in events]


def _from_the_start(template: str, known: Replacements) -> str:
    """Follow from before the first event, whatever was drawn: what has not happened yet never comes."""
    return replaced(re.sub(r'after: (null|"[^"]*")', 'after: "@start:0@"', template, count=1), known)


def expected_events(subscription: str, *, sight: Sight) -> list[Record]:
    """Tell what a subscription has to tell this caller."""
    (operation,) = parse(subscription).definitions
    assert isinstance(operation, OperationDefinitionNode)
    (selected,) = operation.selection_set.selections
    assert isinstance(selected, FieldNode)
    wanted = {
        column: value
        for name, value in _given(selected)
        if (column := {"installationId": "installation_id", "applicationId": "application_id"}.get(name, "account_id"))
    }
    return [
        event
        for event in sight.events
        if all(str(event[column]) == value for column, value in wanted.items())
        and (selected.name.value == "installationEvents" or event["kind"] == "STATUS_CHANGED")
    ]


def _given(selected: FieldNode) -> Iterator[tuple[str, str]]:
    for argument in selected.arguments or ():
        fields = argument.value.fields if isinstance(argument.value, ObjectValueNode) else [argument]
        for one in fields:
            if isinstance(one.value, StringValueNode) and one.name.value != "after":
                yield one.name.value, one.value.value


async def test_answers_over_http_are_those_of_the_pipeline(
    everything_asked: list[Asked], house: House, serve: Serve
) -> None:
    async with serve(UNLIMITED, now=lambda: BEGINNING) as served:  # a time at which nothing is due
        for asked in everything_asked[: len(everything_asked) // 10 or 1]:
            world = await made(asked.plan, services=house.services)
            for caller in asked.callers:
                sight = Sight(world, caller)
                client = await served.key(
                    caller.kind, application_id=caller.application_id, account_id=caller.account_id
                )
                for template in asked.queries:
                    query = replaced(template, known_in(world) | Reading(sight).places)
                    over_http, by_pipeline = (await client.post(query)).text, await house.answer(caller, query)
                    assert settled(over_http) == settled(by_pipeline)
                    assert Reading(sight).leaks(over_http, asked=query) == []
