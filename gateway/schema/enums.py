"""The domain's enums, as clients see them, each value with a sentence."""

import enum

import strawberry

from gateway.domain.actions import InstallationAction
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

_SENTENCES: dict[type[enum.Enum], tuple[str, dict[str, str]]] = {
    InstallationStatus: (
        "Where an installation stands.",
        {
            "AUTHORIZED": "The user has authorized the application; it is not ready for use yet.",
            "ACTIVATED": "Active and ready for use.",
            "INACTIVE": "Not usable: the connection failed too often, or the authorization is no longer valid.",
            "PENDING_INTEGRATION": "The application synchronises; disconnecting now would lose data.",
        },
    ),
    AuthorizationMethod: (
        "How a user authorizes an application.",
        {
            "OAUTH": "Authorizing completes the installation, unless the application requires configuration.",
            "API_KEY": "After authorizing, the application creates the installation itself.",
        },
    ),
    InstallationAction: (
        "What can be done to an installation.",
        {
            "AUTHORIZE": "The platform: the user finished the authorization process.",
            "CREATE": "The application, with the API_KEY method: complete the installation.",
            "ACTIVATE": "The application: its configuration is complete.",
            "START_SYNC": "The application: begin to synchronise.",
            "REPORT_SYNC_PROGRESS": "The application: tell how far the synchronisation is, and renew its lease.",
            "FINISH_SYNC": "The application: end the synchronisation.",
            "REPORT_CONNECTION_FAILURE": "The application: its own system could not be reached.",
            "REPORT_CONNECTION_SUCCESS": "The application: its own system was reached.",
            "DEACTIVATE": "The platform or the application: switch the installation off.",
            "UPDATE_METADATA": "The platform or the application: change the application's own data.",
            "DELETE": "Anyone who sees it: disconnect. Not while it synchronises.",
        },
    ),
    StatusReasonCode: (
        "Why an installation has its status.",
        {
            "AUTHORIZATION_COMPLETED": "The user finished the authorization process.",
            "CONFIGURATION_COMPLETED": "The application said that its configuration is complete.",
            "API_KEY_CONNECTED": "The application created the installation with its API key.",
            "SYNC_STARTED": "The application began to synchronise.",
            "SYNC_SUCCEEDED": "The synchronisation succeeded.",
            "SYNC_FAILED": "The synchronisation failed.",
            "SYNC_TIMED_OUT": "The synchronisation's lease ran out.",
            "CONNECTION_FAILED": "The connection failed too often in a row.",
            "AUTHORIZATION_EXPIRED": "The authorization ran out.",
            "AUTHORIZATION_REVOKED": "The authorization was taken back.",
            "NOT_ENTITLED": "The account may no longer use the application.",
            "DEACTIVATED": "Somebody switched it off.",
            "DELETED": "It was disconnected.",
        },
    ),
    DeactivationReason: (
        "What a caller may deactivate an installation with.",
        {
            "AUTHORIZATION_REVOKED": "The authorization was taken back.",
            "NOT_ENTITLED": "The account may no longer use the application.",
            "CONNECTION_FAILED": "The application cannot reach its own system.",
            "DEACTIVATED": "No further reason.",
        },
    ),
    SyncOutcome: (
        "How a synchronisation ended.",
        {
            "SUCCEEDED": "Everything was synchronised.",
            "FAILED": "It was given up. Counts as a connection failure.",
        },
    ),
    SyncState: (
        "How the current or last synchronisation stands.",
        {
            "RUNNING": "The application is at it.",
            "SUCCEEDED": "It is done.",
            "FAILED": "The application gave it up.",
            "TIMED_OUT": "Its lease ran out before the application reported again.",
        },
    ),
    PrincipalKind: (
        "What sort of caller acts.",
        {
            "PLATFORM": "The spend-management platform itself.",
            "APPLICATION": "A third-party application, optionally bound to one account.",
            "ACCOUNT": "A user of one company's account.",
            "SYSTEM": "The gateway's own clock.",
        },
    ),
    InstallationOrderField: (
        "What a list of installations is ordered by.",
        {
            "CREATED_AT": "When they were first authorized: a place that stays.",
            "UPDATED_AT": "When they last changed: what changes while it is read moves to the end of the newest.",
        },
    ),
    OrderDirection: (
        "Which end of an order comes first.",
        {"ASC": "Smallest or oldest first.", "DESC": "Largest or newest first."},
    ),
}


def describe_enums() -> None:
    """Make the domain's enums known to Strawberry. Done once, before the types that use them are made."""
    for python_enum, (sentence, values) in _SENTENCES.items():
        strawberry.enum(python_enum, description=sentence)
        for value in python_enum.__strawberry_definition__.values:  # type: ignore[attr-defined]  # set just above
            value.description = values.get(value.name)
