"""How an installation is changed: check, compute the transition, store it, append its event.

Changes of an installation that exists go together with others (`write_batcher`). What creates or deletes one, and what
could not be done together, locks its row in a transaction of its own.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from gateway.domain.actions import InstallationAction
from gateway.domain.errors import Unavailable
from gateway.domain.events import NewEvent
from gateway.domain.input_checks import Id, InputCheck
from gateway.domain.installations import Installation
from gateway.domain.lifecycle import Transition, is_allowed_from, is_noop
from gateway.domain.policy import require_actor, require_allowed
from gateway.domain.principals import Principal
from gateway.storage.database import Connection, transaction
from gateway.storage.events import WriteConflict, append_event
from gateway.storage.installations import insert_installation, lock_installation, update_installation
from gateway.storage.queries import queries
from gateway.usecases.marketplace import find_application
from gateway.usecases.services import Services
from gateway.usecases.write_batcher import Change, Decide, NotAllowedFromStatus

_MOST_ATTEMPTS: Final = 50
Result = TypeVar("Result")
Written = tuple[Result, Sequence[NewEvent]]
"""What an attempt returns: its result, and the events of what it changed."""
Attempt = Callable[[Connection], Awaitable[Written[Result]]]


async def change_installation(
    services: Services,
    principal: Principal,
    check: InputCheck,
    *,
    action: InstallationAction,
    installation_id: Id,
    expected_version: int | None = None,
    argument: object = None,
    advance: Decide,
) -> Installation:
    """Carry out one action, and return the installation as it is afterwards.

    `argument` is what decides whether the action has nothing to do, see lifecycle.is_noop. `advance` is its function of
    the lifecycle, complete but for the installation and the time.

    Raises:
        Forbidden: This kind of caller may never do it.
        InvalidInput: `check` has found problems, or the id is malformed.
        InstallationNotFound: There is none, or none that the caller sees.
        VersionConflict: It has another version than expected.
        ActionNotAllowed: Its status does not allow it now.
    """
    require_actor(principal, action=action)
    checked_id = check.id(installation_id, "id")
    check.finish()

    def decide(installation: Installation, /, *, now: datetime) -> Transition | None:
        if is_noop(action, installation, argument):
            return None
        if not is_allowed_from(action, status=installation.status):
            raise NotAllowedFromStatus
        return advance(installation, now=now)

    change = Change(
        principal=principal, action=action, installation_id=checked_id, expected_version=expected_version, decide=decide
    )
    return await make_change(services, change)


async def make_change(services: Services, change: Change) -> Installation:
    """Make a change together with others; alone, where another transaction was first."""
    made = await services.write_batcher.submit(change) if services.batch_writes else None
    return made if made is not None else await write_with_events(services, partial(change_alone, services, change))


async def change_alone(services: Services, change: Change, connection: Connection) -> Written[Installation]:
    """Make a change in a transaction of its own, whose first statement locks the row."""
    before = change.require(await lock_installation(connection, installation_id=change.installation_id))
    now = services.now()
    try:
        transition = change.decide(before, now=now)
    except NotAllowedFromStatus:
        application = await find_application(connection, application_id=before.application_id)
        require_allowed(change.principal, action=change.action, installation=before, application=application)
        raise
    if transition is None:
        return before, ()
    return await save(connection, change.principal, before=before, transition=transition, now=now)


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
        await queries.delete_installation.execute(connection, id=installation.id)
    else:
        await update_installation(connection, installation)
    event = transition.event(before, principal=principal, now=now)
    return installation, () if event is None else (event,)
