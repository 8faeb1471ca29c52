"""Synchronisations: the application starts one, reports its progress, and finishes it."""

from functools import partial
from uuid import UUID

from gateway.domain import lifecycle
from gateway.domain.actions import InstallationAction
from gateway.domain.errors import BadUserInput
from gateway.domain.installations import Installation, SyncOutcome, SyncStep
from gateway.domain.principals import Principal
from gateway.domain.text import checked_message, checked_text
from gateway.usecases.services import Services
from gateway.usecases.transitions import change_installation

LONGEST_LEASE_SECONDS = 86_400
MOST_STEPS = 50
LONGEST_STEP_NAME = 100


def _checked_steps(steps: tuple[SyncStep, ...]) -> tuple[SyncStep, ...]:
    if len(steps) > MOST_STEPS:
        raise BadUserInput(f"A synchronisation has at most {MOST_STEPS} steps, not {len(steps)}.", argument="steps")
    for step in steps:
        checked_text(step.name, name="steps.name", most=LONGEST_STEP_NAME)
        if step.done < 0 or (step.total is not None and step.total < 0):
            raise BadUserInput("A step's done and total count from 0.", argument="steps")
    if len({step.name for step in steps}) < len(steps):
        raise BadUserInput("Each step has a name of its own.", argument="steps")
    return steps


async def start_installation_sync(
    services: Services,
    principal: Principal,
    *,
    installation_id: UUID,
    lease_seconds: int,
    steps: tuple[SyncStep, ...],
    expected_version: int | None,
) -> Installation:
    """Start a synchronisation, with a lease that each progress report renews, up to the longest total.

    Raises:
        BadUserInput: The lease or a step is out of bounds.
        Also what change_installation raises.
    """
    if not 1 <= lease_seconds <= LONGEST_LEASE_SECONDS:
        raise BadUserInput(
            f"leaseSeconds must be from 1 to {LONGEST_LEASE_SECONDS}, not {lease_seconds}.", argument="leaseSeconds"
        )
    return await change_installation(
        services,
        principal,
        action=InstallationAction.START_SYNC,
        installation_id=installation_id,
        expected_version=expected_version,
        advance=partial(
            lifecycle.start_sync,
            lease_seconds=lease_seconds,
            longest_sync=services.longest_sync,
            steps=_checked_steps(steps),
        ),
    )


async def report_installation_sync_progress(
    services: Services,
    principal: Principal,
    *,
    installation_id: UUID,
    steps: tuple[SyncStep, ...],
    message: str | None,
) -> Installation:
    """Store the progress, and renew the lease, up to the longest total.

    Also raises BadUserInput; see change_installation.
    """
    return await change_installation(
        services,
        principal,
        action=InstallationAction.REPORT_SYNC_PROGRESS,
        installation_id=installation_id,
        advance=partial(
            lifecycle.report_sync_progress,
            longest_sync=services.longest_sync,
            steps=_checked_steps(steps),
            message=checked_message(message),
        ),
    )


async def finish_installation_sync(
    services: Services, principal: Principal, *, installation_id: UUID, outcome: SyncOutcome, message: str | None
) -> Installation:
    """End the synchronisation. See change_installation for what is raised."""
    return await change_installation(
        services,
        principal,
        action=InstallationAction.FINISH_SYNC,
        installation_id=installation_id,
        argument=outcome,
        advance=partial(
            lifecycle.finish_sync,
            outcome=outcome,
            message=checked_message(message),
            failure_limit=services.failure_limit,
        ),
    )
