"""The metrics at /metrics, and the setting that serves them."""

import asyncio
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import __version__
from gateway.settings import Settings
from tests.api.conftest import Serve, Served

QUERY = "{ viewer { kind } }"
SUBSCRIPTION = "subscription { installationStatusChanged { to } }"
DELETION = "mutation D($id: ID!) { deleteInstallation(input: {id: $id}) { __typename } }"
DEACTIVATION = "mutation D($id: ID!) { deactivateInstallation(input: {id: $id, reason: DEACTIVATED}) { __typename } }"
Sample = tuple[str, frozenset[tuple[str, str]]]


async def samples(served: Served) -> dict[Sample, float]:
    response = await served.http.get(served.url.replace("/graphql", "/metrics"))
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def count(found: dict[Sample, float], operation_type: str, outcome: str) -> float:
    labels = frozenset({("type", operation_type), ("outcome", outcome)})
    return found.get(("gateway_operation_duration_seconds_count", labels), 0)


def value(found: dict[Sample, float], name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


@pytest.fixture
def metered() -> Settings:
    return Settings(metrics=True)


async def test_operations_are_counted_by_type_and_outcome_over_both_transports(serve: Serve, metered: Settings) -> None:
    async with serve(metered) as served:
        platform = await served.platform()
        await platform.data(QUERY)
        await platform.code("{ nonsense }")
        await platform.data(DELETION, id=str(uuid4()))
        account = await served.account()
        caller = await served.of_account(account)
        await caller.code(DEACTIVATION, id=str(uuid4()))
        async with platform.subscription(QUERY) as asked:
            await asked.next()
        found = await samples(served)
        assert {
            key: count(found, *key)
            for key in [
                ("query", "OK"),
                ("unknown", "GRAPHQL_VALIDATION_FAILED"),
                ("mutation", "OK"),
                ("mutation", "FORBIDDEN"),
                ("subscription", "OK"),
            ]
        } == {
            ("query", "OK"): 2,
            ("unknown", "GRAPHQL_VALIDATION_FAILED"): 1,
            ("mutation", "OK"): 1,
            ("mutation", "FORBIDDEN"): 1,
            ("subscription", "OK"): 0,
        }
        assert value(found, "gateway_build_info", version=__version__) == 1


async def test_gauges_of_subscribers_and_connections_return_to_zero(serve: Serve, metered: Settings) -> None:
    async with serve(metered) as served:
        platform = await served.platform()
        async with platform.subscription(SUBSCRIPTION):
            await _until(served, subscribers=1, sockets=1)
            found = await samples(served)
            assert count(found, "subscription", "OK") == 1
            assert value(found, "gateway_pool_connections") >= 1
            assert value(found, "gateway_connections", transport="stream") == 0
        await _until(served, subscribers=0, sockets=0)


async def _until(served: Served, *, subscribers: int, sockets: int) -> None:
    """Wait until the gauges have these values and the feed is connected."""
    async with asyncio.timeout(20):
        while True:
            found = await samples(served)
            open_now = value(found, "gateway_connections", transport="websocket")
            connected = value(found, "gateway_feed_connected")
            if (value(found, "gateway_subscribers"), open_now, connected) == (subscribers, sockets, 1):
                return


async def test_metrics_contain_no_text_of_callers(serve: Serve, metered: Settings) -> None:
    async with serve(metered) as served:
        platform = await served.platform()
        await platform.data('query VerySpecial { applications(filter: {search: "needle"}) { totalCount } }')
        text = (await served.http.get(served.url.replace("/graphql", "/metrics"))).text
        assert platform.secret is not None
        for chosen in ("VerySpecial", "needle", "igw_", platform.secret):
            assert chosen not in text


async def test_two_gateways_in_one_process_count_for_themselves(serve: Serve, metered: Settings) -> None:
    async with serve(metered) as one, serve(metered) as other:
        await (await one.platform()).data(QUERY)
        assert count(await samples(one), "query", "OK") == 1
        assert count(await samples(other), "query", "OK") == 0


async def test_metrics_are_off_by_default(served: Served) -> None:
    response = await served.http.get(served.url.replace("/graphql", "/metrics"))
    assert response.status_code == 404
