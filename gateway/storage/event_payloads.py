"""What an event tells of, as the JSON that the log keeps beside the event's kind."""

from datetime import datetime
from typing import Any, assert_never

import orjson

from gateway.domain.events import (
    AuthorizationRenewed,
    Change,
    ConnectionReported,
    EventKind,
    MetadataUpdated,
    StatusChanged,
    SyncProgressed,
)
from gateway.domain.installations import InstallationStatus, StatusReasonCode, SyncStep


def change_to_json(change: Change) -> str:
    """Write a change as text: its own fields; enums as their values, times as RFC 3339."""
    return orjson.dumps(change).decode()


def change_of(kind: str, *, text: str) -> Change:
    fields = orjson.loads(text)
    match EventKind(kind):
        case EventKind.STATUS_CHANGED:
            return _status_changed(fields)
        case EventKind.METADATA_UPDATED:
            return MetadataUpdated(changed_keys=tuple(fields["changed_keys"]))
        case EventKind.SYNC_PROGRESSED:
            return SyncProgressed(steps=tuple(SyncStep(**step) for step in fields["steps"]))
        case EventKind.CONNECTION_REPORTED:
            return ConnectionReported(**fields)
        case EventKind.AUTHORIZATION_RENEWED:
            expires_at = fields["expires_at"]
            return AuthorizationRenewed(expires_at=expires_at and datetime.fromisoformat(expires_at))
        case _ as unknown:
            assert_never(unknown)


def _status_changed(fields: dict[str, Any]) -> StatusChanged:
    return StatusChanged(
        before=fields["before"] and InstallationStatus(fields["before"]),
        after=fields["after"] and InstallationStatus(fields["after"]),
        reason=StatusReasonCode(fields["reason"]),
        message=fields["message"],
    )
