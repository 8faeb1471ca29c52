"""Filters of events, used by the queries of the log and by the live feed."""

from datetime import datetime
from typing import Final
from uuid import UUID

from gateway.domain.events import EventKind, NewEvent, StatusChanged
from gateway.domain.installations import InstallationStatus
from gateway.domain.records import record

ALL_KINDS: Final = frozenset(EventKind)


@record
class EventFilter:
    """An event matches when it matches every field that is set; a set means any of its members."""

    installation_ids: frozenset[UUID] | None = None
    application_ids: frozenset[UUID] | None = None
    account_ids: frozenset[UUID] | None = None
    kinds: frozenset[EventKind] = ALL_KINDS
    to: frozenset[InstallationStatus] | None = None
    """The statuses that a change of status led to: no other event matches."""
    occurred_since: datetime | None = None
    occurred_before: datetime | None = None

    @property
    def matches_nothing(self) -> bool:
        """Whether one of the sets is empty."""
        return frozenset() in (self.installation_ids, self.application_ids, self.account_ids, self.kinds, self.to)

    @property
    def ids(self) -> int:
        """How many ids the filter has."""
        return sum(map(len, filter(None, (self.installation_ids, self.application_ids, self.account_ids))))

    def matches(self, event: NewEvent) -> bool:
        change = event.change
        return (
            change.kind in self.kinds
            and (self.installation_ids is None or event.installation_id in self.installation_ids)
            and (self.account_ids is None or event.account_id in self.account_ids)
            and (self.application_ids is None or event.application_id in self.application_ids)
            and (self.to is None or (isinstance(change, StatusChanged) and change.after in self.to))
            and (self.occurred_since is None or event.occurred_at >= self.occurred_since)
            and (self.occurred_before is None or event.occurred_at < self.occurred_before)
        )


ALL_EVENTS: Final = EventFilter()
