"""What the log forgets: events that are older than somebody wants to keep."""

from datetime import datetime

from gateway.storage.database import transaction
from gateway.storage.events import prune_events
from gateway.usecases.services import Services

PRUNED_AT_ONCE = 1000
"""Few enough that the lock on the log's mark, which another pruning would wait for, is held for milliseconds."""


async def prune_old_events(services: Services, *, older_than: datetime) -> int:
    """Remove one batch of the first events of the log; answer how many there were.

    Less than PRUNED_AT_ONCE means that nothing is left to remove, or that another gateway is at it. Cursors from before
    what is kept answer CURSOR_EXPIRED from then on.
    """
    async with transaction(services.database) as connection:
        return await prune_events(connection, older_than=older_than, limit=PRUNED_AT_ONCE)
