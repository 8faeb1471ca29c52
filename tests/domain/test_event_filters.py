from datetime import UTC, datetime
from uuid import UUID

import pytest

from gateway.domain.event_filters import ALL_KINDS, NOTHING, EventFilter, events_for
from gateway.domain.events import Actor, EventKind, MetadataUpdated, NewEvent
from gateway.domain.principals import Principal, PrincipalKind

INSTALLATION, APPLICATION, ACCOUNT, OTHER = (UUID(int=number) for number in range(1, 5))
PLATFORM = Principal(kind=PrincipalKind.PLATFORM)
USER = Principal(kind=PrincipalKind.ACCOUNT, account_id=ACCOUNT)
CLIENT = Principal(kind=PrincipalKind.APPLICATION, application_id=APPLICATION, account_id=ACCOUNT)
UPDATE = NewEvent(
    occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
    actor=Actor(kind=PrincipalKind.PLATFORM, id=None, label=None),
    installation_id=INSTALLATION,
    application_id=APPLICATION,
    account_id=ACCOUNT,
    version=2,
    change=MetadataUpdated(changed_keys=("a",)),
)


def test_platform_gets_what_it_asks_for() -> None:
    assert events_for(PLATFORM) == EventFilter()
    assert events_for(PLATFORM, account_id=OTHER) == EventFilter(account_id=OTHER)


def test_bounds_are_part_of_the_filter() -> None:
    assert events_for(CLIENT) == EventFilter(application_id=APPLICATION, account_id=ACCOUNT)
    assert events_for(CLIENT, application_id=OTHER) == NOTHING
    assert events_for(CLIENT, account_id=OTHER) == NOTHING


def test_account_hears_nothing_of_metadata() -> None:
    kinds = ALL_KINDS - {EventKind.METADATA_UPDATED}
    assert events_for(USER, installation_id=INSTALLATION) == EventFilter(
        installation_id=INSTALLATION, account_id=ACCOUNT, kinds=kinds
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
