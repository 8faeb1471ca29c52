"""The state of the log in one snapshot: the last event that can be read, and the first that is kept."""

from datetime import datetime

from gateway.domain.cursors import Position
from gateway.domain.errors import CursorExpired
from gateway.domain.records import record


@record
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
    server: datetime
    """When the server started that was read: another server, or the same after a restart, may lack events."""

    def require_all_since(self, position: Position, *, found: bool) -> None:
        """Check that the log has all events after a position; `found`: whether it has the event at the position.

        An event that was read once and is not found belongs to a history that this server has lost: it was restored
        from a backup, or it is a standby that was promoted before it had received everything.

        Raises:
            CursorExpired: The position is of another epoch, older than what is kept, or of a lost history.
        """
        *place, time = position
        *pruned, pruned_time = self.pruned
        removed_last = place == pruned and (time == pruned_time or 0 in (time, pruned_time))
        if position.epoch != self.pruned.epoch or place < pruned or not (found or removed_last):
            raise CursorExpired(
                "The log no longer holds everything that came after this cursor. Read the present state again together"
                " with `eventCursor`, and go on from there."
            )


@record
class Snapshot:
    """The events that were committed at one moment."""

    latest: Position
    """The last event before which no running transaction can write."""
    waiting: frozenset[Position]
    """The committed events after `latest`; not transactions, whose ids may be assigned again by another server."""
    horizon: int
    """The oldest running transaction."""
    next_xid: int
    """The first transaction that had not started."""
    server: datetime
    """See LogState."""
