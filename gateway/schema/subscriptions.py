"""Subscriptions: the events of the log, from a cursor or from now on, as they are committed."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import strawberry

from gateway.domain.cursors import decode_position
from gateway.domain.event_filters import EventFilter
from gateway.domain.events import Event, EventKind
from gateway.schema.arguments import Events, Since
from gateway.schema.context import Info
from gateway.schema.events import InstallationEvent, InstallationStatusChanged, event_filter
from gateway.usecases.visibility import visible_events

_STATUS_CHANGES = frozenset({EventKind.STATUS_CHANGED})


def _events(info: Info, matching: EventFilter, *, after: str | None) -> AsyncIterator[Event]:
    cursor = info.context.last_event_id if after is None else after
    position = None if cursor is None else decode_position(cursor, argument="after")
    info.context.subscription_size = max(1, matching.ids)
    return info.context.feed.follow(visible_events(info.context.caller, matching), after=position)


@strawberry.type(description="The subscriptions, over WebSocket, server-sent events or multipart responses.")
class Subscription:
    """Each resolver returns events of the log; `schema.build_schema` has them resolved once for each shared payload."""

    @strawberry.subscription(
        description="Delivers each change of status once and in order. With `after`, first the changes since that"
        " cursor."
    )
    def installation_status_changed(
        self, info: Info, filter: Events = None, after: Since = None
    ) -> AsyncIterator[InstallationStatusChanged]:
        asked = event_filter(filter)
        status_changes = replace(asked, kinds=asked.kinds & _STATUS_CHANGES)
        return cast("AsyncIterator[InstallationStatusChanged]", _events(info, status_changes, after=after))

    @strawberry.subscription(
        description="Delivers each event that the caller sees once and in order. With `after`, first the events since"
        " that cursor."
    )
    def installation_events(
        self, info: Info, filter: Events = None, after: Since = None
    ) -> AsyncIterator[InstallationEvent]:
        return cast("AsyncIterator[InstallationEvent]", _events(info, event_filter(filter), after=after))
