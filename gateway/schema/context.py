"""What resolvers find as `info.context`: the caller, the services, and the loaders of one operation or one event."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Concatenate, Self, TypeAlias, TypeVar

import strawberry

from gateway.domain.cursors import Position
from gateway.domain.errors import Unauthenticated
from gateway.domain.principals import Principal
from gateway.feed.feed import Feed
from gateway.storage.database import Connection, Database
from gateway.usecases.api_keys import ApiKeyCache
from gateway.usecases.batch_loader import MAX_STATEMENTS, BatchLoader, BatchLoaders, RequestCache
from gateway.usecases.services import Services
from gateway.usecases.visibility import visible_installation

Key = TypeVar("Key")
Row = TypeVar("Row")


Find: TypeAlias = Callable[Concatenate[Connection, Principal, ...], Coroutine[Any, Any, Mapping[Key, Row]]]
"""One of the functions in `reads` that find, by the keyword argument `ids`, what a caller may see."""


class Loaders:
    """What one operation, or the rendering of one event, reads: each row once, and as many as possible in a statement.

    By id alone, rows are loaded together with those of other operations, and their visibility is checked afterwards.
    """

    def __init__(self, database: Database, principal: Principal, shared: BatchLoaders) -> None:
        self._database = database
        self._principal = principal
        self._limiter = asyncio.Semaphore(MAX_STATEMENTS)
        self._own: dict[Hashable, RequestCache[Any, Any]] = {}
        self.installations = RequestCache(shared.installations, visible=partial(visible_installation, principal))
        self.applications = RequestCache(shared.applications)
        """By the id that a visible installation has: a caller that sees an installation also sees its application."""
        self.accounts = RequestCache(shared.accounts)
        """By the id that a visible installation has: a caller that sees an installation also sees its account."""

    def batched(self, find: Find[Key, Row], **question: Hashable) -> RequestCache[Key, Row]:
        """Return what this operation loads by `find`: one statement serves all keys of the same question."""
        asked = (find, *question.values())
        if asked not in self._own:
            select = partial(find, principal=self._principal, **question)
            self._own[asked] = RequestCache(BatchLoader(self._database, select, limiter=self._limiter))
        return self._own[asked]

    def abandon(self) -> None:
        """Cancel the statements that run for this operation alone; those that others wait for too go on."""
        for cache in self._own.values():
            cache.loader.cancel()


@dataclass(kw_only=True)
class Context:
    """One caller's surroundings for one operation."""

    services: Services
    feed: Feed
    api_key_cache: ApiKeyCache
    batch_loaders: BatchLoaders
    caller: Principal | None
    """None: anonymous, which allows introspection alone."""
    last_event_id: str | None = None
    """The cursor that a reconnecting SSE client sends; used where `after` is not given."""
    event_position: Position | None = None
    has_read: bool = False
    """Whether a resolver has used the loaders; of an event, everything but its own fields is read by them."""

    @cached_property
    def principal(self) -> Principal:
        """The caller. Raises Unauthenticated where it is anonymous."""
        if self.caller is None:
            raise Unauthenticated("Show an API key: Authorization: Bearer <key>.")
        return self.caller

    @cached_property
    def loaders(self) -> Loaders:
        """The loaders of this operation."""
        self.has_read = True
        return Loaders(self.services.database, self.principal, self.batch_loaders)

    @property
    def share_key(self) -> Hashable:
        """Equal for callers that see the same: they may share what is rendered of an event."""
        return self.principal.bounds

    def abandon(self) -> None:
        """Cancel the statements that run for this operation alone."""
        if self.caller is not None:
            self.loaders.abandon()

    def for_event(self) -> Self:
        """Return a context with new loaders, for the next event of a subscription."""
        return replace(self, has_read=False)

    async def prepare(self, root_fields: Collection[str]) -> None:
        """Read the log's position before anything else is read, so that no change falls between it and a list."""
        if "eventCursor" in root_fields and self.caller is not None:
            self.event_position = await self.feed.position()


Info: TypeAlias = strawberry.Info[Context, None]
