"""What has happened: pages of the log. Visibility stands in the filter that is read with."""

from collections.abc import Sequence
from uuid import UUID

from gateway.domain.event_filters import EventFilter, events_for
from gateway.domain.events import Event, Position
from gateway.domain.pages import Page, Window
from gateway.domain.principals import Principal
from gateway.storage.database import read
from gateway.storage.events import select_event_page, select_histories
from gateway.usecases.services import Services


async def list_events(services: Services, *, matching: EventFilter, window: Window[Position]) -> Page[Event]:
    """Read one page of the log.

    Raises:
        CursorExpired: The log no longer holds everything after one of the window's places.
    """
    return window.page(await read(services.database, select_event_page, matching=matching, window=window))


async def list_histories(
    services: Services, principal: Principal, *, installation_ids: Sequence[UUID], window: Window[Position]
) -> list[Page[Event]]:
    """Read one page of each installation's history.

    Raises:
        CursorExpired: The log no longer holds everything after one of the window's places.
    """
    found = await read(
        services.database,
        select_histories,
        installation_ids=installation_ids,
        matching=events_for(principal),
        window=window,
    )
    return [window.page(found[installation_id]) for installation_id in installation_ids]
