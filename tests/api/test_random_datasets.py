"""Random datasets, callers and operations: no answer contains anything that its caller may not see.

The pipeline runs the operations on the real database, some of them over HTTP as well: the pipeline answers several
hundred a second, and HTTP adds nothing that depends on the caller. The long form has more operations.
"""

import asyncio
import json
import logging
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from asyncpg import Record
from graphql import FieldNode, GraphQLError, OperationDefinitionNode, parse, value_from_ast_untyped
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
from gateway.storage.database import open_database
from gateway.usecases.api_keys import ApiKeyCache
from gateway.usecases.batch_loader import BatchLoaders
from gateway.usecases.services import Services
from gateway.wiring import build_documents, quotas
from tests.api.conftest import Serve
from tests.generation import probing_operations
from tests.generation.datasets import Dataset, create_dataset
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
from tests.generation.leak_checks import Reading, placeholder_values, with_sorted_errors
from tests.generation.plans import BEGINNING, Plan, plans, with_other_secrets
from tests.generation.samples import sampled
from tests.generation.visible_rows import VisibleRows

LOG = logging.getLogger(__name__)
UNLIMITED = Settings(
    max_operation_cost=100_000_000,
    max_depth=100,
    rates={"platform": 0, "application": 0, "account": 0, "anonymous": 0},
)
PLATFORM = Principal(kind=PrincipalKind.PLATFORM)
CALLERS_IN_EACH = 4
SIMPLEST = 5
"""So many datasets are left out: hypothesis begins with the least that can be."""
EVENT_SECONDS = 30
PATIENT_SECONDS = 300
"""The limit of what otherwise ends sooner: on a busy machine, the answers would be TIMED_OUT or UNAVAILABLE."""

