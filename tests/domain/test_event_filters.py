from datetime import UTC, datetime
from uuid import UUID

import pytest

from gateway.domain.event_filters import NOTHING, EventFilter
from gateway.domain.events import Actor, EventKind, MetadataUpdated, NewEvent
from gateway.domain.principals import PrincipalKind

INSTALLATION, APPLICATION, ACCOUNT, OTHER = (UUID(int=number) for number in range(1, 5))
UPDATE = NewEvent(
    occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
    actor=Actor(kind=PrincipalKind.PLATFORM, id=None, label=None),
    installation_id=INSTALLATION,
    application_id=APPLICATION,
    account_id=ACCOUNT,
    version=2,
    change=MetadataUpdated(changed_keys=("a",)),
)


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (EventFilter(), True),
        (EventFilter(installation_id=INSTALLATION, application_id=APPLICATION, account_id=ACCOUNT), True),
        (EventFilter(installation_id=OTHER), False),
        (EventFilter(application_id=OTHER), False),
        (EventFilter(account_id=OTHER), False),
        (EventFilter(kinds=frozenset({EventKind.STATUS_CHANGED})), False),
        (NOTHING, False),
    ],
)
def test_filter_matches_where_every_field_does(wanted: EventFilter, *, matches: bool) -> None:
    assert wanted.matches(UPDATE) is matches
