"""The arguments that many fields have, each with its sentence."""

from typing import Annotated, TypeVar

import strawberry

from gateway.schema.inputs import (
    ApplicationBy,
    ApplicationFilter,
    InstallationEventFilter,
    InstallationFilter,
    InstallationOrder,
)

Input = TypeVar("Input")

InputArg = Annotated[Input, strawberry.argument(description="What to do, and to what.")]

Id = Annotated[strawberry.ID, strawberry.argument(description="Its id, a UUID.")]
Ids = Annotated[list[strawberry.ID], strawberry.argument(description="At most 100 ids, each a UUID.")]
By = Annotated[ApplicationBy, strawberry.argument(description="Which application.")]
AccountId = Annotated[
    strawberry.ID | None,
    strawberry.argument(description="Which account; left out, the one that the caller is bound to."),
]

First = Annotated[
    int | None,
    strawberry.argument(description="So many from the start, or after `after`: from 0 to 100. Left out, 20."),
]
Last = Annotated[
    int | None,
    strawberry.argument(description="So many from the end, or before `before`: from 0 to 100; not beside `first`."),
]
After = Annotated[
    str | None,
    strawberry.argument(description="Only what comes after this cursor of the same list in the same order."),
]
Before = Annotated[
    str | None,
    strawberry.argument(description="Only what comes before this cursor of the same list in the same order."),
]
Since = Annotated[
    str | None,
    strawberry.argument(description="An event's `cursor`, or `eventCursor`: first comes all that happened after it."),
]

OrderBy = Annotated[
    InstallationOrder | None, strawberry.argument(description="By what; left out, the newest come first.")
]
Applications = Annotated[ApplicationFilter | None, strawberry.argument(description="Which of them; left out, all.")]
Installations = Annotated[InstallationFilter | None, strawberry.argument(description="Which of them; left out, all.")]
Events = Annotated[InstallationEventFilter | None, strawberry.argument(description="Which of them; left out, all.")]

OfInstallation = Annotated[strawberry.ID | None, strawberry.argument(description="Of this installation.")]
OfApplication = Annotated[strawberry.ID | None, strawberry.argument(description="Of this application's installations.")]
OfAccount = Annotated[strawberry.ID | None, strawberry.argument(description="Of this account's installations.")]
