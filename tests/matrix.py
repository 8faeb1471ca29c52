"""The expected outcome of every action from every status, for each kind of application and caller; written by hand.

A cell is one of:
    a status     the new status, with the reason at the end of the line
    gone         the installation is deleted, with the reason at the end of the line
    kept         the status stays, something else changes
    same         a no-op: it succeeds, and nothing changes
    refused      ActionNotAllowed
"""

from dataclasses import dataclass

from gateway.domain.actions import InstallationAction
from gateway.domain.installations import AuthorizationMethod, InstallationStatus, StatusReasonCode
from gateway.domain.principals import PrincipalKind

_TABLE = """
action                     applications               none        AUTHORIZED  ACTIVATED            INACTIVE    PENDING_INTEGRATION  reason
AUTHORIZE                  oauth                      ACTIVATED   kept        kept                 ACTIVATED   kept                 AUTHORIZATION_COMPLETED
AUTHORIZE                  settings,key,key+settings  AUTHORIZED  kept        kept                 AUTHORIZED  kept                 AUTHORIZATION_COMPLETED
CREATE                     oauth,settings             refused     refused     refused              refused     refused              -
CREATE                     key,key+settings           refused     ACTIVATED   same                 refused     same                 API_KEY_CONNECTED
ACTIVATE                   any                        refused     ACTIVATED   same                 refused     refused              CONFIGURATION_COMPLETED
START_SYNC                 any                        refused     refused     PENDING_INTEGRATION  refused     same                 SYNC_STARTED
REPORT_SYNC_PROGRESS       any                        refused     refused     refused              refused     kept                 -
FINISH_SYNC                any                        refused     refused     refused              refused     ACTIVATED            SYNC_SUCCEEDED
REPORT_CONNECTION_FAILURE  any                        refused     refused     kept                 refused     kept                 -
REPORT_CONNECTION_SUCCESS  any                        refused     refused     kept                 refused     kept                 -
DEACTIVATE                 any                        refused     INACTIVE    INACTIVE             same        INACTIVE             NOT_ENTITLED
UPDATE_METADATA            any                        refused     kept        kept                 kept        kept                 -
DELETE                     any                        refused     gone        gone                 gone        refused              DELETED
"""  # noqa: E501 - a table is read across

_ACTORS = """
AUTHORIZE                  PLATFORM
CREATE                     PLATFORM APPLICATION
ACTIVATE                   PLATFORM APPLICATION
START_SYNC                 PLATFORM APPLICATION
REPORT_SYNC_PROGRESS       PLATFORM APPLICATION
FINISH_SYNC                PLATFORM APPLICATION
REPORT_CONNECTION_FAILURE  PLATFORM APPLICATION
REPORT_CONNECTION_SUCCESS  PLATFORM APPLICATION
DEACTIVATE                 PLATFORM APPLICATION
UPDATE_METADATA            PLATFORM APPLICATION
DELETE                     PLATFORM APPLICATION ACCOUNT
"""

APPLICATIONS: dict[str, tuple[AuthorizationMethod, bool]] = {
    "oauth": (AuthorizationMethod.OAUTH, False),
    "settings": (AuthorizationMethod.OAUTH, True),
    "key": (AuthorizationMethod.API_KEY, False),
    "key+settings": (AuthorizationMethod.API_KEY, True),
}
"""The kinds of application: their method, and whether they require configuration."""

STATUSES: tuple[InstallationStatus | None, ...] = (
    None,
    InstallationStatus.AUTHORIZED,
    InstallationStatus.ACTIVATED,
    InstallationStatus.INACTIVE,
    InstallationStatus.PENDING_INTEGRATION,
)
"""None: there is no installation yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One cell of the table."""

    action: InstallationAction
    application: str
    status: InstallationStatus | None
    outcome: str
    reason: StatusReasonCode | None

    @property
    def is_allowed_from(self) -> bool:
        return self.outcome not in {"refused", "same"}

    @property
    def name(self) -> str:
        return f"{self.action.value} {self.application} {self.status and self.status.value}"


def _cells() -> tuple[Cell, ...]:
    _, *lines = [line.split() for line in _TABLE.strip().splitlines()]
    return tuple(
        Cell(
            action=InstallationAction(action),
            application=application,
            status=status,
            outcome=outcome,
            reason=None if reason == "-" else StatusReasonCode(reason),
        )
        for action, applications, *outcomes, reason in lines
        for application in (APPLICATIONS if applications == "any" else applications.split(","))
        for status, outcome in zip(STATUSES, outcomes, strict=True)
    )


CELLS = _cells()
ACTORS: dict[InstallationAction, frozenset[PrincipalKind]] = {
    InstallationAction(action): frozenset(map(PrincipalKind, kinds))
    for action, *kinds in (line.split() for line in _ACTORS.strip().splitlines())
}


def expected_actions(
    kind: PrincipalKind, *, application: str, status: InstallationStatus | None
) -> tuple[InstallationAction, ...]:
    """Return the actions that change something for this kind of caller, in the order of their declaration."""
    changing = {
        cell.action
        for cell in CELLS
        if (cell.application, cell.status) == (application, status) and cell.is_allowed_from
    }
    return tuple(action for action in InstallationAction if action in changing and kind in ACTORS[action])
