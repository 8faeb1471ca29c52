"""Authorizations and synchronisation leases that expire."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from gateway.domain import lifecycle
from gateway.domain.events import NewEvent
from gateway.domain.installations import Installation
from gateway.domain.principals import CLOCK
from gateway.storage.database import Connection
from gateway.storage.installations import lock_due_installations, lock_installation
from gateway.usecases.services import Services
from gateway.usecases.transitions import Written, save, write_with_events

BATCH_SIZE = 100


async def expire_due_installations(services: Services) -> int:
    """Expire one batch of installations that are due; return how many there were.

    Any number of gateways may do so at once: each row is taken by one of them.
    """
    now = services.now()

    async def attempt(connection: Connection) -> Written[int]:
        due = await lock_due_installations(connection, now=now, limit=BATCH_SIZE)
        events: list[NewEvent] = []
        for installation in due:
            events += await _expire(services, connection, installation=installation, now=now)
        return len(due), events

    return await write_with_events(services, attempt)


async def expire_installation(services: Services, *, installation_id: UUID) -> None:
    """Expire one installation, where it is due."""

    async def attempt(connection: Connection) -> Written[None]:
        installation = await lock_installation(connection, installation_id=installation_id)
        if installation is None:
            return None, ()
        return None, await _expire(services, connection, installation=installation, now=services.now())

    await write_with_events(services, attempt)


async def _expire(
    services: Services, connection: Connection, *, installation: Installation, now: datetime
) -> Sequence[NewEvent]:
    transition = lifecycle.expire(
        installation, failure_limit=services.failure_limit, longest_sync=services.longest_sync, now=now
    )
    if transition is None:
        return ()
    _, events = await save(connection, CLOCK, before=installation, transition=transition, now=now)
    return events
