"""Metrics for Prometheus, at /metrics.

No label has a value that callers choose: the number of series is bounded, and they contain no caller's data.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from graphql import OperationType
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import __version__
from gateway.feed.stats import FeedStats
from gateway.transport.connections import ConnectionRegistry
from gateway.transport.peers import CLOSE_REASONS

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_TRANSPORTS = ("websocket", "stream")

ReadMetrics = Callable[[], Iterable[Metric]]
"""Returns the metrics whose values are read when they are scraped."""


class OperationMetrics:
    """The operations of one gateway by type and outcome, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "gateway_operation_duration_seconds",
            "Operations by type and outcome: OK, ABANDONED, or the code of the first error.",
            ("type", "outcome"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._labelled = cache(self._seconds.labels)  # which takes twice as long as the observation

    def observe(self, operation_type: OperationType | None, outcome: str, seconds: float) -> None:
        label = "unknown" if operation_type is None else operation_type.value
        self._labelled(label, outcome).observe(seconds)


class _ScrapedMetrics:
    """A collector of the registry."""

    def __init__(self, read: ReadMetrics) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("gateway_build", "The gateway's version.", value={"version": __version__})
        yield from self._read()


def metrics_routes(metrics: OperationMetrics, *, read: ReadMetrics) -> list[Route]:
    """Return the route /metrics. It needs no key: the operator decides which hosts can reach it."""
    metrics.registry.register(_ScrapedMetrics(read))

    async def scrape(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(metrics.registry), headers={"content-type": content_type})

    return [Route("/metrics", scrape, methods=["GET"])]


def scraped_metrics(
    stats: FeedStats, *, registry: ConnectionRegistry, pool_usage: Callable[[], tuple[int, int]]
) -> Iterator[Metric]:
    """Yield the metrics of the feed, the connections and the pool."""
    yield from _feed_metrics(stats)
    counts = Counter(connection.transport for connection in registry.connections)
    connections = GaugeMetricFamily("gateway_connections", "Connections that stay open.", labels=("transport",))
    for transport in _TRANSPORTS:
        connections.add_metric((transport,), counts[transport])
    yield connections
    yield GaugeMetricFamily("gateway_requests", "Running requests.", value=registry.requests)
    yield GaugeMetricFamily("gateway_draining", "1 while the gateway stops.", value=int(registry.draining))
    peers = registry.peers
    yield GaugeMetricFamily("gateway_peer_connections", "Open connections of any kind.", value=peers.connections)
    closed = CounterMetricFamily(
        "gateway_peer_connections_closed", "Connections that were closed for a limit.", labels=("reason",)
    )
    for reason in CLOSE_REASONS:
        closed.add_metric((reason,), peers.closed[reason])
    yield closed
    size, in_use = pool_usage()
    yield GaugeMetricFamily("gateway_pool_connections", "Connections to Postgres in the pool.", value=size)
    yield GaugeMetricFamily("gateway_pool_connections_in_use", "Connections of the pool in use.", value=in_use)


def _feed_metrics(stats: FeedStats) -> Iterator[Metric]:
    gauges = (
        ("gateway_subscribers", "Subscribers of the event log that have started.", stats.subscribers),
        ("gateway_feed_connected", "1 while the log reader has a connection.", int(stats.connected)),
        (
            "gateway_notify_latency_seconds",
            "From the last request to notify to the arrival of the notification in this process.",
            stats.notify_latency_seconds,
        ),
        (
            "gateway_horizon_lag_seconds",
            "How long one transaction has kept later events from being read.",
            stats.horizon_lag_seconds,
        ),
    )
    counters = (
        ("gateway_events_read", "Events that the log reader has read.", stats.events_read),
        ("gateway_events_delivered", "Events delivered, counted for each subscriber.", stats.events_delivered),
        ("gateway_backlog_events_read", "Events that subscribers have read from the log.", stats.backlog_events_read),
        ("gateway_feed_catchups", "Times that a subscriber was too slow, and read the log again.", stats.catchups),
        ("gateway_feed_reconnects", "Times that the log reader has lost its connection.", stats.reconnects),
        ("gateway_notify_requests", "Times that a notification was requested.", stats.notify_requests),
        ("gateway_notifications", "Notifications sent: requests that come together are one.", stats.notifications),
    )
    for name, documentation, value in gauges:
        yield GaugeMetricFamily(name, documentation, value=value)
    for name, documentation, value in counters:
        yield CounterMetricFamily(name, documentation, value=value)
