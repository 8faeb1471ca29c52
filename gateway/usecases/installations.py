"""What the platform, the application and the account do to an installation; synchronisations are in syncs.py."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from gateway.domain import lifecycle
from gateway.domain.actions import InstallationAction
from gateway.domain.errors import BadUserInput, Forbidden, InstallationAlreadyExists
from gateway.domain.installations import AuthorizationMethod, DeactivationReason, Installation, StatusReasonCode
from gateway.domain.metadata import changed_keys, decode_metadata, encode_metadata, merge_metadata
from gateway.domain.policy import require_actor, require_allowed
from gateway.domain.principals import Principal
from gateway.domain.text import checked_message
from gateway.storage.database import Connection
from gateway.storage.installations import lock_installation_by_pair
from gateway.usecases.marketplace import find_application, require_account
from gateway.usecases.services import Services
from gateway.usecases.transitions import (
    Written,
    change_installation,
    lock_visible,
    require_allowed_now,
    save,
    write_with_events,
)
from gateway.usecases.visibility import sees


async def authorize_installation(
    services: Services, principal: Principal, *, application_id: UUID, account_id: UUID, expires_at: datetime | None
) -> Installation:
    """The user completed the authorization: create the installation, leave INACTIVE, or renew the expiry.

    Raises:
        Forbidden: The caller is not the platform.
        BadUserInput: The expiry is not in the future.
        ApplicationNotFound: There is no such application.
        AccountNotFound: There is no such account.
    """
    action = InstallationAction.AUTHORIZE
    require_actor(principal, action=action)
    services.require_future(expires_at)

    async def attempt(connection: Connection) -> Written[Installation]:
        application = await find_application(connection, application_id=application_id)
        await require_account(connection, account_id=account_id)
        installation = await lock_installation_by_pair(connection, application_id=application_id, account_id=account_id)
        if installation is not None and lifecycle.is_noop(action, installation, expires_at):
            return installation, ()
        now = services.now()
        transition = lifecycle.authorize(
            installation,
            installation_id=services.new_id(),
            application=application,
            account_id=account_id,
            expires_at=expires_at,
            now=now,
        )
        return await save(connection, principal, before=installation, transition=transition, now=now)

    return await write_with_events(services, attempt)


async def create_installation(
    services: Services, principal: Principal, *, application_id: UUID | None, account_id: UUID | None, metadata: Any
) -> Installation:
    """Complete the authorized installation of an API-key application; ids left out are the caller's own.

    Raises:
        Forbidden: The caller is neither the platform nor this application.
        BadUserInput: An id is left out that the caller is not bound to.
        MetadataRejected, ApplicationNotFound, AccountNotFound.
        ActionNotAllowed: The application is of the OAuth method, or not authorized for the account.
        InstallationAlreadyExists: It exists with other metadata.
    """
    action = InstallationAction.CREATE
    require_actor(principal, action=action)
    application_id, account_id = _own_pair(principal, application_id=application_id, account_id=account_id)
    text = None if metadata is None else encode_metadata(metadata)

    async def attempt(connection: Connection) -> Written[Installation]:
        application = await find_application(connection, application_id=application_id)
        installation = await lock_installation_by_pair(connection, application_id=application_id, account_id=account_id)
        if installation is not None and application.authorization_method is AuthorizationMethod.API_KEY:
            if lifecycle.is_noop(action, installation, text):
                return installation, ()
            if lifecycle.is_noop(action, installation):
                raise InstallationAlreadyExists(installation)
        if installation is None and principal.application_id is None:  # no application learns which accounts exist
            await require_account(connection, account_id=account_id)
        require_allowed(principal, action=action, installation=installation, application=application)
        assert installation is not None  # noqa: S101 - CREATE is not allowed without one
        now = services.now()
        transition = lifecycle.create(installation, metadata=text, now=now)
        return await save(connection, principal, before=installation, transition=transition, now=now)

    return await write_with_events(services, attempt)


def _own_pair(principal: Principal, *, application_id: UUID | None, account_id: UUID | None) -> tuple[UUID, UUID]:
    """Complete the pair of application and account by what the caller is bound to."""
    application_id = application_id or principal.application_id
    account_id = account_id or principal.account_id
    for name, given in (("applicationId", application_id), ("accountId", account_id)):
        if given is None:
            raise BadUserInput(f"{name} is needed: this caller is not bound to one.", argument=name)
    assert application_id is not None and account_id is not None  # noqa: S101, PT018 - just checked, for the type
    if not sees(principal, application_id=application_id, account_id=account_id):
        raise Forbidden("An application may create installations of itself only, and within its caller's account.")
    return application_id, account_id


async def activate_installation(
    services: Services, principal: Principal, *, installation_id: UUID, expected_version: int | None
) -> Installation:
    """The application's configuration is complete. See change_installation for what is raised."""
    return await change_installation(
        services,
        principal,
        action=InstallationAction.ACTIVATE,
        installation_id=installation_id,
        expected_version=expected_version,
        advance=lifecycle.activate,
    )


