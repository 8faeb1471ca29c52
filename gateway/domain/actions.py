"""The actions on an installation, and the kinds of caller that may take them."""

import enum

from gateway.domain.principals import PrincipalKind


class InstallationAction(enum.Enum):
    """An action that a caller can take on an installation."""

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

    __hash__ = object.__hash__  # see PrincipalKind


_APPLICATION = frozenset({PrincipalKind.PLATFORM, PrincipalKind.APPLICATION})

ACTORS: dict[InstallationAction, frozenset[PrincipalKind]] = {
    **dict.fromkeys(InstallationAction, _APPLICATION),
    InstallationAction.AUTHORIZE: frozenset({PrincipalKind.PLATFORM}),
    InstallationAction.DELETE: _APPLICATION | {PrincipalKind.ACCOUNT},
}
"""The kinds that may ever take an action. The platform may do whatever the application may."""
