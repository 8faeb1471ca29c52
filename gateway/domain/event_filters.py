"""Which events somebody asks for and may see: one value, used by the log's queries and by the live feed alike."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from uuid import UUID

from gateway.domain.events import EventKind, NewEvent, kind_of
from gateway.domain.policy import reads_metadata
from gateway.domain.principals import Principal

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


def events_for(
    principal: Principal,
    *,
    installation_id: UUID | None = None,
    application_id: UUID | None = None,
    account_id: UUID | None = None,
    kinds: AbstractSet[EventKind] = ALL_KINDS,
) -> EventFilter:
    """Narrow what is asked for to what the principal may see. What lies outside its bounds is NOTHING, not an error."""
    if application_id is not None and principal.application_id not in {None, application_id}:
        return NOTHING
    if account_id is not None and principal.account_id not in {None, account_id}:
        return NOTHING
    hidden = frozenset[EventKind]() if reads_metadata(principal) else frozenset({EventKind.METADATA_UPDATED})
    return EventFilter(
        installation_id=installation_id,
        application_id=application_id or principal.application_id,
        account_id=account_id or principal.account_id,
        kinds=frozenset(kinds) - hidden,
    )
