import pytest

from gateway.domain.cursors import Position
from gateway.domain.errors import CursorExpired
from gateway.domain.event_log import LogState, Snapshot

LOG = LogState(
    pruned=Position(epoch=9, xid=100, id=5),
    latest=Position(epoch=9, xid=200, id=50),
    horizon=210,
    next_xid=220,
    waiting=False,
)


@pytest.mark.parametrize("xid_and_id", [(100, 5), (100, 6), (200, 50), (219, 1)])
def test_a_place_in_the_log_can_be_read_on_from(xid_and_id: tuple[int, int]) -> None:
    LOG.require_all_since(Position(9, *xid_and_id))


@pytest.mark.parametrize(
    "place",
    [Position(8, 150, 1), Position(10, 150, 1), Position(9, 100, 4), Position(9, 0, 0), Position(9, 220, 1)],
    ids=["older epoch", "newer epoch", "pruned", "start of a pruned log", "of a lost history"],
)
def test_a_place_after_which_something_is_missing_is_refused(place: Position) -> None:
    with pytest.raises(CursorExpired):
        LOG.require_all_since(place)


def test_a_snapshot_is_read_with_the_logs_offset() -> None:
    latest = Position(epoch=9, xid=1099, id=3)
    assert Snapshot.parse("100:105:100,103", xid_offset=1000, latest=latest) == Snapshot(
        latest=latest, oldest_running=1100, next_xid=1105, running=frozenset({1100, 1103})
    )


@pytest.mark.parametrize(("xid", "seen"), [(1099, True), (1100, False), (1101, True), (1103, False), (1105, False)])
def test_a_snapshot_sees_what_had_been_committed(xid: int, *, seen: bool) -> None:
    snapshot = Snapshot.parse("100:105:100,103", xid_offset=1000, latest=Position(9, 1099, 3))
    assert snapshot.sees(Position(9, xid, 7)) is seen


def test_a_snapshot_of_an_idle_cluster_has_nothing_running() -> None:
    assert Snapshot.parse("100:100:", xid_offset=0, latest=Position(9, 99, 3)).running == frozenset()
