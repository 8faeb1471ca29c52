"""How an installation is changed: lock its row, check, let the domain advance it, save, append the event."""

from collections.abc import Awaitable, Callable, Sequence
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
from gateway.storage.database import Connection, transaction
from gateway.storage.events import WriteConflict, append_event
from gateway.storage.installations import delete_installation, lock_installation, update_installation
from gateway.usecases.services import Services

_MOST_ATTEMPTS: Final = 50
Result = TypeVar("Result")
Written = tuple[Result, Sequence[NewEvent]]
"""What an attempt answers, and the events of what it changed."""
Attempt = Callable[[Connection], Awaitable[Written[Result]]]


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

    async def attempt(connection: Connection) -> Written[Installation]:
        installation = await _locked(connection, principal, installation_id=installation_id)
        if expected_version is not None and expected_version != installation.version:
            raise VersionConflict(expected_version=expected_version, installation=installation)
        if already(installation):
            return installation, ()
        await _require_allowed(connection, principal, action=action, installation=installation)
        now = services.now()
        transition = advance(installation, now)
        return await save(connection, principal, installation=installation, transition=transition, now=now)

    return await write_with_events(services, attempt)


async def write_with_events(services: Services, attempt: Attempt[Result]) -> Result:
    """Run an attempt and append its events in one transaction, and notify once it is committed.

    Where another transaction was quicker, the attempt is repeated in a new one.

    Raises:
        Unavailable: Too many transactions change the same installation at once.
    """
    for _ in range(_MOST_ATTEMPTS):
        try:
            async with transaction(services.database) as connection:
                result, events = await attempt(connection)
                for event in events:
                    await append_event(connection, event)
        except WriteConflict:
            continue
        if events:
            services.notify()
        return result
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


async def save(
    connection: Connection,
    principal: Principal,
    *,
    installation: Installation,
    transition: Transition | None,
    now: datetime,
) -> Written[Installation]:
    """Store what a transition changes of a locked installation."""
    if transition is None:
        return installation, ()
    if transition.installation is None:
        await delete_installation(connection, installation_id=installation.id)
    else:
        await update_installation(connection, transition.installation)
    saved = transition.installation or installation
    return saved, events_of(transition, principal=principal, installation=installation, now=now)


def events_of(
    transition: Transition, *, principal: Principal, installation: Installation, now: datetime
) -> tuple[NewEvent, ...]:
    """Return the event of a transition; none where it only renews a lease."""
    if transition.change is None:
        return ()
    event = NewEvent(
        occurred_at=now,
        actor=Actor(kind=principal.kind, id=principal.id, label=principal.label),
        installation_id=installation.id,
        application_id=installation.application_id,
        account_id=installation.account_id,
        version=transition.installation.version if transition.installation else installation.version + 1,
        change=transition.change,
    )
    return (event,)
