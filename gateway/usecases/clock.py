"""What time does: authorizations and synchronisation leases run out."""

from datetime import datetime
from uuid import UUID

from gateway.domain import lifecycle
from gateway.domain.installations import Installation
from gateway.domain.principals import CLOCK
from gateway.storage.database import Connection
from gateway.storage.installations import lock_due_installations, lock_installation
from gateway.usecases.changes import save_step, unless_overtaken
from gateway.usecases.gateway import Gateway

BATCH_SIZE = 100


async def expire_due_installations(gateway: Gateway) -> int:
    """Act on one batch of installations whose time has come; answer how many there were.

    Any number of gateways may do so at once: each row is taken by one of them.
    """
    now = gateway.now()

    async def attempt(connection: Connection) -> int:
        due = await lock_due_installations(connection, now=now, limit=BATCH_SIZE)
        for installation in due:
            await _expire(gateway, connection, installation=installation, now=now)
        return len(due)

    return await unless_overtaken(gateway, attempt)


async def expire_installation(gateway: Gateway, *, installation_id: UUID) -> None:
    """Act on one installation alone, where its time has come."""

    async def attempt(connection: Connection) -> None:
        installation = await lock_installation(connection, installation_id=installation_id)
        if installation is not None:
            await _expire(gateway, connection, installation=installation, now=gateway.now())

    await unless_overtaken(gateway, attempt)


async def _expire(gateway: Gateway, connection: Connection, *, installation: Installation, now: datetime) -> None:
    step = lifecycle.expire(installation, failure_limit=gateway.failure_limit, now=now)
    await save_step(connection, CLOCK, installation=installation, step=step, now=now)
