from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from gateway.domain.event_filters import EventFilter
from gateway.domain.events import Actor, EventKind, MetadataUpdated, NewEvent, StatusChanged
from gateway.domain.installations import InstallationStatus, StatusReasonCode
from gateway.domain.principals import PrincipalKind

INSTALLATION, APPLICATION, ACCOUNT, OTHER = (UUID(int=number) for number in range(1, 5))
TIME = datetime(2026, 1, 1, tzinfo=UTC)
UPDATE = NewEvent(
    occurred_at=TIME,
    actor=Actor(kind=PrincipalKind.PLATFORM, id=None, label=None),
    installation_id=INSTALLATION,
    application_id=APPLICATION,
    account_id=ACCOUNT,
    version=2,
    change=MetadataUpdated(changed_keys=("a",)),
)


ACTIVATED = StatusChanged(
    before=InstallationStatus.AUTHORIZED,
    after=InstallationStatus.ACTIVATED,
    reason=StatusReasonCode.CONFIGURATION_COMPLETED,
    message=None,
)
ACTIVATION = replace(UPDATE, change=ACTIVATED)
DELETION = replace(UPDATE, change=replace(ACTIVATED, after=None))
MOMENT = timedelta(microseconds=1)


def of(*ids: UUID) -> frozenset[UUID]:
    return frozenset(ids)


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (EventFilter(), True),
        (
            EventFilter(installation_ids=of(INSTALLATION), application_ids=of(APPLICATION), account_ids=of(ACCOUNT)),
            True,
        ),
        (EventFilter(installation_ids=of(INSTALLATION, OTHER), account_ids=of(OTHER, ACCOUNT)), True),
        (EventFilter(installation_ids=of(OTHER)), False),
        (EventFilter(application_ids=of(OTHER)), False),
        (EventFilter(account_ids=of(OTHER)), False),
        (EventFilter(kinds=frozenset({EventKind.STATUS_CHANGED})), False),
        (EventFilter(kinds=frozenset({EventKind.STATUS_CHANGED, EventKind.METADATA_UPDATED})), True),
        (EventFilter(to=frozenset(InstallationStatus)), False),
        (EventFilter(occurred_since=TIME, occurred_before=TIME + MOMENT), True),
        (EventFilter(occurred_since=TIME + MOMENT), False),
        (EventFilter(occurred_before=TIME), False),
    ],
)
def test_filter_matches_where_every_field_does(wanted: EventFilter, *, matches: bool) -> None:
    assert wanted.matches(UPDATE) is matches


def test_filter_of_statuses_matches_what_led_to_them() -> None:
    assert EventFilter(to=frozenset({InstallationStatus.ACTIVATED})).matches(ACTIVATION)
    assert not EventFilter(to=frozenset({InstallationStatus.AUTHORIZED})).matches(ACTIVATION)
    assert not EventFilter(to=frozenset(InstallationStatus)).matches(DELETION)


@pytest.mark.parametrize("field", ["installation_ids", "application_ids", "account_ids", "kinds", "to"])
def test_empty_list_matches_nothing(field: str) -> None:
    empty = EventFilter(**{field: frozenset()})  # type: ignore[arg-type]  # one of the sets
    assert empty.matches_nothing
    assert not any(empty.matches(event) for event in (UPDATE, ACTIVATION, DELETION))
    assert not EventFilter().matches_nothing
