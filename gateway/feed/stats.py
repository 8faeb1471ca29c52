"""The feed's gauges and counters; the metrics show them."""

from dataclasses import dataclass


@dataclass(kw_only=True, slots=True)
class FeedStats:
    """Numbers of one process since its start."""

    subscribers: int = 0
    """Gauge: the subscribers now."""
    events_read: int = 0
    """Events that the log reader has read; with few subscribers, only those of the keys that they ask for."""
    events_delivered: int = 0
    """Events handed to subscribers, counted for each subscriber."""
    backlog_events_read: int = 0
    """Events that subscribers have read from the log themselves."""
    catchups: int = 0
    """Times that a subscriber's buffer was dropped, and the subscriber read the log again."""
    reconnects: int = 0
    """Times that the log reader has lost its connection, or could not connect."""
    connected: bool = False
    """Gauge: whether the log reader has a connection."""
    notify_requests: int = 0
    """Times that a notification was requested."""
    notifications: int = 0
    """Notifications sent: requests that come together are one."""
    notify_latency_seconds: float = 0.0
    """Gauge: from the last request to the arrival of its notification in the log reader of this process."""
    horizon_lag_seconds: float = 0.0
    """Gauge: how long one transaction has held the horizon; events of later transactions wait for its end."""
