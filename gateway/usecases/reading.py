"""What can be read. What its caller may not see does not exist: None, or a shorter list."""

from collections.abc import Sequence
from uuid import UUID

from gateway.domain.cursors import Keyset
from gateway.domain.errors import Forbidden
from gateway.domain.installations import Account, Application, Installation, InstallationStatus
from gateway.domain.pages import ApplicationFilter, Page, Window
from gateway.domain.policy import reads_metadata, sees_application
from gateway.domain.principals import Principal, PrincipalKind
from gateway.domain.text import is_slug
from gateway.storage.accounts import select_accounts
from gateway.storage.applications import (
    count_applications,
    select_application_by_slug,
    select_application_page,
    select_applications,
)
from gateway.storage.database import Connection, read
from gateway.storage.installation_pages import InstallationList, count_installations, select_installation_pages
from gateway.storage.installations import select_installations_by_pair
from gateway.usecases.services import Services

Tie = tuple[UUID, UUID]
"""An application's id and an account's."""


async def find_installations_by_tie(
    services: Services, principal: Principal, *, ties: Sequence[Tie]
) -> list[Installation | None]:
    found = await read(services.database, select_installations_by_pair, pairs=ties)
    return [_visible(principal, installation=found.get(tie)) for tie in ties]


def _visible(principal: Principal, *, installation: Installation | None) -> Installation | None:
    if installation is None:
        return None
    seen = principal.sees(application_id=installation.application_id, account_id=installation.account_id)
    return installation if seen else None


async def find_applications(
    services: Services, principal: Principal, *, ids: Sequence[UUID]
) -> list[Application | None]:

    async def select(connection: Connection) -> dict[UUID, Application]:
        found = await select_applications(connection, ids=ids)
        return await _seen(connection, principal, applications=list(found.values()))

    seen = await read(services.database, select)
    return [seen.get(application_id) for application_id in ids]


async def find_application_by_slug(services: Services, principal: Principal, *, slug: str) -> Application | None:
    if not is_slug(slug):
        return None

    async def select(connection: Connection) -> Application | None:
        application = await select_application_by_slug(connection, slug=slug)
        if application is None:
            return None
        seen = await _seen(connection, principal, applications=[application])
        return seen.get(application.id)

    return await read(services.database, select)


async def _seen(
    connection: Connection, principal: Principal, *, applications: list[Application]
) -> dict[UUID, Application]:
    installed: set[UUID] = set()
    unlisted = [application.id for application in applications if not application.listed]
    if principal.account_id is not None and unlisted:
        ties = [(application_id, principal.account_id) for application_id in unlisted]
        found = await select_installations_by_pair(connection, pairs=ties)
        installed = {application_id for application_id, _ in found}
    return {
        application.id: application
        for application in applications
        if sees_application(principal, application=application, installed=application.id in installed)
    }


async def find_accounts(services: Services, principal: Principal, *, ids: Sequence[UUID]) -> list[Account | None]:
    """Read accounts: the platform sees all, an account itself, an application those that have it installed."""

    async def select(connection: Connection) -> dict[UUID, Account]:
        wanted = [account_id for account_id in ids if principal.account_id in {None, account_id}]
        if principal.kind is PrincipalKind.APPLICATION and principal.application_id is not None:
            ties = [(principal.application_id, account_id) for account_id in wanted]
            installed = await select_installations_by_pair(connection, pairs=ties)
            wanted = [account_id for _, account_id in installed]
        return await select_accounts(connection, ids=wanted)

    found = await read(services.database, select)
    return [found.get(account_id) for account_id in ids]


async def list_applications(
    services: Services, principal: Principal, *, matching: ApplicationFilter, window: Window[Keyset]
) -> Page[Application]:
    found = await read(services.database, select_application_page, principal, matching=matching, window=window)
    return window.page(found)


async def count_listed_applications(services: Services, principal: Principal, *, matching: ApplicationFilter) -> int:
    return await read(services.database, count_applications, principal, matching=matching)


async def list_installations(
    services: Services,
    principal: Principal,
    *,
    parents: Sequence[UUID | None],
    listed: InstallationList,
    window: Window[Keyset],
) -> list[Page[Installation]]:
    """Read one page for each parent.

    Raises:
        Forbidden: The list is filtered by metadata, which the caller may not read.
    """
    _require_readable(principal, listed=listed)
    found = await read(
        services.database, select_installation_pages, principal, parents=parents, listed=listed, window=window
    )
    return [window.page(rows) for rows in found]


async def count_listed_installations(
    services: Services, principal: Principal, *, parents: Sequence[UUID | None], listed: InstallationList
) -> list[dict[InstallationStatus, int]]:
    """Count, for each parent, the installations in each status.

    Raises:
        Forbidden: The list is filtered by metadata, which the caller may not read.
    """
    _require_readable(principal, listed=listed)
    return await read(services.database, count_installations, principal, parents=parents, listed=listed)


def _require_readable(principal: Principal, *, listed: InstallationList) -> None:
    if listed.matching.metadata is not None and not reads_metadata(principal):
        raise Forbidden("Metadata belongs to the application: an account's user may not filter by it.")
