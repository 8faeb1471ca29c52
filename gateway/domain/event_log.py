"""The state of the log in one snapshot: the last event that can be read, and the first that is kept."""

from dataclasses import dataclass
from typing import Self

from gateway.domain.cursors import Position
from gateway.domain.errors import CursorExpired


@dataclass(frozen=True, kw_only=True, slots=True)
class LogState:
    """The log in one snapshot."""

    pruned: Position
    """The last event that retention has removed; (0, 0) where there is none."""
    latest: Position
    """The last event that can be read: no running transaction can write before it. `pruned` where there is none."""
    horizon: int
    """The oldest running transaction. Events of this and later transactions cannot be read yet."""
    next_xid: int
    """The first transaction that had not started."""
    waiting: bool
    """Whether there are events that cannot be read yet."""

    def require_all_since(self, position: Position) -> None:
        """Check that the log has all events after a position.

        A position beyond all transactions belongs to a history that this server has lost: it was restored from a
        backup, or it is a standby that was promoted before it had received everything.

        Raises:
            CursorExpired: The position is of another epoch, older than what is kept, or of a lost history.
        """
        if position.epoch != self.latest.epoch or position < self.pruned or position.xid >= self.next_xid:
            raise CursorExpired(
                "The log no longer holds everything that came after this cursor. Read the present state again together"
                " with `eventCursor`, and go on from there."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """The transactions that were committed at one moment."""

    latest: Position
    """The last event before which no running transaction can write."""
    oldest_running: int
    next_xid: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str, *, xid_offset: int, latest: Position) -> Self:
        """Parse Postgres' form: the oldest running transaction, the first that had not started, and those running."""
        oldest_running, next_xid, running = text.split(":")
        return cls(
            latest=latest,
            oldest_running=int(oldest_running) + xid_offset,
            next_xid=int(next_xid) + xid_offset,
            running=frozenset(int(xid) + xid_offset for xid in running.split(",") if xid),
        )

    def sees(self, position: Position) -> bool:
        """Return whether the event was committed."""
        return position.xid < self.next_xid and position.xid not in self.running
