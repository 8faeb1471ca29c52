"""How an installation is changed: lock its row, check, compute the transition, store it, append its event."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, Protocol, TypeVar
from uuid import UUID

from gateway.domain.actions import InstallationAction
from gateway.domain.errors import InstallationNotFound, Unavailable, VersionConflict
from gateway.domain.events import Actor, NewEvent
from gateway.domain.installations import Installation
from gateway.domain.lifecycle import Transition, is_allowed_from, is_noop
from gateway.domain.policy import require_actor, require_allowed
from gateway.domain.principals import Principal
from gateway.storage.database import Connection, transaction
from gateway.storage.events import WriteConflict, append_event
from gateway.storage.installations import (
    delete_installation,
    insert_installation,
    lock_installation,
    update_installation,
)
from gateway.usecases.marketplace import find_application
from gateway.usecases.services import Services
from gateway.usecases.visibility import visible_installation

_MOST_ATTEMPTS: Final = 50
Result = TypeVar("Result")
Written = tuple[Result, Sequence[NewEvent]]
"""What an attempt returns: its result, and the events of what it changed."""
Attempt = Callable[[Connection], Awaitable[Written[Result]]]


class Advance(Protocol):
    """A function of the lifecycle, complete but for the installation and the time."""

    def __call__(self, installation: Installation, /, *, now: datetime) -> Transition: ...


async def change_installation(
    services: Services,
    principal: Principal,
    *,
    action: InstallationAction,
    installation_id: UUID,
    expected_version: int | None = None,
    argument: object = None,
    advance: Advance,
) -> Installation:
    """Carry out one action, and return the installation as it is afterwards.

    `argument` is what decides whether the action has nothing to do, see lifecycle.NOOP.

    Raises:
        Forbidden: This kind of caller may never do it.
        InstallationNotFound: There is none, or none that the caller sees.
        VersionConflict: It has another version than expected.
        ActionNotAllowed: Its status does not allow it now.
    """
    require_actor(principal, action=action)

    async def attempt(connection: Connection) -> Written[Installation]:
        installation = await lock_visible(
            connection, principal, installation_id=installation_id, expected_version=expected_version
        )
        if is_noop(action, installation, argument):
            return installation, ()
        await require_allowed_now(connection, principal, action=action, installation=installation)
        now = services.now()
        transition = advance(installation, now=now)
        return await save(connection, principal, before=installation, transition=transition, now=now)

    return await write_with_events(services, attempt)


async def write_with_events(services: Services, attempt: Attempt[Result]) -> Result:
    """Run an attempt and append its events in one transaction, and notify once it is committed.

    On a WriteConflict the attempt is repeated in a new transaction.

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


async def lock_visible(
    connection: Connection, principal: Principal, *, installation_id: UUID, expected_version: int | None
) -> Installation:
    """Lock an installation that the caller sees. Raises InstallationNotFound and VersionConflict."""
    locked = await lock_installation(connection, installation_id=installation_id)
    installation = visible_installation(principal, locked)
    if installation is None:
        raise InstallationNotFound(installation_id)
    if expected_version is not None and expected_version != installation.version:
        raise VersionConflict(expected_version=expected_version, installation=installation)
    return installation


async def require_allowed_now(
    connection: Connection, principal: Principal, *, action: InstallationAction, installation: Installation
) -> None:
    """Raise ActionNotAllowed where the status does not allow the action; only then is the application read."""
    if not is_allowed_from(action, status=installation.status):
        application = await find_application(connection, application_id=installation.application_id)
        require_allowed(principal, action=action, installation=installation, application=application)


async def save(
    connection: Connection, principal: Principal, *, before: Installation | None, transition: Transition, now: datetime
) -> Written[Installation]:
    """Store a transition of a locked installation; `before` is None where it creates one.

    Returns the installation as it is then (as it was, where it is deleted), and the event, if there is one.

    Raises:
        WriteConflict: Another transaction has just created the installation.
    """
    after = transition.installation
    installation = after or before
    assert installation is not None  # noqa: S101 - what is deleted was there
    if before is None:
        if not await insert_installation(connection, installation):
            raise WriteConflict
    elif after is None:
        await delete_installation(connection, installation_id=installation.id)
    else:
        await update_installation(connection, installation)
    if transition.change is None:
        return installation, ()
    event = NewEvent(
        occurred_at=now,
        actor=Actor(kind=principal.kind, id=principal.id, label=principal.label),
        installation_id=installation.id,
        application_id=installation.application_id,
        account_id=installation.account_id,
        version=installation.version if after else installation.version + 1,
        change=transition.change,
    )
    return installation, (event,)
