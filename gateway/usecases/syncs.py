"""Synchronisations: the application starts one, reports its progress, and finishes it."""

from functools import partial

from gateway.domain import lifecycle
from gateway.domain.actions import InstallationAction
from gateway.domain.input_checks import Id, InputCheck
from gateway.domain.input_problems import BrokenRule, InputProblemCode
from gateway.domain.installations import Installation, SyncOutcome, SyncStep
from gateway.domain.principals import Principal
from gateway.domain.text import text_problems
from gateway.usecases.services import Services
from gateway.usecases.transitions import change_installation

LONGEST_LEASE_SECONDS = 86_400
MOST_STEPS = 50
LONGEST_STEP_NAME = 100


def _check_steps(check: InputCheck, steps: tuple[SyncStep, ...]) -> None:
    if len(steps) > MOST_STEPS:
        message = f"Has {len(steps)} steps; at most {MOST_STEPS} are allowed."
        check.report(("steps",), BrokenRule(InputProblemCode.TOO_MANY, message, MOST_STEPS))
    names = set[str]()
    for at, step in enumerate(steps):
        check.report(("steps", at, "name"), *text_problems(step.name, most=LONGEST_STEP_NAME))
        if step.name in names:
            check.report(("steps", at, "name"), _SAME_NAME)
        names.add(step.name)
        if step.done < 0:
            check.report(("steps", at, "done"), _NEGATIVE)
        if step.total is not None and step.total < 0:
            check.report(("steps", at, "total"), _NEGATIVE)


_SAME_NAME = BrokenRule(InputProblemCode.CONFLICTING, "An earlier step has this name.")
_NEGATIVE = BrokenRule(InputProblemCode.TOO_SMALL, "Must be at least 0.", 0)
_LEASE_TOO_SHORT = BrokenRule(InputProblemCode.TOO_SMALL, "Must be at least 1.", 1)
_LEASE_TOO_LONG = BrokenRule(
    InputProblemCode.TOO_LARGE, f"Must be at most {LONGEST_LEASE_SECONDS}.", LONGEST_LEASE_SECONDS
)


async def start_installation_sync(
    services: Services,
    principal: Principal,
    *,
    installation_id: Id,
    lease_seconds: int,
    steps: tuple[SyncStep, ...],
    expected_version: int | None,
) -> Installation:
    """Start a synchronisation, with a lease that each progress report renews, up to the longest total.

    See change_installation for what is raised.
    """
    check = InputCheck()
    if lease_seconds < 1:
        check.report(("leaseSeconds",), _LEASE_TOO_SHORT)
    if lease_seconds > LONGEST_LEASE_SECONDS:
        check.report(("leaseSeconds",), _LEASE_TOO_LONG)
    _check_steps(check, steps)
    return await change_installation(
        services,
        principal,
        check,
        action=InstallationAction.START_SYNC,
        installation_id=installation_id,
        expected_version=expected_version,
        advance=partial(
            lifecycle.start_sync,
            lease_seconds=lease_seconds,
            longest_sync=services.longest_sync,
            steps=steps,
        ),
    )


async def report_installation_sync_progress(
    services: Services,
    principal: Principal,
    *,
    installation_id: Id,
    steps: tuple[SyncStep, ...],
    message: str | None,
) -> Installation:
    """Store the progress, and renew the lease, up to the longest total. See change_installation for what is raised."""
    check = InputCheck()
    _check_steps(check, steps)
    check.message(message)
    return await change_installation(
        services,
        principal,
        check,
        action=InstallationAction.REPORT_SYNC_PROGRESS,
        installation_id=installation_id,
        advance=partial(
            lifecycle.report_sync_progress,
            longest_sync=services.longest_sync,
            steps=steps,
            message=message,
        ),
    )


async def finish_installation_sync(
    services: Services, principal: Principal, *, installation_id: Id, outcome: SyncOutcome, message: str | None
) -> Installation:
    """End the synchronisation. See change_installation for what is raised."""
    check = InputCheck()
    check.message(message)
    return await change_installation(
        services,
        principal,
        check,
        action=InstallationAction.FINISH_SYNC,
        installation_id=installation_id,
        argument=outcome,
        advance=partial(
            lifecycle.finish_sync,
            outcome=outcome,
            message=message,
            failure_limit=services.failure_limit,
        ),
    )
