"""What a gateway does at intervals, in batches, until nothing is left to do."""

from datetime import timedelta

from gateway.usecases.expiry import BATCH_SIZE, expire_due_installations
from gateway.usecases.retention import PRUNE_BATCH_SIZE, prune_old_events, summarise_event_times
from gateway.usecases.services import Services


async def expire_due(services: Services) -> None:
    """Expire the authorizations and synchronisation leases that are due."""
    while await expire_due_installations(services) == BATCH_SIZE:
        pass


async def prune(services: Services, *, days: int) -> None:
    """Remove the events that are older than this many days."""
    older_than = services.now() - timedelta(days=days)
    while await prune_old_events(services, older_than=older_than) == PRUNE_BATCH_SIZE:
        pass


async def summarise_times(services: Services) -> None:
    """Summarise the times of the events that are new in the log, by which ranges of time are read."""
    while await summarise_event_times(services):
        pass
