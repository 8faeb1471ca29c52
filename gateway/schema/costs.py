"""What the schema's fields cost, where their types do not say it; one unit is about what reading one object takes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

FIELD_WEIGHTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        # found in one row together with what they belong to
        "Installation.statusReason": 0,
        "Installation.sync": 0,
        "Sync.steps": 0,
        "InstallationSyncProgressed.steps": 0,
        "InstallationStatusChanged.reason": 0,
        "MetadataRejected.violations": 0,
        # as large as a row may get
        "Installation.metadata": 1,
        # goes through all pages, once for each list
        "InstallationConnection.totalCount": 20,
        "InstallationConnection.statusCounts": 20,
        "ApplicationConnection.totalCount": 20,
        # no read of their own
        "InstallationConnection.pageInfo": 0,
        "InstallationConnection.edges": 0,
        "ApplicationConnection.pageInfo": 0,
        "ApplicationConnection.edges": 0,
        "InstallationEventConnection.pageInfo": 0,
        "InstallationEventConnection.edges": 0,
        **{
            f"{event}.actor": 0
            for event in (
                "InstallationEvent",
                "InstallationStatusChanged",
                "InstallationMetadataUpdated",
                "InstallationSyncProgressed",
                "InstallationConnectionReported",
                "InstallationAuthorizationRenewed",
            )
        },
    }
)
