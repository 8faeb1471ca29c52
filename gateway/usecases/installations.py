"""What the platform, the application and the account do to an installation; synchronisations are in syncs.py."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from gateway.domain import lifecycle
from gateway.domain.actions import InstallationAction
from gateway.domain.errors import Forbidden, InstallationAlreadyExists
from gateway.domain.input_checks import NO_ID, Id, InputCheck
from gateway.domain.input_problems import BrokenRule, InputProblemCode
from gateway.domain.installations import AuthorizationMethod, DeactivationReason, Installation, StatusReasonCode
from gateway.domain.lifecycle import Transition
from gateway.domain.metadata import changed_keys, decode_metadata, encode_metadata, merge_metadata
from gateway.domain.policy import require_actor, require_allowed
from gateway.domain.principals import Principal
from gateway.storage.database import Connection
from gateway.storage.installations import lock_installation_by_pair
from gateway.usecases.marketplace import find_application, require_account
from gateway.usecases.services import Services
from gateway.usecases.transitions import (
    Written,
    change_alone,
    change_installation,
    make_change,
    save,
    write_with_events,
)
from gateway.usecases.visibility import sees
from gateway.usecases.write_batcher import Change, NotAllowedFromStatus


async def authorize_installation(
    services: Services, principal: Principal, *, application_id: Id, account_id: Id, expires_at: datetime | None
) -> Installation:
    """The user completed the authorization: create the installation, leave INACTIVE, or renew the expiry.

    Raises:
        Forbidden: The caller is not the platform.
        InvalidInput: An id is malformed, or the expiry is not in the future.
        ApplicationNotFound: There is no such application.
        AccountNotFound: There is no such account.
    """
    action = InstallationAction.AUTHORIZE
    require_actor(principal, action=action)
    check = InputCheck()
    of, to = check.id(application_id, "applicationId"), check.id(account_id, "accountId")
    services.check_expiry(check, expires_at)
    check.finish()

    async def attempt(connection: Connection) -> Written[Installation]:
        application = await find_application(connection, application_id=of)
        await require_account(connection, account_id=to)
        installation = await lock_installation_by_pair(connection, application_id=of, account_id=to)
        if installation is not None and lifecycle.is_noop(action, installation, expires_at):
            return installation, ()
        now = services.now()
        transition = lifecycle.authorize(
            installation,
            installation_id=services.new_id(),
            application=application,
            account_id=to,
            expires_at=expires_at,
            now=now,
        )
        return await save(connection, principal, before=installation, transition=transition, now=now)

    return await write_with_events(services, attempt)


async def create_installation(
    services: Services, principal: Principal, *, application_id: Id | None, account_id: Id | None, metadata: Any
) -> Installation:
    """Complete the authorized installation of an API-key application; ids left out are the caller's own.

    Raises:
        Forbidden: The caller is neither the platform nor this application.
        InvalidInput: An id is malformed, or left out though the caller is not bound to one; or the metadata's problems.
        ApplicationNotFound, AccountNotFound.
        ActionNotAllowed: The application is of the OAuth method, or not authorized for the account.
        InstallationAlreadyExists: It exists with other metadata.
    """
    action = InstallationAction.CREATE
    require_actor(principal, action=action)
    check = InputCheck()
    of = _own_id(check, application_id, principal.application_id, name="applicationId")
    to = _own_id(check, account_id, principal.account_id, name="accountId")
    text = None if metadata is None else encode_metadata(metadata, check, "metadata")
    check.finish()
    if not sees(principal, application_id=of, account_id=to):
        raise Forbidden("An application may create installations of itself only, and within its caller's account.")

    async def attempt(connection: Connection) -> Written[Installation]:
        application = await find_application(connection, application_id=of)
        installation = await lock_installation_by_pair(connection, application_id=of, account_id=to)
        if installation is not None and application.authorization_method is AuthorizationMethod.API_KEY:
            if lifecycle.is_noop(action, installation, text):
                return installation, ()
            if lifecycle.is_noop(action, installation):
                raise InstallationAlreadyExists(installation)
        if installation is None and principal.application_id is None:  # no application learns which accounts exist
            await require_account(connection, account_id=to)
        require_allowed(principal, action=action, installation=installation, application=application)
        assert installation is not None  # noqa: S101 - CREATE is not allowed without one
        now = services.now()
        transition = lifecycle.create(installation, metadata=text, now=now)
        return await save(connection, principal, before=installation, transition=transition, now=now)

    return await write_with_events(services, attempt)


_NOT_BOUND = BrokenRule(InputProblemCode.REQUIRED, "Is needed: this caller is not bound to one.")


def _own_id(check: InputCheck, given: Id | None, bound: UUID | None, *, name: str) -> UUID:
    """Return the id that is given, or that the caller is bound to."""
    if given is not None:
        return check.id(given, name)
    if bound is None:
        check.report((name,), _NOT_BOUND)
    return bound or NO_ID


async def activate_installation(
    services: Services, principal: Principal, *, installation_id: Id, expected_version: int | None
) -> Installation:
    """The application's configuration is complete. See change_installation for what is raised."""
    return await change_installation(
        services,
        principal,
        InputCheck(),
        action=InstallationAction.ACTIVATE,
        installation_id=installation_id,
        expected_version=expected_version,
        advance=lifecycle.activate,
    )


