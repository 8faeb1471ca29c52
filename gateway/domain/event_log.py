"""The state of the log in one snapshot: how far it can be read, and how far back."""

from dataclasses import dataclass
from typing import Self

from gateway.domain.errors import CursorExpired
from gateway.domain.events import Position


@dataclass(frozen=True, kw_only=True, slots=True)
class LogState:
    """What one snapshot shows of the log."""

    pruned: Position
    """The last event that retention has removed, or (0, 0)."""
    latest: Position
    """The last event that can be read: no running transaction can write before it. `pruned` where there is none."""
    horizon: int
    """The oldest transaction that is still running. Events from here on wait for it."""
    next_xid: int
    """The first transaction that had not begun."""
    waiting: bool
    """Whether there are events at or above the horizon."""

    @property
    def epoch(self) -> int:
        return self.latest.epoch

    def require_all_since(self, position: Position) -> None:
        """Refuse to read on from a place after which something is missing.

        A place that no transaction has reached yet is one of a history that this server has lost: it was set back to a
        backup, or a standby took over that had not received everything.

        Raises:
            CursorExpired: The place is of another epoch, older than what is kept, or of a lost history.
        """
        if position.epoch != self.epoch or position < self.pruned or position.xid >= self.next_xid:
            raise CursorExpired(
                "The log no longer holds everything that came after this cursor. Read the present state again together"
                " with `eventCursor`, and go on from there."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """Which transactions were done at one moment."""

    latest: Position
    """The last event of the log that no running transaction could write before."""
    oldest_running: int
    next_xid: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str, *, xid_offset: int, latest: Position) -> Self:
        """Read Postgres' form: the oldest running transaction, the first that had not begun, and those running."""
        oldest_running, next_xid, running = text.split(":")
        return cls(
            latest=latest,
            oldest_running=int(oldest_running) + xid_offset,
            next_xid=int(next_xid) + xid_offset,
            running=frozenset(int(xid) + xid_offset for xid in running.split(",") if xid),
        )

    def sees(self, position: Position) -> bool:
        """Tell whether the event had been committed by then."""
        return position.xid < self.next_xid and position.xid not in self.running
