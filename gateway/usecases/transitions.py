"""How an installation is changed: lock its row, check, let the domain advance it, save, append the event."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

from gateway.domain.actions import InstallationAction
from gateway.domain.errors import ApplicationNotFound, InstallationNotFound, Unavailable, VersionConflict
from gateway.domain.events import Actor, NewEvent
from gateway.domain.installations import Application, Installation
from gateway.domain.lifecycle import Transition, is_allowed_from, is_noop
from gateway.domain.policy import require_actor, require_allowed
from gateway.domain.principals import Principal
from gateway.storage.applications import select_applications
from gateway.storage.database import Connection
from gateway.storage.events import WriteConflict, append_event
from gateway.storage.installations import delete_installation, lock_installation, update_installation
from gateway.usecases.services import Services

_MOST_ATTEMPTS: Final = 50
Result = TypeVar("Result")


async def change_installation(
    services: Services,
    principal: Principal,
    *,
    action: InstallationAction,
    installation_id: UUID,
    expected_version: int | None = None,
    already: Callable[[Installation], bool] = lambda _: False,
    advance: Callable[[Installation, datetime], Transition | None],
) -> Installation:
    """Carry out one action; `already` tells what makes it needless where the status alone does not.

    Returns the installation as it is afterwards; as it was, where it was deleted.

    Raises:
        Forbidden: This kind of caller may never do it.
        InstallationNotFound: There is none, or none that the caller sees.
        VersionConflict: It has another version than expected.
        ActionNotAllowed: Its status does not allow it now.
    """
    require_actor(principal, action=action)

    async def attempt(connection: Connection) -> Installation:
        installation = await _locked(connection, principal, installation_id=installation_id)
        if expected_version is not None and expected_version != installation.version:
            raise VersionConflict(expected_version=expected_version, installation=installation)
        if already(installation):
            return installation
        await _require_allowed(connection, principal, action=action, installation=installation)
        now = services.now()
        step = advance(installation, now)
        return await save_step(connection, principal, installation=installation, step=step, now=now)

    return await retry_on_conflict(services, attempt)


async def retry_on_conflict(services: Services, attempt: Callable[[Connection], Awaitable[Result]]) -> Result:
    """Write in a transaction, and begin anew in another one where somebody else was quicker.

    Raises:
        Unavailable: Too many change the same installation at once.
    """
    for _ in range(_MOST_ATTEMPTS):
        with suppress(WriteConflict):
            async with services.writing() as connection:
                return await attempt(connection)
    raise Unavailable("Too many change this installation at once. Try again later.")


async def _locked(connection: Connection, principal: Principal, *, installation_id: UUID) -> Installation:
    installation = await lock_installation(connection, installation_id=installation_id)
    if installation is None or not principal.sees(
        application_id=installation.application_id, account_id=installation.account_id
    ):
        raise InstallationNotFound(installation_id)
    return installation


async def _require_allowed(
    connection: Connection, principal: Principal, *, action: InstallationAction, installation: Installation
) -> None:
    if is_allowed_from(action, status=installation.status) or is_noop(action, status=installation.status):
        return
    application = await find_application(connection, application_id=installation.application_id)
    require_allowed(principal, action=action, installation=installation, application=application)


async def find_application(connection: Connection, *, application_id: UUID) -> Application:
    """Read one application.

    Raises:
        ApplicationNotFound: There is none of this id.
    """
    found = await select_applications(connection, ids=[application_id])
    if application_id not in found:
        raise ApplicationNotFound(application_id)
    return found[application_id]


async def save_step(
    connection: Connection, principal: Principal, *, installation: Installation, step: Transition | None, now: datetime
) -> Installation:
    """Store what a step changed of a locked installation, and append its event to the log."""
    if step is None:
        return installation
    if step.installation is None:
        await delete_installation(connection, installation_id=installation.id)
    else:
        await update_installation(connection, step.installation)
    await append_step(connection, principal, installation=installation, step=step, now=now)
    return step.installation or installation


async def append_step(
    connection: Connection, principal: Principal, *, installation: Installation, step: Transition, now: datetime
) -> None:
    """Tell the log of a step; a step without a change is nothing to tell."""
    if step.change is None:
        return
    version = step.installation.version if step.installation else installation.version + 1
    await append_event(
        connection,
        NewEvent(
            occurred_at=now,
            actor=Actor(kind=principal.kind, id=principal.id, label=principal.label),
            installation_id=installation.id,
            application_id=installation.application_id,
            account_id=installation.account_id,
            version=version,
            change=step.change,
        ),
    )
