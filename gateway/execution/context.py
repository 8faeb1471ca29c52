"""The context that an operation runs in, as far as execution knows it; `schema/context.py` implements it."""

from collections.abc import Collection, Hashable
from typing import Any, Final, Protocol, Self

from gateway.domain.errors import Unauthenticated
from gateway.domain.principals import Principal


class ExecutionContext(Protocol):
    """The context of one operation; resolvers find it as `info.context`."""

    @property
    def share_key(self) -> Hashable:
        """What a payload depends on beside the operation and its variables: equal keys may share a payload."""

    @property
    def has_read(self) -> bool:
        """Whether the result depends on rows that were read, and not on the operation and the event alone."""

    @property
    def subscription_size(self) -> int:
        """How many subscriptions this one counts as, once it is open: 1, or the number of ids that it filters by."""

    def for_event(self) -> Self:
        """Return the same context with empty caches, for the next event of a subscription."""

    def abandon(self) -> None:
        """Cancel the statements that run for this operation alone."""

    @property
    def prepared_fields(self) -> frozenset[str] | None:
        """The root fields for which `prepare` has to be called; None: for all."""

    async def prepare(self, root_fields: Collection[str]) -> None:
        """Read what has to be read before any field. A GatewayError raised here refuses the operation."""


class MakeContext(Protocol):
    """Makes the context of one operation."""

    def __call__(self, *, caller: Principal, last_event_id: str | None = None) -> ExecutionContext: ...


class AnonymousContext:
    """The context of an anonymous caller's operations. They may only introspect: whatever else they read raises."""

    share_key: Hashable = None
    has_read = False
    subscription_size = 1
    prepared_fields: frozenset[str] | None = frozenset()

    def for_event(self) -> Self:
        return self

    def abandon(self) -> None:
        """Nothing runs."""

    async def prepare(self, root_fields: Collection[str]) -> None:
        """Nothing is read."""

    def __getattr__(self, _name: str) -> Any:
        raise Unauthenticated("Show an API key: Authorization: Bearer <key>.")


ANONYMOUS: Final = AnonymousContext()
