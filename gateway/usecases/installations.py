"""What is done to installations by the platform, by their application, and by their account."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.domain import lifecycle
from gateway.domain.actions import InstallationAction
from gateway.domain.errors import AccountNotFound, BadUserInput, Forbidden, InstallationAlreadyExists
from gateway.domain.installations import (
    Application,
    DeactivationReason,
    Installation,
    InstallationStatus,
    StatusReasonCode,
)
from gateway.domain.lifecycle import Transition
from gateway.domain.metadata import changed_keys, decode_metadata, encode_metadata, merge_metadata
from gateway.domain.policy import require_actor, require_allowed
from gateway.domain.principals import Principal
from gateway.domain.text import checked_message
from gateway.storage.accounts import select_accounts
from gateway.storage.database import Connection
from gateway.storage.events import WriteConflict
from gateway.storage.installations import insert_installation, lock_installation_by_tie
from gateway.usecases.services import Services
from gateway.usecases.transitions import (
    Written,
    change_installation,
    events_of,
    find_application,
    save,
    write_with_events,
)


async def authorize_installation(
    services: Services, principal: Principal, *, application_id: UUID, account_id: UUID, expires_at: datetime | None
) -> Installation:
    """The user finished the authorization process: install, bring back from INACTIVE, or renew the expiry.

    Raises:
        Forbidden: The caller is not the platform.
        BadUserInput: The expiry is not in the future.
        ApplicationNotFound: There is no such application.
        AccountNotFound: There is no such account.
    """
    require_actor(principal, action=InstallationAction.AUTHORIZE)
    if expires_at is not None and expires_at <= services.now():
        raise BadUserInput("expiresAt must be in the future.", argument="expiresAt")

    async def attempt(connection: Connection) -> Written[Installation]:
        application = await _tie(connection, application_id=application_id, account_id=account_id)
        installation = await lock_installation_by_tie(connection, application_id=application_id, account_id=account_id)
        now = services.now()
        transition = lifecycle.authorize(
            installation,
            installation_id=services.new_id(),
            application=application,
            account_id=account_id,
            expires_at=expires_at,
            now=now,
        )
        return await _store(connection, principal, installation=installation, transition=transition, now=now)

    return await write_with_events(services, attempt)


async def create_installation(
    services: Services, principal: Principal, *, application_id: UUID | None, account_id: UUID | None, metadata: Any
) -> Installation:
    """Complete the installation of an application of the API-key method; ids left out are the caller's own.

    Doing it again with the same metadata, or with none, succeeds and changes nothing.

    Raises:
        Forbidden: The caller is neither the platform nor this application.
        BadUserInput: An id is left out that the caller is not bound to.
        MetadataRejected: The metadata breaks a rule.
        ApplicationNotFound: There is no such application.
        AccountNotFound: There is no such account.
        ActionNotAllowed: The application is of the OAuth method, or the installation is INACTIVE.
        InstallationAlreadyExists: It exists with other metadata.
    """
    action = InstallationAction.CREATE
    require_actor(principal, action=action)
    application_id, account_id = _own_tie(principal, application_id=application_id, account_id=account_id)
    text = None if metadata is None else encode_metadata(metadata)

    async def attempt(connection: Connection) -> Written[Installation]:
        application = await find_application(connection, application_id=application_id)
        installation = await lock_installation_by_tie(connection, application_id=application_id, account_id=account_id)
        if installation is not None and _is_connected(installation, application=application):
            return _as_created(installation, metadata=text), ()
        require_allowed(principal, action=action, installation=installation, application=application)
        if installation is None:  # only now: whoever may not create anyway is not told which accounts there are
            await _require_account(connection, account_id=account_id)
        now = services.now()
        transition = lifecycle.create(
            installation,
            installation_id=services.new_id(),
            application=application,
            account_id=account_id,
            metadata=text,
            now=now,
        )
        return await _store(connection, principal, installation=installation, transition=transition, now=now)

    return await write_with_events(services, attempt)


def _own_tie(principal: Principal, *, application_id: UUID | None, account_id: UUID | None) -> tuple[UUID, UUID]:
    application_id = application_id or principal.application_id
    account_id = account_id or principal.account_id
    for name, given in (("applicationId", application_id), ("accountId", account_id)):
        if given is None:
            raise BadUserInput(f"{name} is needed: this caller is not bound to one.", argument=name)
    assert application_id is not None and account_id is not None  # noqa: S101, PT018 - just checked, for the type
    if not principal.sees(application_id=application_id, account_id=account_id):
        raise Forbidden("An application may create installations of itself only, and within its caller's account.")
    return application_id, account_id


def _is_connected(installation: Installation, *, application: Application) -> bool:
    return lifecycle.is_allowed_from(
        InstallationAction.CREATE, status=None, method=application.authorization_method
    ) and installation.status in {InstallationStatus.ACTIVATED, InstallationStatus.PENDING_INTEGRATION}


def _as_created(installation: Installation, *, metadata: str | None) -> Installation:
    if metadata is not None and changed_keys(installation.metadata, metadata):
        raise InstallationAlreadyExists(installation)
    return installation


async def _tie(connection: Connection, *, application_id: UUID, account_id: UUID) -> Application:
    application = await find_application(connection, application_id=application_id)
    await _require_account(connection, account_id=account_id)
    return application


async def _require_account(connection: Connection, *, account_id: UUID) -> None:
    if not await select_accounts(connection, ids=[account_id]):
        raise AccountNotFound(account_id)


async def _store(
    connection: Connection,
    principal: Principal,
    *,
    installation: Installation | None,
    transition: Transition | None,
    now: datetime,
) -> Written[Installation]:
    """Store a transition that may create the installation. Raises WriteConflict where another one just did."""
    if installation is not None:
        return await save(connection, principal, installation=installation, transition=transition, now=now)
    assert transition is not None and transition.installation is not None  # noqa: S101, PT018 - it creates one
    if not await insert_installation(connection, transition.installation):
        raise WriteConflict
    events = events_of(transition, principal=principal, installation=transition.installation, now=now)
    return transition.installation, events


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
        advance=lambda installation, now: lifecycle.activate(installation, now=now),
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
    """Switch an installation off until it is authorized again. See change_installation for what is raised."""
    code, text = StatusReasonCode(reason.value), checked_message(message)
    return await change_installation(
        services,
        principal,
        action=InstallationAction.DEACTIVATE,
        installation_id=installation_id,
        expected_version=expected_version,
        advance=lambda installation, now: lifecycle.deactivate(installation, code=code, message=text, now=now),
    )


async def delete_installation(
    services: Services, principal: Principal, *, installation_id: UUID, expected_version: int | None
) -> tuple[Installation, datetime]:
    """Disconnect the application; the events stay. Answers what was deleted, and when. See change_installation."""
    deleted_at = services.now()

    def advance(installation: Installation, now: datetime) -> Transition:
        nonlocal deleted_at
        deleted_at = now
        return lifecycle.delete(installation)

    deleted = await change_installation(
        services,
        principal,
        action=InstallationAction.DELETE,
        installation_id=installation_id,
        expected_version=expected_version,
        advance=advance,
    )
    return deleted, deleted_at


async def replace_metadata(
    services: Services, principal: Principal, *, installation_id: UUID, metadata: Any, expected_version: int | None
) -> Installation:
    """Put other metadata in place of what there was. Also raises MetadataRejected; see change_installation."""
    require_actor(principal, action=InstallationAction.UPDATE_METADATA)
    text = encode_metadata(metadata)
    return await _update_metadata(
        services, principal, installation_id=installation_id, expected_version=expected_version, text_of=lambda _: text
    )


async def merge_into_metadata(
    services: Services, principal: Principal, *, installation_id: UUID, patch: Any, expected_version: int | None
) -> Installation:
    """Apply a JSON Merge Patch (RFC 7396) to the metadata. Also raises MetadataRejected; see change_installation."""
    return await _update_metadata(
        services,
        principal,
        installation_id=installation_id,
        expected_version=expected_version,
        text_of=lambda installation: encode_metadata(merge_metadata(decode_metadata(installation.metadata), patch)),
    )


async def _update_metadata(
    services: Services,
    principal: Principal,
    *,
    installation_id: UUID,
    expected_version: int | None,
    text_of: Callable[[Installation], str],
) -> Installation:
    def advance(installation: Installation, now: datetime) -> Transition | None:
        text = text_of(installation)
        keys = changed_keys(installation.metadata, text)
        return lifecycle.update_metadata(installation, metadata=text, changed_keys=keys, now=now)

    return await change_installation(
        services,
        principal,
        action=InstallationAction.UPDATE_METADATA,
        installation_id=installation_id,
        expected_version=expected_version,
        advance=advance,
    )
