"""How a change travels: from its commit to everybody who follows.

Bell rings (after a commit) -> Tail reads the log once -> Followers (an index) -> Following (one consumer's own view).
The log is the truth. Bell, tail and buffers only make it quick: each of them may fail at any time, and what a follower
has not received yet is read from the log.
"""

from gateway.feed.event_stream import EventStream
from gateway.feed.feed import Feed
from gateway.feed.stats import FeedStats

__all__ = ["EventStream", "Feed", "FeedStats"]
