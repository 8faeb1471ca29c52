"""The descriptions of the domain's enums."""

import enum

import strawberry

from gateway.domain.actions import InstallationAction
from gateway.domain.events import EventKind
from gateway.domain.input_problems import InputProblemCode
from gateway.domain.installations import (
    AuthorizationMethod,
    DeactivationReason,
    InstallationStatus,
    StatusReasonCode,
    SyncOutcome,
    SyncState,
)
from gateway.domain.pages import InstallationOrderField, OrderDirection
from gateway.domain.principals import PrincipalKind

_DESCRIPTIONS: dict[type[enum.Enum], tuple[str, dict[str, str]]] = {
    InstallationStatus: (
        "The status of an installation.",
        {
            "AUTHORIZED": "The user has authorized the application, and it is not ready for use yet.",
            "ACTIVATED": "The installation is ready for use.",
            "INACTIVE": "Not usable: the connection failed too often, or the authorization is no longer valid.",
            "PENDING_INTEGRATION": "A synchronisation runs; to delete the installation now would lose data.",
        },
    ),
    AuthorizationMethod: (
        "How a user authorizes an application.",
        {
            "OAUTH": "The authorization activates the installation, unless the application requires configuration.",
            "API_KEY": "After the authorization, the application completes the installation with its API key.",
        },
    ),
    InstallationAction: (
        "The actions on an installation, for its application and the platform; its account can delete it.",
        {
            "AUTHORIZE": "The user completed the authorization; only for the platform.",
            "CREATE": "Complete an authorized installation of an application with the API_KEY method.",
            "ACTIVATE": "Activate the installation, whose configuration is complete.",
            "START_SYNC": "Start a synchronisation.",
            "REPORT_SYNC_PROGRESS": "Report the progress of the synchronisation, and renew its lease.",
            "FINISH_SYNC": "End the synchronisation.",
            "REPORT_CONNECTION_FAILURE": "Report that the application cannot reach its own system.",
            "REPORT_CONNECTION_SUCCESS": "Report that the application can reach its own system.",
            "DEACTIVATE": "Make the installation INACTIVE.",
            "UPDATE_METADATA": "Change the metadata.",
            "DELETE": "Delete the installation; not while a synchronisation runs.",
        },
    ),
    StatusReasonCode: (
        "Why an installation has its status.",
        {
            "AUTHORIZATION_COMPLETED": "The user completed the authorization.",
            "CONFIGURATION_COMPLETED": "The application reported that its configuration is complete.",
            "API_KEY_CONNECTED": "The application completed the installation with its API key.",
            "SYNC_STARTED": "A synchronisation started.",
            "SYNC_SUCCEEDED": "The synchronisation succeeded.",
            "SYNC_FAILED": "The synchronisation failed.",
            "SYNC_TIMED_OUT": "The lease of the synchronisation expired, or it took longer than it may.",
            "CONNECTION_FAILED": "The connection failed too often in a row.",
            "AUTHORIZATION_EXPIRED": "The authorization expired.",
            "AUTHORIZATION_REVOKED": "The authorization was revoked.",
            "NOT_ENTITLED": "The account is not entitled to the application any more.",
            "DEACTIVATED": "A caller deactivated the installation.",
            "DELETED": "The installation was deleted.",
        },
    ),
    DeactivationReason: (
        "The reasons for a deactivation that a caller can give.",
        {
            "AUTHORIZATION_REVOKED": "The authorization was revoked.",
            "NOT_ENTITLED": "The account is not entitled to the application any more.",
            "CONNECTION_FAILED": "The application cannot reach its own system.",
            "DEACTIVATED": "No further reason.",
        },
    ),
    SyncOutcome: (
        "The outcome of a synchronisation.",
        {
            "SUCCEEDED": "The synchronisation succeeded.",
            "FAILED": "The synchronisation failed, which also counts as a connection failure.",
        },
    ),
    SyncState: (
        "The state of the current or last synchronisation.",
        {
            "RUNNING": "The synchronisation runs.",
            "SUCCEEDED": "The synchronisation succeeded.",
            "FAILED": "The synchronisation failed.",
            "TIMED_OUT": "The lease expired before the application reported again, or it took longer than it may.",
        },
    ),
    PrincipalKind: (
        "The kinds of callers.",
        {
            "PLATFORM": "The spend-management platform itself.",
            "APPLICATION": "A third-party application, optionally bound to one account.",
            "ACCOUNT": "A user of one company's account.",
            "SYSTEM": "The gateway itself, for what happens when a time is reached.",
        },
    ),
    EventKind: (
        "The kinds of events.",
        {
            "STATUS_CHANGED": "An installation was created, changed its status, or was deleted.",
            "METADATA_UPDATED": "The metadata changed. Only callers that may read metadata get these events.",
            "SYNC_PROGRESSED": "The application reported the progress of a synchronisation.",
            "CONNECTION_REPORTED": "The application reported whether it can reach its own system.",
            "AUTHORIZATION_RENEWED": "The user authorized again: the status is unchanged, and the expiry is new.",
        },
    ),
    InputProblemCode: (
        "What can be wrong with a value of an input.",
        {
            "REQUIRED": "The value is missing, or null where it must not be.",
            "BLANK": "The text has no character but spaces.",
            "TOO_LONG": "The text or key has more characters than the limit.",
            "TOO_SHORT": "The text has fewer characters than the limit.",
            "TOO_LARGE": "The number is above the limit, or the JSON takes more bytes.",
            "TOO_SMALL": "The number is below the limit.",
            "TOO_MANY": "The list or object has more items than the limit.",
            "TOO_DEEP": "The JSON is nested more deeply than the limit.",
            "MALFORMED": "The value does not have the form that its field needs, as an id or a URL.",
            "NOT_IN_FUTURE": "The time is past.",
            "NOT_AN_OBJECT": "The JSON is no object.",
            "NOT_STORABLE": "The database cannot represent the character or number.",
            "CONFLICTING": "The value does not go with another one of the input.",
        },
    ),
    InstallationOrderField: (
        "The fields that a list of installations can be ordered by.",
        {
            "CREATED_AT": "When the installation was first authorized, which never changes.",
            "UPDATED_AT": "When the installation last changed; it moves in the list whenever it changes.",
        },
    ),
    OrderDirection: (
        "The direction of an order.",
        {"ASC": "The smallest or oldest comes first.", "DESC": "The largest or newest comes first."},
    ),
}

_NAMES: dict[type[enum.Enum], str] = {EventKind: "InstallationEventKind"}
"""The names that are not those of the domain."""


def describe_enums() -> None:
    """Register the domain's enums with Strawberry, before any type uses them."""
    for python_enum, (description, values) in _DESCRIPTIONS.items():
        strawberry.enum(python_enum, name=_NAMES.get(python_enum), description=description)
        for value in python_enum.__strawberry_definition__.values:  # type: ignore[attr-defined]  # set just above
            value.description = values.get(value.name)
