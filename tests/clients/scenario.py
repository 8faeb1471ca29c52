"""What every client is shown: a list of an application of its own, and changes of an installation."""

from typing import Any
from uuid import UUID, uuid4

from gateway.usecases.installations import merge_into_metadata
from tests.live.dataset import PLATFORM, Dataset

APPLICATIONS = ("apollo", "urql", "relay", "gql", "live")
"""What each application of the dataset is for."""
MISSING = "00000000-0000-0000-0000-000000000000"
Row = list[Any]


def list_of(dataset: Dataset, name: str) -> tuple[dict[str, Any], list[Row]]:
    """Return the filter of an application, and its installations in the order of the list: id, status and version."""
    application = dataset.applications[APPLICATIONS.index(name)]
    installations = [each for each in dataset.installations if each.application_id == application.id]
    rows = [[str(each.id), each.status.value, each.version] for each in reversed(installations)]
    return {"applicationIds": [str(application.id)]}, rows


async def change(dataset: Dataset, installation_id: str, count: int) -> list[Row]:
    """Change an installation; return the id and version of each event."""
    changed = [
        await merge_into_metadata(
            dataset.services,
            PLATFORM,
            installation_id=UUID(installation_id),
            patch={"change": str(uuid4())},
            expected_version=None,
        )
        for _ in range(count)
    ]
    return [[installation_id, each.version] for each in changed]
