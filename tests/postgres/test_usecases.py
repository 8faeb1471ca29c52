"""The use cases on installations: each failure, and the events."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from gateway.domain.actions import InstallationAction
from gateway.domain.errors import (
    AccountNotFound,
    ActionNotAllowed,
    ApplicationNotFound,
    Forbidden,
    InstallationAlreadyExists,
    InstallationNotFound,
    InvalidInput,
    VersionConflict,
)
from gateway.domain.events import (
    Actor,
    AuthorizationRenewed,
    ConnectionReported,
    MetadataUpdated,
    StatusChanged,
    SyncProgressed,
)
from gateway.domain.installations import (
    DeactivationReason,
    InstallationStatus,
    StatusReason,
    StatusReasonCode,
    SyncOutcome,
    SyncState,
    SyncStep,
)
from gateway.domain.principals import Principal, PrincipalKind
from gateway.storage.database import connection
from gateway.usecases import installations, syncs
from tests.postgres.worlds import BEGINNING, PLATFORM, World, itself, user_of

AUTHORIZED, ACTIVATED = InstallationStatus.AUTHORIZED, InstallationStatus.ACTIVATED
INACTIVE, PENDING = InstallationStatus.INACTIVE, InstallationStatus.PENDING_INTEGRATION
LATER = BEGINNING + timedelta(days=30)


async def create(
    world: World, principal: Principal, *, application_id: UUID | None, account_id: UUID | None, metadata: object = None
) -> None:
    await installations.create_installation(
        world.services, principal, application_id=application_id, account_id=account_id, metadata=metadata
    )


async def test_each_change_of_a_lifecycle_has_one_event_in_order(world: World) -> None:
    application, account = await world.application("settings"), await world.account()
    own = itself(application)
    begun = await world.authorize(application, account, expires_at=LATER)
    identifier = begun.id
    at = world.clock.advance(minutes=1)
    steps = (SyncStep(name="tags", done=1, total=None),)
    await world.authorize(application, account, expires_at=None)
    await installations.activate_installation(world.services, own, installation_id=identifier, expected_version=2)
    await world.merge(begun, plan="large")
    await world.start_sync(begun)
    await syncs.report_installation_sync_progress(
        world.services, own, installation_id=identifier, steps=steps, message=None
    )
    await syncs.finish_installation_sync(
        world.services, own, installation_id=identifier, outcome=SyncOutcome.SUCCEEDED, message="done"
    )
    await installations.report_installation_connection(
        world.services, own, installation_id=identifier, succeeded=False, message="503"
    )
    await world.deactivate(begun)
    deleted_at = await world.delete(begun)
    events = await world.events(begun)
    assert [event.change for event in events] == [
        StatusChanged(before=None, after=AUTHORIZED, reason=StatusReasonCode.AUTHORIZATION_COMPLETED, message=None),
        AuthorizationRenewed(expires_at=None),
        StatusChanged(
            before=AUTHORIZED, after=ACTIVATED, reason=StatusReasonCode.CONFIGURATION_COMPLETED, message=None
        ),
        MetadataUpdated(changed_keys=("plan",)),
        StatusChanged(before=ACTIVATED, after=PENDING, reason=StatusReasonCode.SYNC_STARTED, message=None),
        SyncProgressed(steps=steps),
        StatusChanged(before=PENDING, after=ACTIVATED, reason=StatusReasonCode.SYNC_SUCCEEDED, message="done"),
        ConnectionReported(succeeded=False, failures=1, message="503"),
        StatusChanged(before=ACTIVATED, after=INACTIVE, reason=StatusReasonCode.NOT_ENTITLED, message=None),
        StatusChanged(before=INACTIVE, after=None, reason=StatusReasonCode.DELETED, message=None),
    ]
    assert [event.version for event in events] == list(range(1, 11))
    assert {event.occurred_at for event in events[1:]} == {at, deleted_at}
    assert [event.actor.label for event in events] == [
        *["the platform"] * 2,
        "the application",
        *["the platform"] * 2,
        *["the application"] * 3,
        *["the platform"] * 2,
    ]
    assert {(event.application_id, event.account_id) for event in events} == {(application.id, account.id)}


async def test_an_event_has_the_time_of_its_change(world: World) -> None:
    moments = (BEGINNING + timedelta(seconds=number) for number in range(1000))
    world.services = replace(world.services, now=lambda: next(moments))
    begun = await world.installation(AUTHORIZED, kind="settings")
    activated = await world.activate(begun)
    deleted_at = await world.delete(activated)
    times = [event.occurred_at for event in await world.events(begun)]
    assert times == [begun.created_at, activated.updated_at, deleted_at]
    assert activated.status_reason.since == activated.updated_at


async def test_a_reauthorized_installation_keeps_its_id_and_a_deleted_one_does_not(world: World) -> None:
    application, account = await world.application(), await world.account()
    first = await world.authorize(application, account)
    await world.deactivate(first)
    assert (await world.authorize(application, account)).id == first.id
    await world.delete(first)
    assert (await world.authorize(application, account)).id != first.id


async def test_authorizing_needs_the_platform_a_future_expiry_and_an_existing_pair(world: World) -> None:
    application, account = await world.application(), await world.account()
    for principal in (itself(application), user_of(account.id)):
        with pytest.raises(Forbidden):
            await installations.authorize_installation(
                world.services, principal, application_id=application.id, account_id=account.id, expires_at=None
            )
    with pytest.raises(InvalidInput, match=r"expiresAt: Must be in the future\."):
        await world.authorize(application, account, expires_at=BEGINNING)
    with pytest.raises(ApplicationNotFound):
        await world.authorize(replace(application, id=uuid4()), account)
    with pytest.raises(AccountNotFound):
        await world.authorize(application, replace(account, id=uuid4()))
    assert await world.events() == []


async def test_creating_takes_the_callers_own_ids(world: World) -> None:
    application, account = await world.application("key"), await world.account()
    bound = Principal(kind=PrincipalKind.APPLICATION, application_id=application.id, account_id=account.id)
    begun = await world.authorize(application, account)
    await create(world, bound, application_id=None, account_id=None, metadata={"a": 1})
    now = await world.now(begun)
    assert now is not None
    assert (now.status, now.metadata) == (ACTIVATED, '{"a":1}')


async def test_creating_is_for_the_application_itself_in_its_own_account(world: World) -> None:
    application, account = await world.application("key"), await world.account()
    bound = Principal(kind=PrincipalKind.APPLICATION, application_id=application.id, account_id=account.id)
    for principal, application_id, account_id in (
        (itself(await world.application("oauth")), application.id, account.id),
        (bound, application.id, (await world.account()).id),
        (user_of(account.id), application.id, account.id),
    ):
        with pytest.raises(Forbidden):
            await create(world, principal, application_id=application_id, account_id=account_id)
    for principal, missing in ((PLATFORM, ["applicationId", "accountId"]), (itself(application), ["accountId"])):
        with pytest.raises(InvalidInput) as refused:
            await create(world, principal, application_id=None, account_id=None)
        assert [problem.path for problem in refused.value.problems] == [(name,) for name in missing]
    assert await world.events() == []


async def test_creating_fails_with_the_reason(world: World) -> None:
    application, account = await world.application("key"), await world.account()
    with pytest.raises(ApplicationNotFound):
        await create(world, PLATFORM, application_id=uuid4(), account_id=account.id)
    with pytest.raises(AccountNotFound):
        await create(world, PLATFORM, application_id=application.id, account_id=uuid4())
    with pytest.raises(InvalidInput):
        await create(world, PLATFORM, application_id=application.id, account_id=account.id, metadata=[])
    oauth = await world.application("oauth")
    with pytest.raises(ActionNotAllowed):
        await create(world, PLATFORM, application_id=oauth.id, account_id=account.id)
    with pytest.raises(ActionNotAllowed) as refused:
        await create(world, PLATFORM, application_id=application.id, account_id=account.id)
    assert (refused.value.installation, refused.value.allowed_actions) == (None, (InstallationAction.AUTHORIZE,))
    installed = await world.installation(INACTIVE, kind="key")
    with pytest.raises(ActionNotAllowed) as refused:
        await create(world, PLATFORM, application_id=application.id, account_id=installed.account_id)
    assert (refused.value.installation, len(await world.events(installed))) == (installed, installed.version)


@pytest.mark.parametrize("again", [None, {"a": 1, "b": [1]}, {"b": [1], "a": 1}])
async def test_creating_the_same_again_changes_nothing(world: World, again: object) -> None:
    application, account = await world.application("key"), await world.account()
    ids = {"application_id": application.id, "account_id": account.id}
    begun = await world.authorize(application, account)
    await create(world, PLATFORM, **ids, metadata={"a": 1, "b": [1]})
    before, events = await world.now(begun), await world.events()
    await create(world, PLATFORM, **ids, metadata=again)
    assert (await world.now(begun), await world.events()) == (before, events)
    assert before is not None
    assert before.metadata == '{"a":1,"b":[1]}'
    with pytest.raises(InstallationAlreadyExists) as exists:
        await create(world, PLATFORM, **ids, metadata={"a": 2})
    assert exists.value.installation == before


async def test_another_order_of_keys_is_no_change_of_metadata(world: World) -> None:
    installation = await world.installation(ACTIVATED)
    first = await installations.replace_metadata(
        world.services, PLATFORM, installation_id=installation.id, metadata={"a": 1, "b": 2}, expected_version=None
    )
    again = await installations.replace_metadata(
        world.services, PLATFORM, installation_id=installation.id, metadata={"b": 2, "a": 1}, expected_version=None
    )
    assert (again, again.metadata) == (first, '{"a":1,"b":2}')


async def test_rejected_metadata_changes_nothing(world: World) -> None:
    installation = await world.installation(ACTIVATED)
    with pytest.raises(InvalidInput):
        await world.merge(installation, name="\0")
    with pytest.raises(InvalidInput):
        await installations.replace_metadata(
            world.services, PLATFORM, installation_id=installation.id, metadata=None, expected_version=None
        )
    assert (await world.now(installation), len(await world.events())) == (installation, 1)


async def test_what_is_not_visible_does_not_exist(world: World) -> None:
    installation = await world.installation(ACTIVATED)
    stranger = itself(await world.application("key"))
    elsewhere = replace(itself(await world.application()), account_id=uuid4())
    for principal, identifier in ((stranger, installation.id), (elsewhere, installation.id), (PLATFORM, uuid4())):
        with pytest.raises(InstallationNotFound) as missing:
            await syncs.start_installation_sync(
                world.services, principal, installation_id=identifier, lease_seconds=1, steps=(), expected_version=None
            )
        assert missing.value.installation_id == identifier
    with pytest.raises(InstallationNotFound):
        await installations.delete_installation(
            world.services, user_of(uuid4()), installation_id=installation.id, expected_version=99
        )
    assert await world.now(installation) == installation


async def test_an_expected_version_is_compared_before_anything_else(world: World) -> None:
    installation = await world.installation(ACTIVATED)
    attempts = (
        world.activate(installation, expected_version=7),
        world.delete(installation, expected_version=7),
        world.merge(installation, expected_version=7),
    )
    for attempt in attempts:
        with pytest.raises(VersionConflict) as conflict:
            await attempt
        assert (conflict.value.expected_version, conflict.value.installation) == (7, installation)
    assert await world.now(installation) == installation


@pytest.mark.parametrize("reason", DeactivationReason)
async def test_deactivating_keeps_the_reason_and_the_message(world: World, reason: DeactivationReason) -> None:
    installation = await world.installation(ACTIVATED)
    after = await installations.deactivate_installation(
        world.services, PLATFORM, installation_id=installation.id, reason=reason, message="bye", expected_version=1
    )
    code = StatusReasonCode(reason.value)
    assert (after.status, after.status_reason) == (INACTIVE, StatusReason(code=code, message="bye", since=BEGINNING))
    assert await world.now(installation) == after


async def test_failures_in_a_row_deactivate_and_authorizing_resets_them(world: World) -> None:
    installation = await world.installation(ACTIVATED)
    for _ in range(world.services.failure_limit):
        installation = await installations.report_installation_connection(
            world.services, PLATFORM, installation_id=installation.id, succeeded=False, message=None
        )
    assert (installation.status, installation.connection_failures) == (INACTIVE, 5)
    application = await world.application()
    (account_id,) = {event.account_id for event in await world.events()}
    back = await installations.authorize_installation(
        world.services, PLATFORM, application_id=application.id, account_id=account_id, expires_at=None
    )
    assert (back.status, back.connection_failures, back.version) == (ACTIVATED, 0, 7)


async def test_a_finished_sync_can_be_finished_again_with_the_same_outcome_only(world: World) -> None:
    installation = await world.installation(PENDING)
    finished = await syncs.finish_installation_sync(
        world.services, PLATFORM, installation_id=installation.id, outcome=SyncOutcome.FAILED, message="no"
    )
    assert finished.sync is not None
    assert (finished.status, finished.sync.state, finished.sync.message) == (ACTIVATED, SyncState.FAILED, "no")
    again = await syncs.finish_installation_sync(
        world.services, PLATFORM, installation_id=installation.id, outcome=SyncOutcome.FAILED, message="again"
    )
    assert again == finished
    with pytest.raises(ActionNotAllowed):
        await syncs.finish_installation_sync(
            world.services, PLATFORM, installation_id=installation.id, outcome=SyncOutcome.SUCCEEDED, message=None
        )


async def test_progress_without_a_change_renews_the_lease_without_an_event(world: World) -> None:
    installation = await world.installation(PENDING)
    world.clock.advance(seconds=200)
    after = await syncs.report_installation_sync_progress(
        world.services, PLATFORM, installation_id=installation.id, steps=(), message=None
    )
    assert after.sync is not None
    assert (after.version, after.sync.expires_at) == (installation.version, BEGINNING + timedelta(seconds=500))
    assert (await world.now(installation), len(await world.events())) == (after, installation.version)


STEP = SyncStep(name="tags", done=0, total=None)


@pytest.mark.parametrize(
    ("lease_seconds", "steps"),
    [
        (0, ()),
        (86_401, ()),
        (1, (STEP,) * 51),
        (1, (STEP, STEP)),
        (1, (replace(STEP, name=""),)),
        (1, (replace(STEP, name="\ud800"),)),
        (1, (replace(STEP, done=-1),)),
        (1, (replace(STEP, total=-1),)),
    ],
)
async def test_syncs_out_of_bounds_are_bad_input(world: World, lease_seconds: int, steps: tuple[SyncStep, ...]) -> None:
    installation = await world.installation(ACTIVATED)
    with pytest.raises(InvalidInput):
        await syncs.start_installation_sync(
            world.services, PLATFORM, installation_id=installation.id, lease_seconds=lease_seconds, steps=steps,
            expected_version=None,
        )  # fmt: skip
    assert await world.now(installation) == installation


async def test_a_commit_that_fails_leaves_neither_the_change_nor_its_event(world: World) -> None:
    installation = await world.installation(ACTIVATED)
    notified: list[None] = []
    services = replace(world.services, notify=lambda: notified.append(None))
    async with connection(world.services.database) as held:
        await held.execute(
            """
            create function refuse() returns trigger language plpgsql as $$ begin raise 'no commit today'; end $$;
            create constraint trigger refuse after insert on installation_events
                deferrable initially deferred for each row execute function refuse();
            """
        )
    with pytest.raises(Exception, match="no commit today"):
        await installations.delete_installation(
            services, PLATFORM, installation_id=installation.id, expected_version=None
        )
    application, account = await world.application("key"), await world.account()
    with pytest.raises(Exception, match="no commit today"):
        await installations.authorize_installation(
            services, PLATFORM, application_id=application.id, account_id=account.id, expires_at=None
        )
    assert (await world.now(installation), notified) == (installation, [])
    assert [(event.installation_id, event.version) for event in await world.events()] == [(installation.id, 1)]


async def test_notify_is_called_after_the_commit_of_an_event_only(world: World) -> None:
    notified: list[None] = []
    world.services = replace(world.services, notify=lambda: notified.append(None))
    application, account = await world.application(), await world.account()
    assert notified == []
    await world.authorize(application, account)
    assert notified == [None]
    await world.authorize(application, account)  # nothing to do
    assert notified == [None]


async def test_the_actor_of_an_event_is_the_caller_at_that_time(world: World) -> None:
    installation = await world.installation(ACTIVATED)
    await installations.delete_installation(
        world.services, user_of(installation.account_id), installation_id=installation.id, expected_version=1
    )
    assert [event.actor for event in await world.events()] == [
        Actor(kind=PrincipalKind.PLATFORM, id="key", label="the platform"),
        Actor(kind=PrincipalKind.ACCOUNT, id="user", label="a user"),
    ]
