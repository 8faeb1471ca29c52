"""The matrix of actions and statuses, through the use cases and on the database; what fails changes nothing."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest

from gateway.domain.actions import InstallationAction
from gateway.domain.errors import ActionNotAllowed, ExpectedFailure, Forbidden, InstallationNotFound
from gateway.domain.events import Event, StatusChanged
from gateway.domain.installations import (
    Account,
    Application,
    DeactivationReason,
    Installation,
    InstallationStatus,
    SyncOutcome,
    SyncStep,
)
from gateway.domain.principals import Principal, PrincipalKind
from gateway.usecases import installations, marketplace, syncs
from gateway.usecases.services import Services
from tests.matrix import ACTORS, APPLICATIONS, CELLS, Cell
from tests.postgres.worlds import BEGINNING, PLATFORM, World, itself, user_of

Act = Callable[[Services, Principal, Application, Account, Installation | None], Awaitable[object]]
UNCHANGED = {"same", *(one.__name__ for one in (Forbidden, ActionNotAllowed, InstallationNotFound))}
"""Outcomes after which the same installation does for the next caller: `outcome` compares it with the database."""
STEPS = (SyncStep(name="tags", done=1, total=2),)


def on_installation(use_case: Callable[..., Awaitable[object]], **arguments: object) -> Act:
    async def act(
        services: Services, principal: Principal, _: Application, __: Account, installation: Installation | None
    ) -> object:
        installation_id = uuid4() if installation is None else installation.id
        return await use_case(services, principal, installation_id=installation_id, **arguments)

    return act


def on_pair(use_case: Callable[..., Awaitable[object]], **arguments: object) -> Act:
    async def act(
        services: Services, principal: Principal, application: Application, account: Account, _: Installation | None
    ) -> object:
        return await use_case(services, principal, application_id=application.id, account_id=account.id, **arguments)

    return act


ACTS: dict[InstallationAction, Act] = {
    InstallationAction.AUTHORIZE: on_pair(
        installations.authorize_installation, expires_at=BEGINNING + timedelta(days=90)
    ),
    InstallationAction.CREATE: on_pair(installations.create_installation, metadata=None),
    InstallationAction.ACTIVATE: on_installation(installations.activate_installation, expected_version=None),
    InstallationAction.START_SYNC: on_installation(
        syncs.start_installation_sync, lease_seconds=300, steps=(), expected_version=None
    ),
    InstallationAction.REPORT_SYNC_PROGRESS: on_installation(
        syncs.report_installation_sync_progress, steps=STEPS, message=None
    ),
    InstallationAction.FINISH_SYNC: on_installation(
        syncs.finish_installation_sync, outcome=SyncOutcome.SUCCEEDED, message=None
    ),
    InstallationAction.REPORT_CONNECTION_FAILURE: on_installation(
        installations.report_installation_connection, succeeded=False, message=None
    ),
    InstallationAction.REPORT_CONNECTION_SUCCESS: on_installation(
        installations.report_installation_connection, succeeded=True, message=None
    ),
    InstallationAction.DEACTIVATE: on_installation(
        installations.deactivate_installation,
        reason=DeactivationReason.NOT_ENTITLED, message=None, expected_version=None,
    ),
    InstallationAction.UPDATE_METADATA: on_installation(
        installations.merge_into_metadata, patch={"a": 1}, expected_version=None
    ),
    InstallationAction.DELETE: on_installation(installations.delete_installation, expected_version=None),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Place:
    """What one action works on."""

    application: Application
    account: Account
    installation: Installation | None
    events: int
    """The number in the log of the account."""


async def prepared(world: World, cell: Cell) -> Place:
    """Make an application of the cell's kind, and an installation of it in the cell's status."""
    method, requires_configuration = APPLICATIONS[cell.application]
    application = await world.register(method, requires_configuration=True)
    account = await world.account()
    installation = (
        None if cell.status is None else await installation_with_status(world, cell.status, application, account)
    )
    if not requires_configuration:
        application = await marketplace.update_application_details(
            world.services, PLATFORM, application_id=application.id, changes={"requires_configuration": False}
        )
    events = len(await world.events(account=account))
    return Place(application=application, account=account, installation=installation, events=events)


async def installation_with_status(
    world: World, status: InstallationStatus, application: Application, account: Account
) -> Installation:
    installation = await world.authorize(application, account)
    if status is InstallationStatus.AUTHORIZED:
        return installation
    await world.activate(installation)
    installation = await installations.report_installation_connection(
        world.services, PLATFORM, installation_id=installation.id, succeeded=False, message=None
    )
    if status is InstallationStatus.PENDING_INTEGRATION:
        return await world.start_sync(installation)
    return await world.deactivate(installation) if status is InstallationStatus.INACTIVE else installation


def callers(application: Application, account: Account) -> dict[PrincipalKind, Principal]:
    return {
        PrincipalKind.PLATFORM: PLATFORM,
        PrincipalKind.APPLICATION: itself(application),
        PrincipalKind.ACCOUNT: user_of(account.id),
        PrincipalKind.SYSTEM: Principal(kind=PrincipalKind.SYSTEM),
    }


@pytest.mark.parametrize("action", InstallationAction)
async def test_every_action_has_the_outcome_of_the_matrix(world: World, action: InstallationAction) -> None:
    for cell in (cell for cell in CELLS if cell.action is action):
        place = None
        for kind in PrincipalKind:
            place = place or await prepared(world, cell)
            assert await outcome(world, cell, kind, place) == expected(cell, kind), (cell.name, kind)
            if expected(cell, kind) not in UNCHANGED:
                place = None


def expected(cell: Cell, kind: PrincipalKind) -> str:
    if kind not in ACTORS[cell.action]:
        return "Forbidden"
    if cell.outcome != "refused":
        return cell.outcome
    unknown = cell.status is None and cell.action is not InstallationAction.CREATE
    return InstallationNotFound.__name__ if unknown else ActionNotAllowed.__name__


async def outcome(world: World, cell: Cell, kind: PrincipalKind, place: Place) -> str:
    application, account, before, written = place.application, place.account, place.installation, place.events
    try:
        await ACTS[cell.action](world.services, callers(application, account)[kind], application, account, before)
    except (Forbidden, ExpectedFailure) as failure:
        assert before == (await world.now(before) if before else None)
        assert len(await world.events(account=account)) == written
        return type(failure).__name__
    events = await world.events(account=account)
    if len(events) == written:
        assert before is not None
        assert await world.now(before) == before
        return "same"
    assert (len(events), events[-1].version) == (written + 1, written + 1)
    assert (events[-1].actor.kind, events[-1].occurred_at) == (kind, world.clock())
    return await resulting_outcome(world, cell, before=before, event=events[-1])


async def resulting_outcome(world: World, cell: Cell, *, before: Installation | None, event: Event) -> str:
    after = await world.now(event.installation_id)
    if not isinstance(event.change, StatusChanged):
        assert before is not None
        assert after is not None
        assert (after.status, after.version) == (before.status, event.version)
        return "kept"
    assert event.change.before == (before.status if before else None)
    assert event.change.reason == cell.reason
    assert event.change.after == (after.status if after else None)
    return after.status.value if after else "gone"
