"""Which events somebody asks for and may see: one value, used by the log's queries and by the live feed alike."""

from dataclasses import dataclass
from uuid import UUID

from gateway.domain.events import EventKind, NewEvent, kind_of

ALL_KINDS = frozenset(EventKind)


@dataclass(frozen=True, kw_only=True, slots=True)
class EventFilter:
    """What matches every field that is set; without any kind, nothing does."""

    installation_id: UUID | None = None
    application_id: UUID | None = None
    account_id: UUID | None = None
    kinds: frozenset[EventKind] = ALL_KINDS

    def matches(self, event: NewEvent) -> bool:
        return (
            self.installation_id in {None, event.installation_id}
            and self.application_id in {None, event.application_id}
            and self.account_id in {None, event.account_id}
            and kind_of(event.change) in self.kinds
        )


NOTHING = EventFilter(kinds=frozenset())
