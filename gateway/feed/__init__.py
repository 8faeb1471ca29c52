"""The feed: how an event travels from its commit to the subscribers of every gateway.

After a commit the `Notifier` sends a NOTIFY. The `LogReader` of each gateway reads the new events from the log, once
for all, and the `SubscriberIndex` puts each into the buffers of the subscribers whose filter matches. An `EventStream`
is one subscriber's view: the backlog from the log, then the buffer.

The log is the truth. Notifier, log reader and buffers only make delivery quick: each may fail at any time, and events
that a subscriber has not received are read from the log.
"""

from gateway.feed.event_stream import EventStream
from gateway.feed.feed import Feed
from gateway.feed.stats import FeedStats

__all__ = ["EventStream", "Feed", "FeedStats"]
