"""What operators see of the feed: plain numbers, which others show as they like."""

from dataclasses import dataclass


@dataclass(kw_only=True, slots=True)
class FeedStats:
    """Gauges and counters of one process since its start."""

    followers: int = 0
    """Gauge: who follows now."""
    events_read: int = 0
    """Events that the tail has read: where few keys are followed, those of these keys alone."""
    events_delivered: int = 0
    """Events that were handed to consumers, each counted for each of them."""
    events_reread: int = 0
    """Events that followers read from the log themselves."""
    falls_back: int = 0
    """How often a follower's buffer was dropped, and the follower went back to the log."""
    reconnects: int = 0
    """How often the tail has lost its connection, or could not get one."""
    connected: bool = False
    """Gauge: whether the tail has its connection."""
    rings: int = 0
    """How often the bell was asked to ring."""
    notifications: int = 0
    """How often it did: rings that come together are one."""
    bell_latency_seconds: float = 0.0
    """Gauge: from the last ring to when this process' own tail heard of it through Postgres."""
    horizon_lag_seconds: float = 0.0
    """Gauge: for how long one transaction has held the horizon; events of transactions after it wait for it."""
