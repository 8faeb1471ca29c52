"""What operators measure, at /metrics in the text format of Prometheus.

No label has anything that callers chose: the number of series is bounded, and nobody's data is in them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.execution.documents import OperationType
from gateway.feed.stats import FeedStats
from gateway.transport.connections import ConnectionRegistry

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_TRANSPORTS = ("websocket", "stream")

Gauges = Callable[[], Iterable[Metric]]
"""Reads what has a value at any time."""


class OperationMetrics:
    """The operations of one gateway, by type and outcome; in a registry of its own, so that two are not mixed up."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "gateway_operation_duration_seconds",
            "Operations, by their type and what became of them: OK, or the code of the first error.",
            ("type", "outcome"),
            buckets=_SECONDS,
            registry=self.registry,
        )

    def observe(self, operation_type: OperationType | None, outcome: str, seconds: float) -> None:
        shown = "unknown" if operation_type is None else operation_type.value
        self._seconds.labels(shown, outcome).observe(seconds)


class _Reading(Collector):
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        return self._gauges()

    def describe(self) -> Iterable[Metric]:
        return ()  # or else the registry would read everything once to learn the names


def metrics_routes(meter: OperationMetrics, *, gauges: Gauges, version: str) -> list[Route]:
    """Return the route /metrics, which needs no key: whoever serves it says who may reach it."""
    meter.registry.register(_Reading(lambda: [_build(version), *gauges()]))

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(meter.registry), headers={"content-type": content_type})

    return [Route("/metrics", metrics, methods=["GET"])]


def gauges(stats: FeedStats, *, registry: ConnectionRegistry, pool: Callable[[], tuple[int, int]]) -> Iterator[Metric]:
    """Read what the feed, the connections and the pool say of themselves now."""
    yield from _of_feed(stats)
    yield from _of_lifetime(registry)
    size, in_use = pool()
    yield GaugeMetricFamily("gateway_pool_connections", "Connections to Postgres in the pool.", value=size)
    yield GaugeMetricFamily("gateway_pool_connections_in_use", "Those of them that are lent out.", value=in_use)


def _build(version: str) -> Metric:
    return InfoMetricFamily("gateway_build", "Which gateway this is.", value={"version": version})


def _of_feed(seen: FeedStats) -> Iterator[Metric]:
    now = (
        ("gateway_subscribers", "Subscribers of the event log.", seen.subscribers),
        ("gateway_feed_connected", "1 while the log reader has a connection.", int(seen.connected)),
        (
            "gateway_notify_latency_seconds",
            "From the last request to notify to the arrival of the notification in this process.",
            seen.notify_latency_seconds,
        ),
        (
            "gateway_horizon_lag_seconds",
            "How long one transaction has kept later events from being read.",
            seen.horizon_lag_seconds,
        ),
    )
    ever = (
        ("gateway_events_read", "Events that the log reader has read.", seen.events_read),
        ("gateway_events_delivered", "Events delivered, counted for each subscriber.", seen.events_delivered),
        ("gateway_backlog_events_read", "Events that subscribers have read from the log.", seen.backlog_events_read),
        ("gateway_feed_catchups", "Times that a subscriber was too slow, and read the log again.", seen.catchups),
        ("gateway_feed_reconnects", "Times that the log reader has lost its connection.", seen.reconnects),
        ("gateway_notify_requests", "Times that a notification was requested.", seen.notify_requests),
        ("gateway_notifications", "Notifications sent: requests that come together are one.", seen.notifications),
    )
    for name, sentence, value in now:
        yield GaugeMetricFamily(name, sentence, value=value)
    for name, sentence, value in ever:
        yield CounterMetricFamily(name, sentence, value=value)


def _of_lifetime(registry: ConnectionRegistry) -> Iterator[Metric]:
    counts = Counter(connection.transport for connection in registry.connections)
    connections = GaugeMetricFamily("gateway_connections", "Connections that stay open.", labels=("transport",))
    for transport in _TRANSPORTS:
        connections.add_metric((transport,), counts[transport])
    yield connections
    yield GaugeMetricFamily("gateway_requests", "Requests that are being answered.", value=registry.requests)
    yield GaugeMetricFamily("gateway_draining", "1 while the gateway is stopping.", value=int(registry.draining))
