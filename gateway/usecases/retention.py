"""What is done with the log as it grows: old events are removed, and the times of new ones are summarised."""

from datetime import datetime

from gateway.storage.database import transaction
from gateway.storage.events import prune_events, store_event_span
from gateway.usecases.services import Services

PRUNE_BATCH_SIZE = 1000
"""Small enough that the lock on the log's row, which another pruning would wait for, is held for milliseconds."""


async def prune_old_events(services: Services, *, older_than: datetime) -> int:
    """Remove one batch of the oldest events of the log; return how many there were.

    Fewer than PRUNE_BATCH_SIZE means that nothing is left to remove, or that another gateway is pruning. A cursor that
    is older than what is kept is rejected as CURSOR_EXPIRED from then on.
    """
    async with transaction(services.database) as connection:
        return await prune_events(connection, older_than=older_than, limit=PRUNE_BATCH_SIZE)


async def summarise_event_times(services: Services) -> bool:
    """Store the times of the next span of the log; return whether there was one."""
    async with transaction(services.database) as connection:
        return await store_event_span(connection)
