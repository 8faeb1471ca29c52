"""What time does: authorizations and synchronisation leases run out."""

from datetime import datetime
from uuid import UUID

from gateway.domain import lifecycle
from gateway.domain.installations import Installation
from gateway.domain.principals import CLOCK
from gateway.storage.database import Connection
from gateway.storage.installations import lock_due_installations, lock_installation
from gateway.usecases.services import Services
from gateway.usecases.transitions import retry_on_conflict, save_step

BATCH_SIZE = 100


async def expire_due_installations(services: Services) -> int:
    """Act on one batch of installations whose time has come; answer how many there were.

    Any number of gateways may do so at once: each row is taken by one of them.
    """
    now = services.now()

    async def attempt(connection: Connection) -> int:
        due = await lock_due_installations(connection, now=now, limit=BATCH_SIZE)
        for installation in due:
            await _expire(services, connection, installation=installation, now=now)
        return len(due)

    return await retry_on_conflict(services, attempt)


async def expire_installation(services: Services, *, installation_id: UUID) -> None:
    """Act on one installation alone, where its time has come."""

    async def attempt(connection: Connection) -> None:
        installation = await lock_installation(connection, installation_id=installation_id)
        if installation is not None:
            await _expire(services, connection, installation=installation, now=services.now())

    await retry_on_conflict(services, attempt)


async def _expire(services: Services, connection: Connection, *, installation: Installation, now: datetime) -> None:
    step = lifecycle.expire(installation, failure_limit=services.failure_limit, now=now)
    await save_step(connection, CLOCK, installation=installation, step=step, now=now)
