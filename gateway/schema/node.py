"""The interface of everything that has an id of its own."""

from typing import Any, ClassVar

import strawberry


@strawberry.interface(description="An object with an id of its own, which is the same in logs and in the database.")
class Node:
    source_type: ClassVar[type]
    """The domain's class whose objects are the sources of this type; without it, the sources are this type's own."""
    id: Any = strawberry.field(
        description="The id of the object, unique among all objects: a UUID in lower case, or the cursor of an event.",
        graphql_type=strawberry.ID,
    )

    @classmethod
    def is_type_of(cls, source: object, _info: object) -> bool:
        """Return whether a source is one of this type's; Strawberry asks."""
        return isinstance(source, getattr(cls, "source_type", cls))
