"""What resolvers find as `info.context`: the caller, the services, and the loaders of one operation or one event."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Concatenate, Self, TypeAlias, TypeVar
from uuid import UUID

import strawberry
from asyncpg import Record

from gateway.domain.cursors import Keyset, Position
from gateway.domain.installations import Account, Application, Installation
from gateway.domain.pages import InstallationList, Page, Window
from gateway.domain.principals import Principal
from gateway.feed.feed import Feed
from gateway.storage.database import Connection, Database
from gateway.storage.installation_pages import Parts
from gateway.usecases.api_keys import ApiKeyCache
from gateway.usecases.batch_loader import MAX_STATEMENTS, BatchLoader, BatchLoaders, MappedFuture, RequestCache
from gateway.usecases.installation_lists import as_account_list, list_installations
from gateway.usecases.services import Services
from gateway.usecases.visibility import visible_installation

Key = TypeVar("Key")
Row = TypeVar("Row")
Answer = TypeVar("Answer")


Find: TypeAlias = Callable[Concatenate[Connection, Principal, ...], Coroutine[Any, Any, Mapping[Key, Row]]]
"""One of the functions in `reads` that find, by the keyword argument `ids`, what a caller may see."""


@dataclass(slots=True, eq=False)
class Loaders:
    """What one operation, or the rendering of one event, reads: each row once, and as many as possible in a statement.

    By id alone, rows are loaded together with those of other operations, and their visibility is checked afterwards.
    """

    _database: Database
    _principal: Principal
    _shared: BatchLoaders
    _limiter: asyncio.Semaphore | None = None
    _own: dict[Hashable, RequestCache[Any, Any]] = field(default_factory=dict)
    _shares_page: bool = False
    # Made when they are first used: most operations use one at most.
    _installations: RequestCache[UUID, Installation] | None = None
    _applications: RequestCache[UUID, Application] | None = None
    _accounts: RequestCache[UUID, Account] | None = None

    @property
    def installations(self) -> RequestCache[UUID, Installation]:
        """By id."""
        if self._installations is None:
            visible = partial(visible_installation, self._principal)
            self._installations = RequestCache(self._shared.installations, visible)
        return self._installations

    @property
    def applications(self) -> RequestCache[UUID, Application]:
        """By the id that a visible installation has: a caller that sees an installation also sees its application."""
        if self._applications is None:
            self._applications = RequestCache(self._shared.applications)
        return self._applications

    @property
    def accounts(self) -> RequestCache[UUID, Account]:
        """By the id that a visible installation has: a caller that sees an installation also sees its account."""
        if self._accounts is None:
            self._accounts = RequestCache(self._shared.accounts)
        return self._accounts

    def batched(self, find: Find[Key, Row], **question: Hashable) -> RequestCache[Key, Row]:
        """Return what this operation loads by `find`: one statement serves all keys of the same question."""
        asked = (find, *question.values())
        if asked not in self._own:
            if self._limiter is None:
                self._limiter = asyncio.Semaphore(MAX_STATEMENTS)
            select = partial(find, principal=self._principal, **question)
            self._own[asked] = RequestCache(BatchLoader(self._database, select, limiter=self._limiter))
        return self._own[asked]

    def installations_page(
        self,
        listed: InstallationList,
        window: Window[Keyset],
        *,
        parts: Parts,
        parent: UUID | None,
        transform: Callable[[Page[Record]], Answer],
    ) -> MappedFuture[Any, Answer | None]:
        """Return what `transform` makes of a page of the list, or of that of its parent.

        The first list of an operation is read together with equal ones of other operations, if it is of one account.
        """
        if not self._shares_page and (shared := as_account_list(self._principal, listed, window)) is not None:
            self._shares_page = True
            account_id, account_list = shared
            pages = RequestCache(self._shared.pages(account_list, window, parts=parts))
            return pages.load(account_id, lambda rows: transform(window.page(rows)))
        return self.batched(list_installations, listed=listed, window=window, parts=parts).load(parent, transform)

    def abandon(self) -> None:
        """Cancel the statements that run for this operation alone; those that others wait for too go on."""
        for cache in self._own.values():
            cache.loader.cancel()


@dataclass(kw_only=True)
class Context:
    """One caller's surroundings for one operation."""

    prepared_fields: ClassVar[frozenset[str] | None] = frozenset({"eventCursor"})

    services: Services
    feed: Feed
    api_key_cache: ApiKeyCache
    batch_loaders: BatchLoaders
    caller: Principal
    last_event_id: str | None = None
    """The cursor that a reconnecting SSE client sends; used where `after` is not given."""
    event_position: Position = field(init=False)
    """The end of the log before anything was read, where `eventCursor` is selected."""
    subscription_size: int = 1
    """See ExecutionContext; set by the resolver of a subscription."""
    has_read: bool = False
    """Whether a resolver has used the loaders; of an event, everything but its own fields is read by them."""
    _loaders: Loaders | None = field(default=None, init=False)

    @property
    def loaders(self) -> Loaders:
        """The loaders of this operation."""
        loaders = self._loaders
        if loaders is None:
            self.has_read = True
            loaders = self._loaders = Loaders(self.services.database, self.caller, self.batch_loaders)
        return loaders

    @property
    def share_key(self) -> Hashable:
        """Equal for callers that see the same: they may share what is rendered of an event."""
        return self.caller.bounds

    def abandon(self) -> None:
        """Cancel the statements that run for this operation alone."""
        if self._loaders is not None:
            self._loaders.abandon()

    def for_event(self) -> Self:
        """Return a context with new loaders, for the next event of a subscription."""
        return replace(self, has_read=False)

    async def prepare(self, root_fields: Collection[str]) -> None:
        """Read the log's position before anything else is read, so that no change falls between it and a list."""
        if "eventCursor" in root_fields:
            self.event_position = await self.feed.position()


Info: TypeAlias = strawberry.Info[Context, None]


@dataclass(kw_only=True)
class FieldInfo(strawberry.Info[Context, None]):
    """What compiled execution gives resolvers: of an info, they use the context alone."""

    parts: Parts
    """Those that are selected of the rows of the field's page."""
