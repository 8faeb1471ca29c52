"""The costs of fields whose type does not tell them, in units of about a microsecond of CPU.

Fitted to the figures of `python -m tests.benchmarks.costs`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from strawberry import Schema

_EVENTS = (
    "InstallationEvent",
    "InstallationStatusChanged",
    "InstallationMetadataUpdated",
    "InstallationSyncProgressed",
    "InstallationConnectionReported",
    "InstallationAuthorizationRenewed",
)
_LISTS = (
    "Query.installations",
    "Query.applications",
    "Query.installationEvents",
    "Application.installations",
    "Account.installations",
    "Installation.history",
)
_CONNECTIONS = ("InstallationConnection", "ApplicationConnection", "InstallationEventConnection")
_COUNTS = (
    "InstallationConnection.totalCount",
    "InstallationConnection.statusCounts",
    "ApplicationConnection.totalCount",
)

FIELD_WEIGHTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        **dict.fromkeys(_LISTS, 100),
        **dict.fromkeys(_COUNTS, 200),
        # a row, read and turned into an object
        **dict.fromkeys((f"{each}.{items}" for each in _CONNECTIONS for items in ("edges", "nodes")), 15),
        "Query.installation": 40,
        "Query.account": 40,
        "Query.application": 40,
        "Query.node": 60,
        "Query.nodes": 60,
        "Application.installation": 40,
        "Installation.application": 10,
        "Installation.account": 10,
        "Installation.allowedActions": 20,
        "Installation.metadata": 5,
        **{f"{event}.installation": 20 for event in _EVENTS},
        # planned for the object that is asked for, and read past the rows that do not contain it
        "InstallationFilter.metadata": 3_000,
    }
)

STATEMENTS: Final[Mapping[str, int]] = MappingProxyType(
    {**dict.fromkeys(_LISTS, 350), **dict.fromkeys(_COUNTS, 200)},
)

LOOKUPS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "Query.installation": 200,
        "Query.account": 250,
        "Query.application": 350,
        "Query.node": 500,
        "Query.nodes": 500,
        "Query.eventCursor": 200,
        "Viewer.application": 350,
        "Viewer.account": 350,
        "Viewer.installation": 350,
        "Application.installation": 350,
        "Installation.application": 200,
        "Installation.account": 200,
        "Installation.allowedActions": 200,
        **{f"{event}.installation": 200 for event in _EVENTS},
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