_SECRETS = placeholders(("secret",)).map(lambda secret: json_object({"secret": nodes.String(secret)}))
SCALARS: Scalars = {
    "ID": placeholders(("application", "account", "installation", "absent", "event", "foreign")).map(nodes.String),
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
class Components:
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

    async def events(self, caller: Principal, subscription: str, *, count: int) -> tuple[list[str], list[str]]:
        """Subscribe for so many events; return the payloads and their cursors."""
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
async def components(database_url: str) -> AsyncIterator[Components]:
    patient = open_database(database_url, acquire_seconds=PATIENT_SECONDS, statement_seconds=PATIENT_SECONDS)
    async with patient as database, Feed(database, url=database_url) as feed:
        services = Services(database=database, notify=feed.notify, failure_limit=2)
        make_context = partial(
            Context,
            services=services,
            feed=feed,
            api_key_cache=ApiKeyCache(services),
            batch_loaders=BatchLoaders(database),
        )
        pipeline = OperationPipeline(
            build_documents(UNLIMITED, introspection=True),
            make_context=make_context,
            quotas=quotas(UNLIMITED),
            operation_seconds=PATIENT_SECONDS,
        )
        yield Components(pipeline=pipeline, services=services)


@dataclass(frozen=True, kw_only=True)
class PlannedOperations:
    """The operations and callers of one dataset."""

    plan: Plan
    queries: list[str]
    subscriptions: list[str]
    mutations: list[str]
    callers: list[Principal]


@pytest.fixture(scope="module")
def planned_operations(*, long: bool) -> list[PlannedOperations]:
    """Draw the datasets and operations, the same ones in each run, before the event loop has other work."""
    datasets, queries_in_each, subscriptions_in_each, mutations_in_each = (12, 12, 4, 20) if long else (2, 4, 1, 4)
    queries = sampled(query_documents(scalars=SCALARS), count=datasets * queries_in_each)
    subscriptions = sampled(subscription_documents(scalars=SCALARS), count=datasets * subscriptions_in_each)
    mutations = sampled(mutation_documents(scalars={**SCALARS, **PLAIN}), count=datasets * mutations_in_each)
    rng = random.Random(1)
    return [
        PlannedOperations(
            plan=plan,
            queries=[*probing_operations.QUERIES, *rng.choices(queries, k=queries_in_each)],
            subscriptions=rng.choices(subscriptions, k=subscriptions_in_each),
            mutations=[*probing_operations.MUTATIONS, *rng.choices(mutations, k=mutations_in_each)],
            callers=rng.sample(plan.callers()[1:], k=min(CALLERS_IN_EACH, len(plan.callers()) - 1)),
        )
        for plan in sampled(plans(), count=SIMPLEST + datasets)[SIMPLEST:]
    ]


async def test_answers_contain_nothing_invisible_to_their_caller(
    planned_operations: list[PlannedOperations], components: Components
) -> None:
    for operations in planned_operations:
        dataset = await create_dataset(operations.plan, services=components.services)
        checks = [
            CallerCheck(components=components, operations=operations, reading=Reading(VisibleRows(dataset, caller)))
            for caller in operations.callers
        ]
        await asyncio.gather(*(check.check_visible_rows() for check in checks))
        await asyncio.gather(*(check.check_queries_and_subscriptions() for check in checks))
        for check in checks:
            await check.check_mutations()
        dataset = await create_dataset(operations.plan, services=components.services)
        await check_dataset_with_other_invisible_rows(
            components, operations, caller=operations.callers[0], dataset=dataset
        )
    LOG.info("%s", components.counted)
    # The same queries show invisible values to the platform, so they do reach for them: one caller's are a sample.
    assert components.counted["with invisible values"] > components.counted["by the platform"] / 14


@dataclass(frozen=True, kw_only=True)
class CallerCheck:
    """Runs all operations on one dataset as one caller."""

    components: Components
    operations: PlannedOperations
    reading: Reading

    @property
    def caller(self) -> Principal:
        return self.reading.visible.caller

    def known(self) -> Replacements:
        return placeholder_values(self.reading.visible.dataset) | self.reading.places

    async def check_visible_rows(self) -> None:
        visible, query = self.reading.visible, replaced(probing_operations.EVERYTHING, self.known())
        answer = await self.components.answer(self.caller, query)
        assert self.reading.leaks(answer, asked="") == [], self._message(query, answer)
        data, errors = (json.loads(answer).get(key) for key in ("data", "errors"))
        assert data is not None, answer[:500]
        assert data["nodes"] is not None, errors
        living = {str(row["id"]) for row in (*visible.applications, *visible.accounts, *visible.installations)}
        assert {node["id"] for node in data["nodes"] if node} == living
        assert [node["cursor"] for node in data["installationEvents"]["nodes"]] == self.reading.places["event"][:100]
        assert data["installations"]["totalCount"] == len(visible.installations)
        assert data["applications"]["totalCount"] == len(visible.applications)
        assert data["accounts"]["totalCount"] == len(visible.accounts)

    async def check_queries_and_subscriptions(self) -> None:
        known = self.known()
        for template in self.operations.queries:
            await self._check_query(replaced(template, known))
        for template in self.operations.subscriptions:
            await self._check_subscription(_from_the_start(template, known))

    async def _check_query(self, query: str) -> None:
        answer = await self.components.answer(self.caller, query)
        assert self.reading.leaks(answer, asked=query) == [], self._message(query, answer)
        if self.caller is self.operations.callers[0]:
            self.components.counted["by the platform"] += 1
            platforms = await self.components.answer(PLATFORM, query)
            self.components.counted["with invisible values"] += any(text in platforms for text in self.reading.hidden)
        absent = self.reading.with_absent(query)
        if absent != query:
            self.components.counted["with absent values"] += 1
            other = self.reading.with_hidden(await self.components.answer(self.caller, absent))
            assert with_sorted_errors(other) == with_sorted_errors(answer), self._message(query, answer)

    async def check_mutations(self) -> None:
        """A mutation of an invisible row answers as one of a row that does not exist."""
        known = self.known()
        for template in self.operations.mutations:
            mutation = replaced(template, known)
            absent = self.reading.with_absent(mutation)
            if absent == mutation:
                continue
            self.components.counted["mutations"] += 1
            answer = await self.components.answer(self.caller, mutation)
            other = self.reading.with_hidden(await self.components.answer(self.caller, absent))
            assert with_sorted_errors(other) == with_sorted_errors(answer), self._message(mutation, answer)

    async def _check_subscription(self, subscription: str) -> None:
        expected = expected_events(subscription, visible=self.reading.visible)
        dataset = self.reading.visible.dataset
        payloads, cursors = await self.components.events(self.caller, subscription, count=len(expected))
        for answer in payloads:
            assert self.reading.leaks(answer, asked=subscription) == [], self._message(subscription, answer)
        assert cursors == [encode_position(dataset.position(event)) for event in expected], subscription

    def _message(self, operation: str, answer: str) -> str:
        return f"{self.caller} operations {operation}\nand received {answer}\nin {self.reading.visible.dataset.plan}"


async def check_dataset_with_other_invisible_rows(
    components: Components, operations: PlannedOperations, *, caller: Principal, dataset: Dataset
) -> None:
    """Repeat the operations on a dataset whose invisible rows differ: each answer is the same."""
    one = Reading(VisibleRows(dataset, caller))
    queries = [template for template in operations.queries if "@foreign" not in template]
    subscriptions = [template for template in operations.subscriptions if "@foreign" not in template]
    known = placeholder_values(dataset)
    first = await _answers(components, one, queries=queries, subscriptions=subscriptions, known=known)
    plan = with_other_secrets(
        operations.plan, caller=caller, seen=one.visible.ids, reads_metadata=one.visible.reads_metadata
    )
    other = Reading(VisibleRows(await create_dataset(plan, services=components.services), caller))
    assert _versions(one.visible.events) == _versions(other.visible.events)
    second = await _answers(components, other, queries=queries, subscriptions=subscriptions, known=known)
    for operation, before, after in zip((*queries, *subscriptions), first, second, strict=True):
        components.counted["on another dataset"] += 1
        assert before == after, f"{caller} ran {operation}\nin {operations.plan}"


async def _answers(
    components: Components, reading: Reading, *, queries: list[str], subscriptions: list[str], known: Replacements
) -> list[list[str]]:
    caller, known = reading.visible.caller, {**known, **reading.places, "end": []}
    answers = [[await components.answer(caller, replaced(operation, known))] for operation in queries]
    for template in subscriptions:
        subscription = _from_the_start(template, known)
        expected = expected_events(subscription, visible=reading.visible)
        payloads, _ = await components.events(caller, subscription, count=len(expected))
        answers.append(payloads)
    return [[reading.without_places(text) for text in texts] for texts in answers]


def _versions(events: list[Record]) -> list[tuple[Any, int]]:
    return [(event["installation_id"], event["version"]) for event in events]


def _from_the_start(template: str, known: Replacements) -> str:
    """Subscribe from before the first event, whatever cursor was drawn: no new events are written."""
    return replaced(re.sub(r'after: (null|"[^"]*")', 'after: "@start:0@"', template, count=1), known)


def expected_events(subscription: str, *, visible: VisibleRows) -> list[Record]:
    """Return the events that a subscription has to deliver to this caller."""
    (operation,) = parse(subscription).definitions
    assert isinstance(operation, OperationDefinitionNode)
    (selected,) = operation.selection_set.selections
    assert isinstance(selected, FieldNode)
    asked = next(
        (value_from_ast_untyped(one.value) for one in selected.arguments or () if one.name.value == "filter"), None
    )
    given = {name: value for name, value in (asked or {}).items() if value is not None}
    if selected.name.value == "installationStatusChanged":
        given["only"] = "STATUS_CHANGED"
    return [event for event in visible.events if all(_has(event, name, value) for name, value in given.items())]


def _has(event: Record, name: str, value: Any) -> bool:
    """Return whether an event matches one field of the filter; GraphQL takes one value for a list of it."""
    any_of = value if isinstance(value, list) else [value]
    match name:
        case "installationIds" | "applicationIds" | "accountIds":
            return str(event[name.replace("Ids", "_id")]) in any_of
        case "kinds" | "only":
            return event["kind"] in any_of
        case "to":
            return event["kind"] == "STATUS_CHANGED" and json.loads(event["change"])["after"] in any_of
        case "occurredSince":
            return bool(event["occurred_at"] >= datetime.fromisoformat(value))
        case _:
            return bool(event["occurred_at"] < datetime.fromisoformat(value))


async def test_answers_over_http_equal_those_of_the_pipeline(
    planned_operations: list[PlannedOperations], components: Components, serve: Serve
) -> None:
    async with serve(UNLIMITED, now=lambda: BEGINNING) as served:  # a time at which nothing is due
        for operations in planned_operations[: len(planned_operations) // 10 or 1]:
            dataset = await create_dataset(operations.plan, services=components.services)
            for caller in operations.callers:
                visible = VisibleRows(dataset, caller)
                client = await served.key(
                    caller.kind, application_id=caller.application_id, account_id=caller.account_id
                )
                key = (await client.data("{ viewer { apiKey { id } } }"))["viewer"]["apiKey"]["id"]
                caller = replace(caller, api_key_id=UUID(key))  # noqa: PLW2901
                for template in operations.queries:
                    query = replaced(template, placeholder_values(dataset) | Reading(visible).places)
                    over_http, by_pipeline = (await client.post(query)).text, await components.answer(caller, query)
                    assert with_sorted_errors(over_http) == with_sorted_errors(by_pipeline)
                    assert Reading(visible).leaks(over_http, asked=query) == []
