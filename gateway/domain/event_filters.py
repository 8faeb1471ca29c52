"""Filters of events, used by the queries of the log and by the live feed."""

from dataclasses import dataclass
from uuid import UUID

from gateway.domain.events import EventKind, NewEvent

ALL_KINDS = frozenset(EventKind)


@dataclass(frozen=True, kw_only=True, slots=True)
class EventFilter:
    """An event matches when it matches every field that is set; without kinds, none does."""

    installation_id: UUID | None = None
    application_id: UUID | None = None
    account_id: UUID | None = None
    kinds: frozenset[EventKind] = ALL_KINDS

    def matches(self, event: NewEvent) -> bool:
        return (
            self.installation_id in {None, event.installation_id}
            and self.application_id in {None, event.application_id}
            and self.account_id in {None, event.account_id}
            and event.change.kind in self.kinds
        )


NOTHING = EventFilter(kinds=frozenset())
