"""Every status by every action, caller and application, against a table written by hand."""

import itertools
from datetime import timedelta
from typing import assert_never

import pytest

from gateway.domain import lifecycle
from gateway.domain.actions import InstallationAction
from gateway.domain.errors import ActionNotAllowed, Forbidden
from gateway.domain.events import StatusChanged
from gateway.domain.installations import (
    Application,
    Installation,
    InstallationStatus,
    StatusReason,
    StatusReasonCode,
    SyncOutcome,
)
from gateway.domain.lifecycle import Transition, is_noop
from gateway.domain.policy import allowed_actions, require_actor, require_allowed
from gateway.domain.principals import PrincipalKind
from tests.domain.examples import (
    ACCOUNT_ID,
    CALLERS,
    INSTALLATION_ID,
    NOW,
    OTHER_ID,
    STEPS,
    an_application,
    an_installation,
)
from tests.matrix import ACTORS, APPLICATIONS, CELLS, STATUSES, Cell, expected_actions

LIMIT = 5
LATER = NOW + timedelta(days=30)
ARGUMENTS: dict[InstallationAction, object] = {
    InstallationAction.AUTHORIZE: LATER,
    InstallationAction.FINISH_SYNC: SyncOutcome.SUCCEEDED,
    InstallationAction.UPDATE_METADATA: ("a", "plan"),
}
"""The arguments that is_noop needs, equal to those that `perform` passes."""


def perform(action: InstallationAction, *, installation: Installation | None, application: Application) -> Transition:
    match action:
        case InstallationAction.AUTHORIZE:
            return lifecycle.authorize(
                installation, installation_id=OTHER_ID, application=application, account_id=ACCOUNT_ID,
                expires_at=LATER, now=NOW,
            )  # fmt: skip
        case InstallationAction.CREATE:
            assert installation is not None
            return lifecycle.create(installation, metadata=None, now=NOW)
        case _:
            assert installation is not None
            return perform_on(installation, action)


def perform_on(installation: Installation, action: InstallationAction) -> Transition:  # noqa: PLR0911 - one each
    match action:
        case InstallationAction.ACTIVATE:
            return lifecycle.activate(installation, now=NOW)
        case InstallationAction.START_SYNC:
            return lifecycle.start_sync(
                installation, lease_seconds=300, longest_sync=timedelta(days=1), steps=STEPS, now=NOW
            )
        case InstallationAction.REPORT_SYNC_PROGRESS:
            return lifecycle.report_sync_progress(
                installation, longest_sync=timedelta(days=1), steps=STEPS, message=None, now=NOW
            )
        case InstallationAction.FINISH_SYNC:
            return lifecycle.finish_sync(
                installation, outcome=SyncOutcome.SUCCEEDED, message=None, failure_limit=LIMIT, now=NOW
            )
        case InstallationAction.REPORT_CONNECTION_FAILURE | InstallationAction.REPORT_CONNECTION_SUCCESS:
            succeeded = action is InstallationAction.REPORT_CONNECTION_SUCCESS
            return lifecycle.report_connection(
                installation, succeeded=succeeded, message=None, failure_limit=LIMIT, now=NOW
            )
        case InstallationAction.DEACTIVATE:
            return lifecycle.deactivate(installation, code=StatusReasonCode.NOT_ENTITLED, message=None, now=NOW)
        case InstallationAction.UPDATE_METADATA:
            return lifecycle.update_metadata(installation, metadata='{"a":1}', changed_keys=("a", "plan"), now=NOW)
        case InstallationAction.DELETE:
            return lifecycle.delete(installation)
        case InstallationAction.AUTHORIZE | InstallationAction.CREATE:
            raise AssertionError("these begin an installation, and have a test of their own")
        case _:
            assert_never(action)


def world(cell: Cell) -> tuple[Application, Installation | None]:
    method, requires_configuration = APPLICATIONS[cell.application]
    application = an_application(method, requires_configuration=requires_configuration)
    return application, None if cell.status is None else an_installation(cell.status)


@pytest.mark.parametrize("kind", PrincipalKind)
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_every_action_from_every_status_by_every_kind_of_caller(cell: Cell, kind: PrincipalKind) -> None:
    application, installation = world(cell)
    if kind not in ACTORS[cell.action]:
        with pytest.raises(Forbidden):
            require_actor(CALLERS[kind], action=cell.action)
        return
    require_actor(CALLERS[kind], action=cell.action)
    creates = cell.action is not InstallationAction.CREATE or cell.application.startswith("key")
    noop = creates and installation is not None and is_noop(cell.action, installation, ARGUMENTS.get(cell.action))
    assert noop is (cell.outcome == "same")
    if noop:
        return
    if cell.outcome == "refused":
        with pytest.raises(ActionNotAllowed) as refused:
            require_allowed(CALLERS[kind], action=cell.action, installation=installation, application=application)
        expected = expected_actions(kind, application=cell.application, status=cell.status)
        assert (refused.value.action, refused.value.installation, refused.value.allowed_actions) == (
            cell.action,
            installation,
            expected,
        )
        return
    require_allowed(CALLERS[kind], action=cell.action, installation=installation, application=application)
    assert_outcome(
        cell, before=installation, transition=perform(cell.action, installation=installation, application=application)
    )


def assert_outcome(cell: Cell, *, before: Installation | None, transition: Transition) -> None:
    match cell.outcome:
        case "kept":
            assert before is not None
            assert_kept(before, transition=transition)
        case "gone":
            change = StatusChanged(before=cell.status, after=None, reason=StatusReasonCode.DELETED, message=None)
            assert transition == Transition(installation=None, change=change)
        case status:
            assert cell.reason is not None
            assert_status_changed(before, transition=transition, status=InstallationStatus(status), reason=cell.reason)


def assert_kept(before: Installation, *, transition: Transition) -> None:
    assert transition.installation is not None
    assert transition.change is not None
    assert not isinstance(transition.change, StatusChanged)
    after = transition.installation
    assert (after.status, after.status_reason) == (before.status, before.status_reason)
    assert (after.id, after.version, after.updated_at) == (INSTALLATION_ID, 8, NOW)


def assert_status_changed(
    before: Installation | None, *, transition: Transition, status: InstallationStatus, reason: StatusReasonCode
) -> None:
    assert transition.installation is not None
    after = transition.installation
    assert transition.change == StatusChanged(
        before=None if before is None else before.status, after=status, reason=reason, message=None
    )
    assert (after.status, after.status_reason) == (status, StatusReason(code=reason, message=None, since=NOW))
    expected = (OTHER_ID, 1, NOW) if before is None else (INSTALLATION_ID, 8, NOW)
    assert (after.id, after.version, after.updated_at) == expected


def test_the_table_has_every_cell() -> None:
    assert [(cell.action, cell.application, cell.status) for cell in CELLS if cell.status is None] == [
        (action, application, None) for action in InstallationAction for application in APPLICATIONS
    ]
    assert len(CELLS) == len(InstallationAction) * len(APPLICATIONS) * len(STATUSES)


@pytest.mark.parametrize("kind", PrincipalKind)
@pytest.mark.parametrize(("application", "status"), list(itertools.product(APPLICATIONS, STATUSES)))
def test_allowed_actions_are_those_that_change_something(
    application: str, status: InstallationStatus | None, kind: PrincipalKind
) -> None:
    method, requires_configuration = APPLICATIONS[application]
    listed = allowed_actions(
        CALLERS[kind],
        installation=None if status is None else an_installation(status),
        application=an_application(method, requires_configuration=requires_configuration),
    )
    assert listed == expected_actions(kind, application=application, status=status)
