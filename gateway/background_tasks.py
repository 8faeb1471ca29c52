"""What a gateway does again and again, whoever asks: the clock, retention, and noting when keys were used."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from gateway.domain.errors import GatewayError
from gateway.usecases.expiry import BATCH_SIZE, expire_due_installations
from gateway.usecases.retention import PRUNE_BATCH_SIZE, prune_old_events
from gateway.usecases.services import Services

LOG = logging.getLogger("gateway")


async def act_on_time(services: Services) -> None:
    """End what has run out: authorizations, and leases of synchronisations."""
    while await expire_due_installations(services) == BATCH_SIZE:
        pass


async def prune(services: Services, *, days: int) -> None:
    """Remove the events that are older than what is kept."""
    older_than = services.now() - timedelta(days=days)
    while await prune_old_events(services, older_than=older_than) == PRUNE_BATCH_SIZE:
        pass


async def attempt(work: Callable[[], Awaitable[None]]) -> None:
    """Do what can be done again later, where it fails."""
    try:
        await work()
    except GatewayError as error:
        LOG.warning("Put off: %s", error)
    except Exception:
        LOG.exception("What is done again and again has failed")


@asynccontextmanager
async def repeated(seconds: float, work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do some work now and every so many seconds, whatever became of it the last time."""

    async def repeat() -> None:
        while True:
            await attempt(work)
            await asyncio.sleep(seconds)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
