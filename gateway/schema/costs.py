"""The costs of fields whose type does not tell them. One unit is about the cost of reading one object."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

FIELD_WEIGHTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        # read in the same row as their parent
        "Installation.statusReason": 0,
        "Installation.sync": 0,
        "Sync.steps": 0,
        "InstallationSyncProgressed.steps": 0,
        "InstallationStatusChanged.reason": 0,
        "MetadataRejected.violations": 0,
        # may be as large as all other columns of the row together
        "Installation.metadata": 1,
        # counts all pages of the list
        "InstallationConnection.totalCount": 20,
        "InstallationConnection.statusCounts": 20,
        "ApplicationConnection.totalCount": 20,
        # read with their parent
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
