"""What an operation runs in: the engine knows this much of it, and the schema all the rest."""

from collections.abc import Collection, Hashable
from typing import Protocol, Self

from gateway.domain.principals import Principal


class ExecutionContext(Protocol):
    """One caller's surroundings for one operation; resolvers find it as `info.context`."""

    @property
    def caller(self) -> Principal | None:
        """Who asks, and pays; None is nobody in particular."""

    @property
    def share_key(self) -> Hashable:
        """All that an answer may depend on beside operation and variables: equal keys may share one answer."""

    def for_event(self) -> Self:
        """Return the same surroundings, with nothing remembered: for the next event of a subscription."""

    def abandon(self) -> None:
        """End whatever still reads for this operation alone: nobody waits for it any more."""

    async def prepare(self, root_fields: Collection[str]) -> None:
        """Do what has to be done before anything of this operation is read.

        A GatewayError raised here refuses the whole operation.
        """
