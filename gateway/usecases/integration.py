"""What an application reports while it works: synchronisations and its connection."""

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
    """Begin to synchronise, with a lease of so many seconds that each progress report renews.

    Raises:
        BadUserInput: The lease or a step is out of bounds.
        Also what change_installation raises.
    """
    if not 1 <= lease_seconds <= LONGEST_LEASE_SECONDS:
        raise BadUserInput(
            f"leaseSeconds must be from 1 to {LONGEST_LEASE_SECONDS}, not {lease_seconds}.", argument="leaseSeconds"
        )
    checked = _checked_steps(steps)
    return await change_installation(
        services,
        principal,
        action=InstallationAction.START_SYNC,
        installation_id=installation_id,
        expected_version=expected_version,
        advance=lambda installation, now: lifecycle.start_sync(
            installation, lease_seconds=lease_seconds, steps=checked, now=now
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
    """Tell how far the synchronisation is, and renew its lease. Also raises BadUserInput; see change_installation."""
    checked, text = _checked_steps(steps), checked_message(message)
    return await change_installation(
        services,
        principal,
        action=InstallationAction.REPORT_SYNC_PROGRESS,
        installation_id=installation_id,
        advance=lambda installation, now: lifecycle.report_sync_progress(
            installation, steps=checked, message=text, now=now
        ),
    )


async def finish_installation_sync(
    services: Services, principal: Principal, *, installation_id: UUID, outcome: SyncOutcome, message: str | None
) -> Installation:
    """End the synchronisation. See change_installation for what is raised."""
    text = checked_message(message)
    return await change_installation(
        services,
        principal,
        action=InstallationAction.FINISH_SYNC,
        installation_id=installation_id,
        already=lambda installation: lifecycle.sync_is_finished(installation, outcome=outcome),
        advance=lambda installation, now: lifecycle.finish_sync(
            installation, outcome=outcome, message=text, failure_limit=services.failure_limit, now=now
        ),
    )


async def report_installation_connection(
    services: Services, principal: Principal, *, installation_id: UUID, succeeded: bool, message: str | None
) -> Installation:
    """Tell whether the application reached its own system for this installation. See change_installation."""
    text = checked_message(message)
    action = InstallationAction.REPORT_CONNECTION_SUCCESS if succeeded else InstallationAction.REPORT_CONNECTION_FAILURE
    return await change_installation(
        services,
        principal,
        action=action,
        installation_id=installation_id,
        advance=lambda installation, now: lifecycle.report_connection(
            installation, succeeded=succeeded, message=text, failure_limit=services.failure_limit, now=now
        ),
    )