async def deactivate_installation(
    services: Services,
    principal: Principal,
    *,
    installation_id: UUID,
    reason: DeactivationReason,
    message: str | None,
    expected_version: int | None,
) -> Installation:
    """Make an installation INACTIVE until it is authorized again. See change_installation for what is raised."""
    return await change_installation(
        services,
        principal,
        action=InstallationAction.DEACTIVATE,
        installation_id=installation_id,
        expected_version=expected_version,
        advance=partial(lifecycle.deactivate, code=StatusReasonCode(reason.value), message=checked_message(message)),
    )


async def report_installation_connection(
    services: Services, principal: Principal, *, installation_id: UUID, succeeded: bool, message: str | None
) -> Installation:
    """Store whether the application reached its own system for this installation. See change_installation."""
    action = InstallationAction.REPORT_CONNECTION_SUCCESS if succeeded else InstallationAction.REPORT_CONNECTION_FAILURE
    return await change_installation(
        services,
        principal,
        action=action,
        installation_id=installation_id,
        advance=partial(
            lifecycle.report_connection,
            succeeded=succeeded,
            message=checked_message(message),
            failure_limit=services.failure_limit,
        ),
    )


async def delete_installation(
    services: Services, principal: Principal, *, installation_id: UUID, expected_version: int | None
) -> tuple[Installation, datetime]:
    """Disconnect the application; the events stay. Returns what was deleted, and when. See change_installation."""
    action = InstallationAction.DELETE
    require_actor(principal, action=action)

    async def attempt(connection: Connection) -> Written[tuple[Installation, datetime]]:
        installation = await lock_visible(
            connection, principal, installation_id=installation_id, expected_version=expected_version
        )
        await require_allowed_now(connection, principal, action=action, installation=installation)
        now, transition = services.now(), lifecycle.delete(installation)
        deleted, events = await save(connection, principal, before=installation, transition=transition, now=now)
        return (deleted, now), events

    return await write_with_events(services, attempt)


async def replace_metadata(
    services: Services, principal: Principal, *, installation_id: UUID, metadata: Any, expected_version: int | None
) -> Installation:
    """Replace all metadata. Also raises MetadataRejected; see change_installation."""
    require_actor(principal, action=InstallationAction.UPDATE_METADATA)
    text = encode_metadata(metadata)
    return await _update_metadata(
        services, principal, installation_id=installation_id, expected_version=expected_version, text_of=lambda _: text
    )


async def merge_into_metadata(
    services: Services, principal: Principal, *, installation_id: UUID, patch: Any, expected_version: int | None
) -> Installation:
    """Apply a JSON Merge Patch (RFC 7396) to the metadata. Also raises MetadataRejected; see change_installation."""
    require_actor(principal, action=InstallationAction.UPDATE_METADATA)
    return await _update_metadata(
        services,
        principal,
        installation_id=installation_id,
        expected_version=expected_version,
        text_of=lambda before: encode_metadata(merge_metadata(decode_metadata(before.metadata), patch)),
    )


async def _update_metadata(
    services: Services,
    principal: Principal,
    *,
    installation_id: UUID,
    expected_version: int | None,
    text_of: Callable[[Installation], str],
) -> Installation:
    """Store the metadata that `text_of` makes of the locked installation; allowed from every status."""

    async def attempt(connection: Connection) -> Written[Installation]:
        installation = await lock_visible(
            connection, principal, installation_id=installation_id, expected_version=expected_version
        )
        text = text_of(installation)
        keys = changed_keys(installation.metadata, text)
        if lifecycle.is_noop(InstallationAction.UPDATE_METADATA, installation, keys):
            return installation, ()
        now = services.now()
        transition = lifecycle.update_metadata(installation, metadata=text, changed_keys=keys, now=now)
        return await save(connection, principal, before=installation, transition=transition, now=now)

    return await write_with_events(services, attempt)
