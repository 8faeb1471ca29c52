"""What a caller can read, narrowed to what it sees. A loader, or `read`, runs the functions that take a connection."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from gateway.domain.api_keys import ApiKey
from gateway.domain.cursors import Keyset, Position
from gateway.domain.event_filters import EventFilter
from gateway.domain.events import Event
from gateway.domain.installations import Account, Application, Installation
from gateway.domain.pages import AccountFilter, ApplicationFilter, OrderDirection, Page, Window
from gateway.domain.principals import Principal, PrincipalKind
from gateway.domain.text import is_slug
from gateway.storage.api_keys import select_api_keys_by_id
from gateway.storage.applications import (
    count_accounts,
    count_applications,
    select_account_page,
    select_accounts,
    select_application_page,
    select_applications,
    select_applications_by_slug,
)
from gateway.storage.database import Connection, read
from gateway.storage.events import select_event_pages, select_events
from gateway.storage.installations import select_installations_by_pair
from gateway.usecases.services import Services
from gateway.usecases.visibility import (
    sees_api_key,
    sees_application,
    visible_accounts,
    visible_applications,
    visible_events,
    visible_installation,
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


async def find_api_keys(connection: Connection, principal: Principal, *, ids: Sequence[UUID]) -> dict[UUID, ApiKey]:
    """Find API keys by id."""
    wanted = [api_key_id for api_key_id in ids if sees_api_key(principal, api_key_id=api_key_id)]
    return await select_api_keys_by_id(connection, ids=wanted) if wanted else {}


async def find_events(
    connection: Connection, principal: Principal, *, ids: Sequence[Position]
) -> dict[Position, Event]:
    """Find events by their positions."""
    found, visible = await select_events(connection, positions=ids), visible_events(principal)
    return {position: event for position, event in found.items() if visible.matches(event)}


async def list_events(
    connection: Connection,
    principal: Principal,
    *,
    ids: Sequence[UUID | None],
    matching: EventFilter,
    direction: OrderDirection,
    window: Window[Position],
) -> dict[UUID | None, Page[Event]]:
    """Read one page of the history of each installation, or of the log for None; a page of size 0 without reading.

    Raises:
        CursorExpired: The log no longer holds everything after one of the window's places.
    """
    if not window.size:
        return dict.fromkeys(ids, _NO_EVENTS)
    visible, log_window = visible_events(principal, matching), window.ascending(direction)
    found = await select_event_pages(connection, ids=ids, matching=visible, window=log_window)
    return {parent: window.page(rows) for parent, rows in found.items()}


async def list_applications(
    services: Services, principal: Principal, *, matching: ApplicationFilter, window: Window[Keyset]
) -> Page[Application]:
    """Read one page of the marketplace."""
    visible = visible_applications(principal, matching)
    return window.page(await read(services.database, select_application_page, matching=visible, window=window))


async def count_listed_applications(services: Services, principal: Principal, *, matching: ApplicationFilter) -> int:
    """Count the applications that match."""
    return await read(services.database, count_applications, matching=visible_applications(principal, matching))


async def list_accounts(
    services: Services, principal: Principal, *, matching: AccountFilter, window: Window[Keyset]
) -> Page[Account]:
    """Read one page of the accounts."""
    visible = visible_accounts(principal, matching)
    return window.page(await read(services.database, select_account_page, matching=visible, window=window))


async def count_listed_accounts(services: Services, principal: Principal, *, matching: AccountFilter) -> int:
    """Count the accounts that match."""
    return await read(services.database, count_accounts, matching=visible_accounts(principal, matching))
