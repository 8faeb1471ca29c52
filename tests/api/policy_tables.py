"""The policy of each field and mutation by kind of caller: written by hand, not derived from the code."""

import enum
from typing import Any


class Shown(enum.Enum):
    """The value of a field, for a caller to whom its object is visible."""

    TO_ALL = "the same as the platform is shown"
    OWN = "null unless it is the caller's own; the platform is shown all"
    NOT_TO_ACCOUNTS = "null for an account's user"
    BOUNDED = "a list: of what the platform is shown, that which lies within the caller's bounds"
    BY_CALLER = "depends on the caller; has a test of its own"


ALL, BOUNDED, BY_CALLER = Shown.TO_ALL, Shown.BOUNDED, Shown.BY_CALLER

OF_EVENTS = dict.fromkeys(("id", "cursor", "occurredAt", "installationId", "installation", "version"), Shown.TO_ALL) | {
    "actor": BY_CALLER
}

FIELDS: dict[str, dict[str, Shown]] = {
    "Application": dict.fromkeys(
        ("id", "slug", "name", "description", "categories", "logoUrl", "authorizationMethod", "requiresConfiguration",
         "listed", "createdAt", "updatedAt"), ALL,
    ) | {"installation": ALL, "installations": BOUNDED},
    "Account": {"id": ALL, "name": ALL, "installations": BOUNDED},
    "Installation": dict.fromkeys(
        ("id", "application", "account", "status", "statusReason", "version", "sync", "connectionFailures",
         "authorizationExpiresAt", "createdAt", "updatedAt", "activatedAt"), ALL,
    ) | {"metadata": Shown.NOT_TO_ACCOUNTS, "allowedActions": BY_CALLER, "history": BY_CALLER},
    "ApiKey": dict.fromkeys(
        ("id", "prefix", "kind", "label", "createdAt", "expiresAt", "revokedAt", "boundApplication", "boundAccount"),
        ALL,
    ) | {"lastUsedAt": BY_CALLER},
    "StatusReason": {"code": ALL, "message": ALL, "since": ALL},
    "Sync": dict.fromkeys(("state", "startedAt", "finishedAt", "expiresAt", "steps", "message"), ALL),
    "SyncStep": {"name": ALL, "done": ALL, "total": ALL},
    "Actor": {"kind": ALL, "principalId": Shown.OWN, "label": Shown.OWN},
    "Viewer": dict.fromkeys(("kind", "application", "account", "installation", "apiKey"), BY_CALLER),
    "InstallationStatusChanged": OF_EVENTS | {"from": ALL, "to": ALL, "reason": ALL},
    "InstallationMetadataUpdated": OF_EVENTS | {"changedKeys": BY_CALLER},
    "InstallationSyncProgressed": OF_EVENTS | {"steps": ALL},
    "InstallationConnectionReported": OF_EVENTS | {"succeeded": ALL, "failures": ALL, "message": ALL},
    "InstallationAuthorizationRenewed": OF_EVENTS | {"authorizationExpiresAt": ALL},
}  # fmt: skip
"""The fields of each type, for the callers to whom the object is visible."""

WRAPPERS = {
    "PageInfo", "StatusCount", "InstallationEdge", "InstallationConnection", "ApplicationEdge", "ApplicationConnection",
    "AccountEdge", "AccountConnection", "ApiKeyEdge", "ApiKeyConnection",
    "InstallationEventEdge", "InstallationEventConnection",
    "DeletedInstallation", "IssuedApiKey", "InstallationNotFound", "ApplicationNotFound",
    "AccountNotFound", "ApiKeyNotFound", "ActionNotAllowed", "VersionConflict", "InstallationAlreadyExists",
    "SlugTaken", "InvalidInput", "InputProblem",
}  # fmt: skip
"""Types that wrap objects, count list entries, or are the result of a mutation that the caller may run."""

NARROWING = {"filter", "by", "accountId", "id", "ids"}
"""Arguments that name rows: what they name beyond the caller's bounds does not exist."""
PAGING = {"first", "after", "last", "before", "orderBy", "direction"}
"""Arguments that choose among what is visible anyway."""

QUERIES = {
    "viewer", "node", "nodes", "application", "applications", "account", "accounts", "apiKeys", "installation",
    "installations", "installationEvents", "eventCursor",
}  # fmt: skip
SUBSCRIPTIONS = {"installationStatusChanged", "installationEvents"}

PLATFORM_ONLY, APPLICATIONS, EVERYBODY = (
    {"PLATFORM"},
    {"PLATFORM", "APPLICATION"},
    {"PLATFORM", "APPLICATION", "ACCOUNT"},
)
MUTATIONS: dict[str, set[str]] = {
    "registerApplication": PLATFORM_ONLY,
    "updateApplication": PLATFORM_ONLY,
    "registerAccount": PLATFORM_ONLY,
    "issueApiKey": PLATFORM_ONLY,
    "revokeApiKey": PLATFORM_ONLY,
    "authorizeInstallation": PLATFORM_ONLY,
    "createInstallation": APPLICATIONS,
    "activateInstallation": APPLICATIONS,
    "updateInstallationMetadata": APPLICATIONS,
    "startInstallationSync": APPLICATIONS,
    "reportInstallationSyncProgress": APPLICATIONS,
    "finishInstallationSync": APPLICATIONS,
    "reportInstallationConnection": APPLICATIONS,
    "deactivateInstallation": APPLICATIONS,
    "deleteInstallation": EVERYBODY,
}

INPUTS = {
    "ApplicationBy": {"id", "slug"},
    "ApplicationFilter": {"search", "category", "authorizationMethod", "listed"},
    "AccountFilter": {"search"},
    "ApiKeyFilter": {"kind", "applicationId", "accountId", "inForce"},
    "InstallationFilter": {
        "applicationIds",
        "accountIds",
        "statuses",
        "reasons",
        "search",
        "updatedSince",
        "updatedBefore",
        "authorizationExpiresBefore",
        "metadata",
    },
    "InstallationEventFilter": {
        "installationIds",
        "applicationIds",
        "accountIds",
        "kinds",
        "to",
        "occurredSince",
        "occurredBefore",
    },
    "InstallationOrder": {"field", "direction"},
}
"""The inputs of queries: each is tried with what lies beyond the caller's bounds."""


INPUT_OF: dict[str, dict[str, Any]] = {
    "registerApplication": {"slug": "fresh", "name": "Fresh", "authorizationMethod": "OAUTH"},
    "updateApplication": {"name": "Renamed"},
    "registerAccount": {"name": "Fresh"},
    "issueApiKey": {"kind": "PLATFORM", "label": "stolen"},
    "revokeApiKey": {},
    "authorizeInstallation": {},
    "createInstallation": {},
    "activateInstallation": {},
    "updateInstallationMetadata": {"change": {"merge": {"x": 1}}},
    "startInstallationSync": {},
    "reportInstallationSyncProgress": {"steps": []},
    "finishInstallationSync": {"outcome": "SUCCEEDED"},
    "reportInstallationConnection": {"succeeded": False},
    "deactivateInstallation": {},
    "deleteInstallation": {},
}
