"""The costs of fields whose type does not tell them, in units of about a microsecond of CPU.

Fitted to the figures of `python -m tests.benchmarks.costs`, which names the weights that fit them no more.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from strawberry import Schema

from gateway.schema.events import EVENT_TYPES

_EVENTS = ("InstallationEvent", *(each.__name__ for each in EVENT_TYPES))
_LISTS = (
    "Query.installations",
    "Query.applications",
    "Query.accounts",
    "Query.apiKeys",
    "Query.installationEvents",
    "Application.installations",
    "Account.installations",
    "Installation.history",
)
_CONNECTIONS = (
    "InstallationConnection",
    "ApplicationConnection",
    "AccountConnection",
    "ApiKeyConnection",
    "InstallationEventConnection",
)

FIELD_WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        **dict.fromkeys(_LISTS, 30),
        "InstallationConnection.totalCount": 40,
        "InstallationConnection.statusCounts": 40,
        # a row, read and turned into an object
        **dict.fromkeys((f"{each}.{items}" for each in _CONNECTIONS for items in ("edges", "nodes")), 9),
        "ApiKeyConnection.edges": 8,
        "ApiKeyConnection.nodes": 8,
        "Query.installation": 40,
        "Query.account": 30,
        "Query.application": 40,
        "Query.node": 60,
        "Query.nodes": 60,
        "Application.installation": 40,
        "Installation.allowedActions": 40,
        "Installation.metadata": 3,
        **{f"{event}.installation": 20 for event in _EVENTS},
        # the first events of each kind, of each owner
        "InstallationEventFilter.installationIds": 30,
        "InstallationEventFilter.applicationIds": 90,
        "InstallationEventFilter.accountIds": 90,
        # ranges of an index that a page merges
        "InstallationFilter.applicationIds": 27,
        "InstallationFilter.accountIds": 12,
        "InstallationFilter.statuses": 60,
        # compared with each row
        "InstallationFilter.metadata": 20,
        "InstallationFilter.search": 50,
    }
)

PRODUCTS: Final[Mapping[str, tuple[str, float]]] = MappingProxyType(
    {
        # a page merges a range for each reason of each status of each application: 5,200 for 100 and all statuses
        "InstallationFilter.statuses": ("applicationIds", 10),
    }
)

STATEMENTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "Query.installations": 250,
        "Application.installations": 230,
        "Account.installations": 150,
        "Query.applications": 250,
        "Query.accounts": 220,
        "Query.apiKeys": 130,
        "Query.installationEvents": 970,
        "Installation.history": 1_500,
        "InstallationConnection.totalCount": 540,
        "InstallationConnection.statusCounts": 550,
        "ApplicationConnection.totalCount": 250,
        "AccountConnection.totalCount": 250,
        "ApiKeyConnection.totalCount": 250,
        "InstallationFilter.statuses": 180,
        # planned for the value that is asked for
        "InstallationFilter.updatedSince": 570,
        "InstallationFilter.updatedBefore": 570,
        "InstallationFilter.authorizationExpiresBefore": 390,
        "InstallationFilter.metadata": 400,
        # two statements that find the names, and a list for each
        "InstallationFilter.search": 1_200,
        "AccountFilter.search": 350,
        # two statements, and events that are read past because they are near the range of time and not in it
        "InstallationEventFilter.occurredSince": 500,
        "InstallationEventFilter.occurredBefore": 500,
    },
)

FILTERED: Final[Mapping[str, int]] = MappingProxyType(
    {
        "InstallationConnection.totalCount": 2,
        "InstallationConnection.statusCounts": 2,
        "ApplicationConnection.totalCount": 1,
        "AccountConnection.totalCount": 1,
        "ApiKeyConnection.totalCount": 1,
    }
)

UNREAD_WHEN_EMPTY: Final = frozenset({"Query.installationEvents", "Installation.history"})

LOOKUPS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "Query.installation": 350,
        "Query.account": 350,
        "Query.application": 450,
        "Query.node": 320,
        "Query.nodes": 350,
        "Query.eventCursor": 300,
        "Viewer.application": 400,
        "Viewer.account": 350,
        "Viewer.installation": 350,
        "Viewer.apiKey": 300,
        "ApiKey.boundApplication": 350,
        "ApiKey.boundAccount": 350,
        "Application.installation": 350,
        "Installation.application": 250,
        "Installation.account": 250,
        "DeletedInstallation.application": 250,
        "DeletedInstallation.account": 250,
        "Installation.allowedActions": 320,
        **{f"{event}.installation": 110 for event in _EVENTS},
    }
)


def list_sizes(schema: Schema) -> dict[str, int]:
    """Return the usual sizes of lists without a size argument; those of introspection are this schema's means."""
    core = schema._schema  # noqa: SLF001 - Strawberry has no public name for graphql-core's schema
    types = [each for each in core.type_map.values() if hasattr(each, "fields")]
    fields: list[Any] = [field for each in types for field in each.fields.values()]
    arguments = [argument for field in fields for argument in getattr(field, "args", {}).values()]
    return {
        "InstallationConnection.statusCounts": 4,
        "__Schema.types": len(core.type_map),
        "__Schema.directives": len(core.directives),
        "__Type.fields": 1 + len(fields) // len(types),
        "__Type.inputFields": 1 + len(fields) // len(types),
        "__Field.args": 1 + len(arguments) // len(fields),
        "__Type.interfaces": 1,
        "__Type.possibleTypes": 1,
        "__Type.enumValues": 1,
        "__Directive.args": 1,
    }
