"""What a caller can read, narrowed to what it sees. A loader, or `read`, runs the functions that take a connection."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from gateway.domain.cursors import Keyset, Position
from gateway.domain.event_filters import EventFilter
from gateway.domain.events import Event
from gateway.domain.installations import Account, Application, Installation, InstallationStatus
from gateway.domain.pages import ApplicationFilter, InstallationList, Page, Window
from gateway.domain.principals import Principal, PrincipalKind
from gateway.domain.text import is_slug
from gateway.storage.applications import (
    count_applications,
    select_accounts,
    select_application_page,
    select_applications,
    select_applications_by_slug,
)
from gateway.storage.database import Connection, read
from gateway.storage.events import select_event_page, select_histories
from gateway.storage.installation_pages import count_installations, select_installation_pages
from gateway.storage.installations import select_installations_by_pair
from gateway.usecases.services import Services
from gateway.usecases.visibility import (
    sees_application,
    visible_applications,
    visible_events,
    visible_installation,
    visible_installations,
)

_NO_EVENTS: Final[Page[Event]] = Page(items=[], has_next=False, has_previous=False)
Pair = tuple[UUID, UUID]
"""An application's id and an account's."""


async def find_installations_by_pair(
    connection: Connection, principal: Principal, *, ids: Sequence[Pair]
) -> dict[Pair, Installation]:
    """Find the living installations of pairs of application and account."""
    found = await select_installations_by_pair(connection, pairs=ids)
    return {pair: row for pair, row in found.items() if visible_installation(principal, row) is not None}


async def find_applications(
    connection: Connection, principal: Principal, *, ids: Sequence[UUID]
) -> dict[UUID, Application]:
    """Find applications by id."""
    found = await select_applications(connection, ids=ids)
    return await _visible(connection, principal, applications=list(found.values()))


async def find_applications_by_slug(
    connection: Connection, principal: Principal, *, ids: Sequence[str]
) -> dict[str, Application]:
    """Find applications by slug."""
    found = await select_applications_by_slug(connection, slugs=[slug for slug in ids if is_slug(slug)])
    visible = await _visible(connection, principal, applications=found)
    return {application.slug: application for application in visible.values()}


async def _visible(
    connection: Connection, principal: Principal, *, applications: Sequence[Application]
) -> dict[UUID, Application]:
    unlisted = [application.id for application in applications if not application.listed]
    installed: set[UUID] = set()
    if principal.account_id is not None and unlisted:
        pairs = [(application_id, principal.account_id) for application_id in unlisted]
        installed = {
            application_id for application_id, _ in await select_installations_by_pair(connection, pairs=pairs)
        }
    return {
        application.id: application
        for application in applications
        if sees_application(principal, application=application, installed=application.id in installed)
    }


async def find_accounts(connection: Connection, principal: Principal, *, ids: Sequence[UUID]) -> dict[UUID, Account]:
    """Find accounts by id: the platform sees all, an account itself, an application those that have it installed."""
    wanted = [account_id for account_id in ids if principal.account_id in {None, account_id}]
    if principal.kind is PrincipalKind.APPLICATION and principal.application_id is not None:
        pairs = [(principal.application_id, account_id) for account_id in wanted]
        wanted = [account_id for _, account_id in await select_installations_by_pair(connection, pairs=pairs)]
    return await select_accounts(connection, ids=wanted)


async def list_installations(
    connection: Connection,
    principal: Principal,
    *,
    ids: Sequence[UUID | None],
    listed: InstallationList,
    window: Window[Keyset],
) -> dict[UUID | None, Page[Installation]]:
    """Read one page of the list of each parent.

    Raises:
        Forbidden: The list is filtered by metadata, which the caller may not read.
    """
    visible = replace(listed, matching=visible_installations(principal, listed.matching))
    found = await select_installation_pages(connection, parents=ids, listed=visible, window=window)
    return {parent: window.page(rows) for parent, rows in found.items()}


async def count_installations_by_status(
    connection: Connection, principal: Principal, *, ids: Sequence[UUID | None], listed: InstallationList
) -> dict[UUID | None, dict[InstallationStatus, int]]:
    """Count the installations in each status in the list of each parent; a status without any is left out.

    Raises:
        Forbidden: The list is filtered by metadata, which the caller may not read.
    """
    visible = replace(listed, matching=visible_installations(principal, listed.matching))
    return await count_installations(connection, parents=ids, listed=visible)


async def list_histories(
    connection: Connection, principal: Principal, *, ids: Sequence[UUID], window: Window[Position]
) -> dict[UUID, Page[Event]]:
    """Read one page of the history of each installation; a page of size 0 without reading.

    Raises:
        CursorExpired: The log no longer holds everything after one of the window's places.
    """
    if not window.size:
        return dict.fromkeys(ids, _NO_EVENTS)
    matching = visible_events(principal)
    found = await select_histories(connection, installation_ids=ids, matching=matching, window=window)
    return {installation_id: window.page(rows) for installation_id, rows in found.items()}


async def list_applications(
    services: Services, principal: Principal, *, matching: ApplicationFilter, window: Window[Keyset]
) -> Page[Application]:
    """Read one page of the marketplace."""
    visible = visible_applications(principal, matching)
    return window.page(await read(services.database, select_application_page, matching=visible, window=window))


async def count_listed_applications(services: Services, principal: Principal, *, matching: ApplicationFilter) -> int:
    """Count the applications that match."""
    return await read(services.database, count_applications, matching=visible_applications(principal, matching))


async def list_events(services: Services, *, matching: EventFilter, window: Window[Position]) -> Page[Event]:
    """Read one page of the log, a page of size 0 without reading; `matching` comes from `visible_events`.

    Raises:
        CursorExpired: The log no longer holds everything after one of the window's places.
    """
    if not window.size:
        return _NO_EVENTS
    found = await read(services.database, select_event_page, matching=matching, window=window)
    return window.page(found)
