"""What can be done to an installation, and by which kinds of caller."""

import enum

from gateway.domain.principals import PrincipalKind


class InstallationAction(enum.Enum):
    """Something that a caller can do to an installation."""

    AUTHORIZE = "AUTHORIZE"
    CREATE = "CREATE"
    ACTIVATE = "ACTIVATE"
    START_SYNC = "START_SYNC"
    REPORT_SYNC_PROGRESS = "REPORT_SYNC_PROGRESS"
    FINISH_SYNC = "FINISH_SYNC"
    REPORT_CONNECTION_FAILURE = "REPORT_CONNECTION_FAILURE"
    REPORT_CONNECTION_SUCCESS = "REPORT_CONNECTION_SUCCESS"
    DEACTIVATE = "DEACTIVATE"
    UPDATE_METADATA = "UPDATE_METADATA"
    DELETE = "DELETE"


_PLATFORM_ONLY = frozenset({PrincipalKind.PLATFORM})
_APPLICATION = frozenset({PrincipalKind.PLATFORM, PrincipalKind.APPLICATION})
_ANYBODY = frozenset({PrincipalKind.PLATFORM, PrincipalKind.APPLICATION, PrincipalKind.ACCOUNT})

ACTORS: dict[InstallationAction, frozenset[PrincipalKind]] = {
    InstallationAction.AUTHORIZE: _PLATFORM_ONLY,
    InstallationAction.CREATE: _APPLICATION,
    InstallationAction.ACTIVATE: _APPLICATION,
    InstallationAction.START_SYNC: _APPLICATION,
    InstallationAction.REPORT_SYNC_PROGRESS: _APPLICATION,
    InstallationAction.FINISH_SYNC: _APPLICATION,
    InstallationAction.REPORT_CONNECTION_FAILURE: _APPLICATION,
    InstallationAction.REPORT_CONNECTION_SUCCESS: _APPLICATION,
    InstallationAction.DEACTIVATE: _APPLICATION,
    InstallationAction.UPDATE_METADATA: _APPLICATION,
    InstallationAction.DELETE: _ANYBODY,
}
"""Who may ever do it. The platform may do whatever the application may."""
