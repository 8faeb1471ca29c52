"""What time does: authorizations and synchronisation leases run out."""

from gateway.domain import lifecycle
from gateway.domain.principals import CLOCK
from gateway.storage.installations import lock_due_installations
from gateway.usecases.changes import save_step
from gateway.usecases.gateway import Gateway

BATCH_SIZE = 100


async def expire_due_installations(gateway: Gateway) -> int:
    """Act on one batch of installations whose time has come; answer how many there were.

    Any number of gateways may do so at once: each row is taken by one of them.
    """
    now = gateway.now()
    async with gateway.writing() as connection:
        due = await lock_due_installations(connection, now=now, limit=BATCH_SIZE)
        for installation in due:
            step = lifecycle.expire(installation, failure_limit=gateway.failure_limit, now=now)
            await save_step(connection, CLOCK, installation=installation, step=step, now=now)
    return len(due)
