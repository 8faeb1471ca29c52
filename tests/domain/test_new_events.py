import pytest

from gateway.domain.cursors import Position, encode_position
from gateway.domain.events import (
    Actor,
    AuthorizationRenewed,
    Change,
    ConnectionReported,
    Event,
    EventKind,
    MetadataUpdated,
    StatusChanged,
    SyncProgressed,
)
from gateway.domain.installations import StatusReasonCode
from gateway.domain.principals import PrincipalKind
from tests.domain.examples import ACCOUNT_ID, APPLICATION_ID, INSTALLATION_ID, NOW, STEPS


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (
            StatusChanged(before=None, after=None, reason=StatusReasonCode.DELETED, message=None),
            EventKind.STATUS_CHANGED,
        ),
        (MetadataUpdated(changed_keys=("a",)), EventKind.METADATA_UPDATED),
        (SyncProgressed(steps=STEPS), EventKind.SYNC_PROGRESSED),
        (ConnectionReported(succeeded=True, failures=0, message=None), EventKind.CONNECTION_REPORTED),
        (AuthorizationRenewed(expires_at=None), EventKind.AUTHORIZATION_RENEWED),
    ],
)
def test_each_change_has_its_kind(change: Change, kind: EventKind) -> None:
    assert change.kind is kind


def test_events_are_shared_by_their_position() -> None:
    position = Position(epoch=1, xid=2, id=3)
    event = Event(
        occurred_at=NOW,
        actor=Actor(kind=PrincipalKind.SYSTEM, id=None, label="clock"),
        installation_id=INSTALLATION_ID,
        application_id=APPLICATION_ID,
        account_id=ACCOUNT_ID,
        version=1,
        change=MetadataUpdated(changed_keys=("a",)),
        position=position,
        cursor=encode_position(position),
    )
    assert event.share_key == position
