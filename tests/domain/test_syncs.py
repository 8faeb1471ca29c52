"""What synchronisations and connection reports change."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.domain import lifecycle
from gateway.domain.actions import InstallationAction
from gateway.domain.events import ConnectionReported, StatusChanged, SyncProgressed
from gateway.domain.installations import (
    Installation,
    InstallationStatus,
    StatusReason,
    StatusReasonCode,
    SyncOutcome,
    SyncState,
)
from gateway.domain.lifecycle import Transition
from tests.domain.examples import (
    NOW,
    STEPS,
    a_sync,
    an_installation,
)

AUTHORIZED, ACTIVATED = InstallationStatus.AUTHORIZED, InstallationStatus.ACTIVATED
INACTIVE, PENDING = InstallationStatus.INACTIVE, InstallationStatus.PENDING_INTEGRATION
LIMIT = 5
LONGEST = timedelta(days=30)


def finished(installation: Installation, outcome: SyncOutcome, *, limit: int = LIMIT) -> Transition:
    return lifecycle.finish_sync(installation, outcome=outcome, message="so it ended", failure_limit=limit, now=NOW)


def reported(installation: Installation, *, succeeded: bool) -> Transition:
    return lifecycle.report_connection(installation, succeeded=succeeded, message="503", failure_limit=LIMIT, now=NOW)


def progressed(installation: Installation) -> Transition:
    return lifecycle.report_sync_progress(installation, longest_sync=LONGEST, steps=STEPS, message="halfway", now=NOW)


def test_a_sync_starts_with_a_lease() -> None:
    transition = lifecycle.start_sync(
        an_installation(sync=a_sync(SyncState.FAILED)), lease_seconds=60, longest_sync=LONGEST, steps=STEPS, now=NOW
    )
    assert transition.installation is not None
    assert transition.installation.sync == a_sync(
        started_at=NOW, expires_at=NOW + timedelta(seconds=60), lease_seconds=60, steps=STEPS
    )


def test_progress_renews_the_lease_and_its_event_has_the_steps() -> None:
    before = an_installation(PENDING, sync=a_sync(lease_seconds=60))
    renewed = a_sync(lease_seconds=60, expires_at=NOW + timedelta(seconds=60), steps=STEPS, message="halfway")
    transition = progressed(before)
    after = replace(before, sync=renewed, version=8, updated_at=NOW)
    assert transition == Transition(installation=after, change=SyncProgressed(steps=STEPS))


def test_progress_without_a_change_renews_the_lease_without_an_event() -> None:
    before = an_installation(PENDING, sync=a_sync(steps=STEPS, message="halfway"))
    renewed = a_sync(steps=STEPS, message="halfway", expires_at=NOW + timedelta(seconds=300))
    assert progressed(before) == Transition(installation=replace(before, sync=renewed), change=None)


def test_a_new_message_is_progress() -> None:
    before = an_installation(PENDING, sync=a_sync(steps=STEPS))
    assert progressed(before).change == SyncProgressed(steps=STEPS)


@pytest.mark.parametrize("longest", [timedelta(0), timedelta(seconds=1), timedelta(seconds=60)])
def test_a_lease_never_ends_after_the_longest_total(longest: timedelta) -> None:
    started = lifecycle.start_sync(an_installation(), lease_seconds=61, longest_sync=longest, steps=(), now=NOW)
    late = lifecycle.report_sync_progress(
        an_installation(PENDING, sync=a_sync(started_at=NOW - timedelta(hours=1))),
        longest_sync=timedelta(hours=1) + longest, steps=(), message=None, now=NOW,
    )  # fmt: skip
    for transition in (started, late):
        assert transition.installation is not None
        assert transition.installation.sync is not None
        assert transition.installation.sync.expires_at == NOW + longest


def test_a_successful_sync_resets_the_failures() -> None:
    before = an_installation(PENDING, connection_failures=4)
    transition = finished(before, SyncOutcome.SUCCEEDED)
    assert transition.installation == replace(
        before,
        status=ACTIVATED,
        status_reason=StatusReason(code=StatusReasonCode.SYNC_SUCCEEDED, message="so it ended", since=NOW),
        version=8,
        connection_failures=0,
        updated_at=NOW,
        sync=a_sync(SyncState.SUCCEEDED, finished_at=NOW, message="so it ended"),
    )


@pytest.mark.parametrize(
    ("failures", "status", "code"),
    [(0, ACTIVATED, StatusReasonCode.SYNC_FAILED), (LIMIT - 1, INACTIVE, StatusReasonCode.CONNECTION_FAILED)],
)
def test_a_failed_sync_counts_as_a_connection_failure(
    failures: int, status: InstallationStatus, code: StatusReasonCode
) -> None:
    before = an_installation(PENDING, connection_failures=failures)
    transition = finished(before, SyncOutcome.FAILED)
    assert transition == Transition(
        installation=replace(
            before,
            status=status,
            status_reason=StatusReason(code=code, message="so it ended", since=NOW),
            version=8,
            connection_failures=failures + 1,
            updated_at=NOW,
            sync=a_sync(SyncState.FAILED, finished_at=NOW, message="so it ended"),
        ),
        change=StatusChanged(before=PENDING, after=status, reason=code, message="so it ended"),
    )


@pytest.mark.parametrize("outcome", SyncOutcome)
@pytest.mark.parametrize("state", SyncState)
def test_finishing_a_sync_again_is_a_noop_for_the_same_outcome(outcome: SyncOutcome, state: SyncState) -> None:
    status = PENDING if state is SyncState.RUNNING else ACTIVATED
    installation = an_installation(status, sync=a_sync(state))
    assert lifecycle.is_noop(InstallationAction.FINISH_SYNC, installation, outcome) is (state.value == outcome.value)


def test_finishing_is_no_noop_without_a_sync() -> None:
    assert not lifecycle.is_noop(InstallationAction.FINISH_SYNC, an_installation(), SyncOutcome.FAILED)


@pytest.mark.parametrize("status", [ACTIVATED, PENDING])
def test_failures_are_counted_until_the_limit(status: InstallationStatus) -> None:
    before = an_installation(status, connection_failures=LIMIT - 2)
    assert reported(before, succeeded=False) == Transition(
        installation=replace(before, version=8, connection_failures=LIMIT - 1, updated_at=NOW),
        change=ConnectionReported(succeeded=False, failures=LIMIT - 1, message="503"),
    )


def test_the_failure_at_the_limit_deactivates_and_ends_a_running_sync() -> None:
    before = an_installation(PENDING, connection_failures=LIMIT - 1)
    code = StatusReasonCode.CONNECTION_FAILED
    assert reported(before, succeeded=False) == Transition(
        installation=replace(
            before,
            status=INACTIVE,
            status_reason=StatusReason(code=code, message="503", since=NOW),
            version=8,
            connection_failures=LIMIT,
            updated_at=NOW,
            sync=a_sync(SyncState.FAILED, finished_at=NOW, message="The installation became inactive."),
        ),
        change=StatusChanged(before=PENDING, after=INACTIVE, reason=code, message="503"),
    )


def test_a_success_resets_the_failures() -> None:
    before = an_installation(connection_failures=LIMIT - 1)
    assert reported(before, succeeded=True) == Transition(
        installation=replace(before, version=8, connection_failures=0, updated_at=NOW),
        change=ConnectionReported(succeeded=True, failures=0, message="503"),
    )


def test_a_success_without_failures_is_a_noop() -> None:
    assert lifecycle.is_noop(InstallationAction.REPORT_CONNECTION_SUCCESS, an_installation(connection_failures=0))
