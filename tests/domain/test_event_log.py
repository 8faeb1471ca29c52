from datetime import UTC, datetime

import pytest

from gateway.domain.cursors import Position
from gateway.domain.errors import CursorExpired
from gateway.domain.event_log import LogState

LOG = LogState(
    pruned=Position(epoch=9, xid=100, id=5, time=1000),
    latest=Position(epoch=9, xid=200, id=50, time=2000),
    horizon=210,
    next_xid=220,
    waiting=False,
    server=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.mark.parametrize("place", [Position(9, 100, 6, 1), Position(9, 200, 50, 2000), Position(9, 219, 1)])
def test_a_place_in_the_log_can_be_read_on_from(place: Position) -> None:
    LOG.require_all_since(place, found=True)


@pytest.mark.parametrize("time", [1000, 0], ids=["its time", "a cursor without a time"])
def test_the_last_removed_event_can_be_read_on_from(time: int) -> None:
    LOG.require_all_since(Position(9, 100, 5, time), found=False)


@pytest.mark.parametrize(
    ("place", "found"),
    [
        (Position(8, 150, 1), True),
        (Position(10, 150, 1), True),
        (Position(9, 100, 4, 999), False),
        (Position(9, 0, 0), False),
        (Position(9, 100, 5, 999), False),
        (Position(9, 150, 1, 1500), False),
    ],
    ids=["older epoch", "newer epoch", "pruned", "start of a pruned log", "lost, and its numbers pruned", "lost"],
)
def test_a_place_after_which_something_is_missing_is_refused(place: Position, *, found: bool) -> None:
    with pytest.raises(CursorExpired):
        LOG.require_all_since(place, found=found)
