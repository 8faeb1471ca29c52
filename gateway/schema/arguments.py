"""The arguments that several fields share, each with its description."""

from typing import Annotated

import strawberry

from gateway.domain.pages import OrderDirection
from gateway.schema.inputs import (
    AccountFilter,
    ApiKeyFilter,
    ApplicationBy,
    ApplicationFilter,
    InstallationEventFilter,
    InstallationFilter,
    InstallationOrder,
)

Id = Annotated[strawberry.ID, strawberry.argument(description="The id of the object.")]
Ids = Annotated[list[strawberry.ID], strawberry.argument(description="At most 100 ids.")]
By = Annotated[ApplicationBy, strawberry.argument(description="The id or the slug of the application.")]
AccountId = Annotated[
    strawberry.ID | None,
    strawberry.argument(description="The id of the account; by default, of the account that the caller is bound to."),
]

First = Annotated[
    int | None,
    strawberry.argument(
        description="The size of the page, from the start of the list or after `after`: from 0 to 100, by default 20."
    ),
]
Last = Annotated[
    int | None,
    strawberry.argument(
        description="The size of the page, from the end of the list or before `before`: from 0 to 100; not together"
        " with `first`."
    ),
]
After = Annotated[
    str | None,
    strawberry.argument(description="A cursor of the same list in the same order: only what follows it is returned."),
]
Before = Annotated[
    str | None,
    strawberry.argument(description="A cursor of the same list in the same order: only what precedes it is returned."),
]
Since = Annotated[
    str | None,
    strawberry.argument(
        description="The `cursor` of an event, or an `eventCursor`: the events after it are delivered first. By"
        " default, only events from now on are delivered."
    ),
]

OrderBy = Annotated[
    InstallationOrder | None,
    strawberry.argument(description="The order of the list; by default, the newest installations come first."),
]
Direction = Annotated[
    OrderDirection | None,
    strawberry.argument(description="The order of the events: by default, the oldest come first."),
]
Applications = Annotated[
    ApplicationFilter | None, strawberry.argument(description="Which applications to return; by default, all.")
]
Accounts = Annotated[
    AccountFilter | None, strawberry.argument(description="Which accounts to return; by default, all.")
]
ApiKeys = Annotated[ApiKeyFilter | None, strawberry.argument(description="Which API keys to return; by default, all.")]
Installations = Annotated[
    InstallationFilter | None, strawberry.argument(description="Which installations to return; by default, all.")
]
Events = Annotated[
    InstallationEventFilter | None, strawberry.argument(description="Which events to return; by default, all.")
]
