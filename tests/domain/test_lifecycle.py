"""Each rule of the lifecycle by itself; test_matrix.py tests which action leads to which status."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.domain import lifecycle
from gateway.domain.actions import InstallationAction
from gateway.domain.events import (
    AuthorizationRenewed,
    MetadataUpdated,
    StatusChanged,
)
from gateway.domain.installations import (
    AuthorizationMethod,
    Installation,
    InstallationStatus,
    StatusReason,
    StatusReasonCode,
    SyncState,
)
from gateway.domain.lifecycle import Transition, is_noop
from tests.domain.examples import (
    ACCOUNT_ID,
    APPLICATION_ID,
    BEFORE,
    NOW,
    OTHER_ID,
    a_sync,
    an_application,
    an_installation,
)

AUTHORIZED, ACTIVATED = InstallationStatus.AUTHORIZED, InstallationStatus.ACTIVATED
INACTIVE, PENDING = InstallationStatus.INACTIVE, InstallationStatus.PENDING_INTEGRATION
LIMIT = 5
LONGEST = timedelta(days=30)
LATER = NOW + timedelta(days=30)


def authorized(
    installation: Installation | None, *, method: AuthorizationMethod = AuthorizationMethod.OAUTH, **fields: bool
) -> Installation | None:
    transition = lifecycle.authorize(
        installation, installation_id=OTHER_ID, application=an_application(method, **fields), account_id=ACCOUNT_ID,
        expires_at=LATER, now=NOW,
    )  # fmt: skip
    return transition.installation


def created(installation: Installation, *, metadata: str | None) -> Installation | None:
    return lifecycle.create(installation, metadata=metadata, now=NOW).installation


def expired(installation: Installation) -> Transition | None:
    return lifecycle.expire(installation, failure_limit=LIMIT, longest_sync=LONGEST, now=NOW)


def inactive_because(code: StatusReasonCode, *, message: str | None = None) -> StatusReason:
    return StatusReason(code=code, message=message, since=NOW)


def test_authorizing_creates_an_installation_without_metadata() -> None:
    assert authorized(None) == Installation(
        id=OTHER_ID,
        application_id=APPLICATION_ID,
        account_id=ACCOUNT_ID,
        status=ACTIVATED,
        status_reason=StatusReason(code=StatusReasonCode.AUTHORIZATION_COMPLETED, message=None, since=NOW),
        metadata="{}",
        version=1,
        sync=None,
        connection_failures=0,
        authorization_expires_at=LATER,
        created_at=NOW,
        updated_at=NOW,
        activated_at=NOW,
    )


def test_an_installation_that_is_only_authorized_was_not_activated() -> None:
    begun = authorized(None, requires_configuration=True)
    assert begun is not None
    assert (begun.status, begun.activated_at) == (AUTHORIZED, None)


def test_authorizing_an_inactive_installation_activates_it_and_resets_its_failures() -> None:
    before = an_installation(INACTIVE, connection_failures=LIMIT, activated_at=BEFORE)
    assert authorized(before) == replace(
        before,
        status=ACTIVATED,
        status_reason=StatusReason(code=StatusReasonCode.AUTHORIZATION_COMPLETED, message=None, since=NOW),
        version=8,
        connection_failures=0,
        authorization_expires_at=LATER,
        updated_at=NOW,
        activated_at=NOW,
    )


def test_an_inactive_installation_that_becomes_authorized_keeps_the_time_of_its_last_activation() -> None:
    back = authorized(an_installation(INACTIVE, activated_at=BEFORE), method=AuthorizationMethod.API_KEY)
    assert back is not None
    assert (back.status, back.activated_at) == (AUTHORIZED, BEFORE)


@pytest.mark.parametrize("status", [AUTHORIZED, ACTIVATED, PENDING])
def test_authorizing_again_renews_the_expiry_and_nothing_else(status: InstallationStatus) -> None:
    before = an_installation(status)
    after = replace(before, authorization_expires_at=LATER, version=8, updated_at=NOW)
    transition = lifecycle.authorize(
        before, installation_id=OTHER_ID, application=an_application(), account_id=ACCOUNT_ID, expires_at=LATER,
        now=NOW,
    )  # fmt: skip
    assert transition == Transition(installation=after, change=AuthorizationRenewed(expires_at=LATER))
    assert is_noop(InstallationAction.AUTHORIZE, after, LATER)


def test_a_renewal_may_remove_the_expiry() -> None:
    transition = lifecycle.authorize(
        an_installation(authorization_expires_at=LATER), installation_id=OTHER_ID, application=an_application(),
        account_id=ACCOUNT_ID, expires_at=None, now=NOW,
    )  # fmt: skip
    assert transition.change == AuthorizationRenewed(expires_at=None)


def test_creating_completes_an_authorized_installation_and_keeps_its_expiry() -> None:
    before = an_installation(AUTHORIZED, authorization_expires_at=LATER)
    assert created(before, metadata='{"plan":"large"}') == replace(
        before,
        status=ACTIVATED,
        status_reason=StatusReason(code=StatusReasonCode.API_KEY_CONNECTED, message=None, since=NOW),
        metadata='{"plan":"large"}',
        version=8,
        updated_at=NOW,
        activated_at=NOW,
    )


@pytest.mark.parametrize(("given", "kept"), [(None, '{"plan":"small"}'), ("{}", "{}")])
def test_creating_without_metadata_keeps_what_there_is(given: str | None, kept: str) -> None:
    after = created(an_installation(AUTHORIZED), metadata=given)
    assert after is not None
    assert after.metadata == kept


def test_activating_sets_the_time_of_activation() -> None:
    transition = lifecycle.activate(an_installation(AUTHORIZED), now=NOW)
    assert transition.installation is not None
    assert transition.installation.activated_at == NOW


@pytest.mark.parametrize("code", [StatusReasonCode.NOT_ENTITLED, StatusReasonCode.DEACTIVATED])
def test_deactivating_ends_a_running_sync_as_failed_and_keeps_the_failure_count(code: StatusReasonCode) -> None:
    before = an_installation(PENDING)
    transition = lifecycle.deactivate(before, code=code, message="bye", now=NOW)
    assert transition == Transition(
        installation=replace(
            before,
            status=INACTIVE,
            status_reason=inactive_because(code, message="bye"),
            version=8,
            updated_at=NOW,
            sync=a_sync(SyncState.FAILED, finished_at=NOW, message="The installation became inactive."),
        ),
        change=StatusChanged(before=PENDING, after=INACTIVE, reason=code, message="bye"),
    )


def test_deactivating_keeps_a_finished_sync() -> None:
    sync = a_sync(SyncState.SUCCEEDED)
    transition = lifecycle.deactivate(
        an_installation(sync=sync), code=StatusReasonCode.DEACTIVATED, message=None, now=NOW
    )
    assert transition.installation is not None
    assert transition.installation.sync == sync


def test_metadata_without_a_changed_key_is_a_noop() -> None:
    assert is_noop(InstallationAction.UPDATE_METADATA, an_installation(), ())


@pytest.mark.parametrize(
    ("status", "metadata", "noop"),
    [
        (ACTIVATED, None, True),
        (PENDING, '{"plan": "small"}', True),
        (ACTIVATED, '{"plan":"large"}', False),
        (AUTHORIZED, None, False),
        (INACTIVE, None, False),
    ],
)
def test_creating_again_with_the_same_metadata_or_none_is_a_noop(
    status: InstallationStatus, metadata: str | None, *, noop: bool
) -> None:
    assert is_noop(InstallationAction.CREATE, an_installation(status), metadata) is noop


def test_an_event_names_the_changed_keys() -> None:
    before = an_installation(INACTIVE)
    transition = lifecycle.update_metadata(before, metadata='{"a":1}', changed_keys=("a", "plan"), now=NOW)
    after = replace(before, metadata='{"a":1}', version=8, updated_at=NOW)
    assert transition == Transition(installation=after, change=MetadataUpdated(changed_keys=("a", "plan")))


@pytest.mark.parametrize("status", [AUTHORIZED, ACTIVATED, PENDING])
def test_an_authorization_expires(status: InstallationStatus) -> None:
    transition = expired(an_installation(status, authorization_expires_at=NOW))
    assert transition is not None
    assert transition.installation is not None
    code = StatusReasonCode.AUTHORIZATION_EXPIRED
    assert transition.change == StatusChanged(before=status, after=INACTIVE, reason=code, message=None)
    assert transition.installation.status_reason == inactive_because(code)


@pytest.mark.parametrize(
    "installation",
    [
        an_installation(),
        an_installation(authorization_expires_at=LATER),
        an_installation(INACTIVE, authorization_expires_at=BEFORE),
        an_installation(PENDING),
        an_installation(PENDING, authorization_expires_at=LATER),
        an_installation(sync=a_sync(SyncState.TIMED_OUT)),
    ],
    ids=["no expiry", "not yet", "inactive already", "lease not yet", "neither yet", "ended already"],
)
def test_what_is_not_due_does_not_expire(installation: Installation) -> None:
    assert expired(installation) is None


LEASE = "The lease ran out before the application reported again."


def test_a_sync_that_took_as_long_as_it_may_says_so() -> None:
    transition = expired(an_installation(PENDING, sync=a_sync(started_at=NOW - LONGEST, expires_at=NOW)))
    assert transition is not None
    assert transition.installation is not None
    code, message = StatusReasonCode.SYNC_TIMED_OUT, "The synchronisation took longer than one may take in all."
    assert transition.installation.status_reason == StatusReason(code=code, message=message, since=NOW)


@pytest.mark.parametrize(
    ("failures", "status", "code"),
    [(0, ACTIVATED, StatusReasonCode.SYNC_TIMED_OUT), (LIMIT - 1, INACTIVE, StatusReasonCode.CONNECTION_FAILED)],
)
def test_an_expired_lease_is_a_failed_sync(failures: int, status: InstallationStatus, code: StatusReasonCode) -> None:
    before = an_installation(PENDING, connection_failures=failures, sync=a_sync(expires_at=NOW))
    assert expired(before) == Transition(
        installation=replace(
            before,
            status=status,
            status_reason=StatusReason(code=code, message=LEASE, since=NOW),
            version=8,
            connection_failures=failures + 1,
            updated_at=NOW,
            sync=a_sync(SyncState.TIMED_OUT, finished_at=NOW, message=LEASE),
        ),
        change=StatusChanged(before=PENDING, after=status, reason=code, message=LEASE),
    )


def test_an_expired_authorization_takes_precedence_over_an_expired_lease() -> None:
    transition = expired(an_installation(PENDING, authorization_expires_at=NOW, sync=a_sync(expires_at=BEFORE)))
    assert transition is not None
    assert transition.installation is not None
    assert transition.installation.status_reason == inactive_because(StatusReasonCode.AUTHORIZATION_EXPIRED)
    assert expired(transition.installation) is None


def test_updated_at_does_not_go_back_where_the_clock_does() -> None:
    transition = lifecycle.activate(an_installation(AUTHORIZED, updated_at=LATER), now=NOW)
    assert transition.installation is not None
    assert (transition.installation.updated_at, transition.installation.version) == (LATER, 8)
