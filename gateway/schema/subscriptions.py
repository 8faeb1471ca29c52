"""The subscriptions."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import strawberry

from gateway.domain.cursors import decode_position
from gateway.domain.event_filters import EventFilter
from gateway.domain.events import EventKind
from gateway.schema.arguments import Events, OfAccount, OfApplication, OfInstallation, Since
from gateway.schema.context import Info
from gateway.schema.events import (
    InstallationEvent,
    InstallationStatusChanged,
    event_filter,
    shared_event_of,
)
from gateway.schema.inputs import InstallationEventFilter

_STATUS_CHANGES = frozenset({EventKind.STATUS_CHANGED})


async def _follow(info: Info, matching: EventFilter, *, after: str | None) -> AsyncGenerator[InstallationEvent, None]:
    cursor = info.context.last_event_id if after is None else after
    position = None if cursor is None else decode_position(cursor, argument="after")
    async with aclosing(info.context.feed.follow(matching, after=position)) as events:
        async for event in events:
            yield shared_event_of(event)


@strawberry.type(description="The subscriptions, over WebSocket, server-sent events or multipart responses.")
class Subscription:
    @strawberry.subscription(
        description="Delivers each change of status once and in order. With `after`, first the changes since that"
        " cursor."
    )
    async def installation_status_changed(
        self,
        info: Info,
        installation_id: OfInstallation = None,
        application_id: OfApplication = None,
        account_id: OfAccount = None,
        after: Since = None,
    ) -> AsyncGenerator[InstallationStatusChanged, None]:
        given = InstallationEventFilter(
            installation_id=installation_id, application_id=application_id, account_id=account_id
        )
        matching = event_filter(info, given, kinds=_STATUS_CHANGES)
        async with aclosing(_follow(info, matching, after=after)) as events:
            async for event in events:
                if isinstance(event, InstallationStatusChanged):
                    yield event

    @strawberry.subscription(
        description="Delivers each event that the caller sees once and in order. With `after`, first the events since"
        " that cursor."
    )
    async def installation_events(
        self, info: Info, filter: Events = None, after: Since = None
    ) -> AsyncGenerator[InstallationEvent, None]:
        async with aclosing(_follow(info, event_filter(info, filter), after=after)) as events:
            async for event in events:
                yield event