async def deactivate_installation(
    services: Services,
    principal: Principal,
    *,
    installation_id: Id,
    reason: DeactivationReason,
    message: str | None,
    expected_version: int | None,
) -> Installation:
    """Make an installation INACTIVE until it is authorized again. See change_installation for what is raised."""
    check = InputCheck()
    check.message(message)
    return await change_installation(
        services,
        principal,
        check,
        action=InstallationAction.DEACTIVATE,
        installation_id=installation_id,
        expected_version=expected_version,
        advance=partial(lifecycle.deactivate, code=StatusReasonCode(reason.value), message=message),
    )


async def report_installation_connection(
    services: Services, principal: Principal, *, installation_id: Id, succeeded: bool, message: str | None
) -> Installation:
    """Store whether the application reached its own system for this installation. See change_installation."""
    action = InstallationAction.REPORT_CONNECTION_SUCCESS if succeeded else InstallationAction.REPORT_CONNECTION_FAILURE
    check = InputCheck()
    check.message(message)
    return await change_installation(
        services,
        principal,
        check,
        action=action,
        installation_id=installation_id,
        advance=partial(
            lifecycle.report_connection,
            succeeded=succeeded,
            message=message,
            failure_limit=services.failure_limit,
        ),
    )


async def delete_installation(
    services: Services, principal: Principal, *, installation_id: Id, expected_version: int | None
) -> tuple[Installation, datetime]:
    """Disconnect the application; the events stay. Returns what was deleted, and when. See change_installation."""
    action = InstallationAction.DELETE
    require_actor(principal, action=action)
    check = InputCheck()
    checked_id = check.id(installation_id, "id")
    check.finish()

    def decide(installation: Installation, /, *, now: datetime) -> Transition:  # noqa: ARG001 - see Decide
        if not lifecycle.is_allowed_from(action, status=installation.status):
            raise NotAllowedFromStatus
        return lifecycle.delete(installation)

    change = Change(
        principal=principal,
        action=action,
        installation_id=checked_id,
        expected_version=expected_version,
        decide=decide,
    )

    async def attempt(connection: Connection) -> Written[tuple[Installation, datetime]]:
        deleted, events = await change_alone(services, change, connection)
        return (deleted, events[0].occurred_at), events

    return await write_with_events(services, attempt)


async def replace_metadata(
    services: Services, principal: Principal, *, installation_id: Id, metadata: Any, expected_version: int | None
) -> Installation:
    """Replace all metadata. See change_installation for what is raised."""
    require_actor(principal, action=InstallationAction.UPDATE_METADATA)
    check = InputCheck()
    checked_id = check.id(installation_id, "id")
    text = encode_metadata(metadata, check, "change", "replace")
    check.finish()
    return await _update_metadata(
        services,
        principal,
        installation_id=checked_id,
        expected_version=expected_version,
        new=lambda _: (metadata, text),
    )


async def merge_into_metadata(
    services: Services, principal: Principal, *, installation_id: Id, patch: Any, expected_version: int | None
) -> Installation:
    """Apply a JSON Merge Patch (RFC 7396) to the metadata. See change_installation for what is raised."""
    require_actor(principal, action=InstallationAction.UPDATE_METADATA)
    check, path = InputCheck(), ("change", "merge")
    checked_id = check.id(installation_id, "id")
    if check.problems:  # there is nothing to merge into, and the patch's own problems are told all the same
        encode_metadata(merge_metadata({}, patch), check, *path)
    check.finish()

    def merged(before: Installation) -> tuple[Any, str]:
        check = InputCheck()  # anew for each attempt: the metadata may have changed
        metadata = merge_metadata(decode_metadata(before.metadata), patch)
        text = encode_metadata(metadata, check, *path)
        check.finish()
        return metadata, text

    return await _update_metadata(
        services, principal, installation_id=checked_id, expected_version=expected_version, new=merged
    )


async def _update_metadata(
    services: Services,
    principal: Principal,
    *,
    installation_id: UUID,
    expected_version: int | None,
    new: Callable[[Installation], tuple[Any, str]],
) -> Installation:
    """Store the metadata that `new` makes of the installation, a value and its text; allowed from every status."""
    action = InstallationAction.UPDATE_METADATA

    def decide(installation: Installation, /, *, now: datetime) -> Transition | None:
        metadata, text = new(installation)
        keys = () if text == installation.metadata else changed_keys(installation.metadata, metadata)
        if lifecycle.is_noop(action, installation, keys):
            return None
        return lifecycle.update_metadata(installation, metadata=text, changed_keys=keys, now=now)

    change = Change(
        principal=principal,
        action=action,
        installation_id=installation_id,
        expected_version=expected_version,
        decide=decide,
    )
    return await make_change(services, change)
