"""What resolvers find as `info.context`: who asks, what answers, and loaders that live for one request or one event."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Self, TypeAlias, TypeVar
from uuid import UUID

import strawberry
from strawberry.dataloader import DataLoader

from gateway.domain.cursors import Keyset
from gateway.domain.errors import Unauthenticated
from gateway.domain.events import Event, Position
from gateway.domain.installations import Account, Application, Installation, InstallationStatus
from gateway.domain.pages import Page, Window
from gateway.domain.principals import Principal
from gateway.feed.feed import Feed
from gateway.storage.installation_pages import InstallationList
from gateway.usecases import history, reading
from gateway.usecases.api_keys import ApiKeyCache
from gateway.usecases.batch_loaders import BatchLoader, BatchLoaders
from gateway.usecases.mapped_future import MappedFuture, shared
from gateway.usecases.services import Services

Parent = TypeVar("Parent", bound=Hashable)
Asked = TypeVar("Asked", bound=Hashable)
Answer = TypeVar("Answer")
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Request(Generic[Parent, Asked]):
    """The same question for many parents is answered at once."""

    parent: Parent
    asked: Asked


@dataclass(frozen=True, slots=True)
class InstallationsAsked:
    listed: InstallationList
    window: Window[Keyset]


def _grouped(
    answer: Callable[[Asked, list[Parent]], Awaitable[list[Answer]]],
) -> Callable[[list[Request[Parent, Asked]]], Awaitable[list[Answer | Exception]]]:
    """Answer requests group by group, each group one question with its parents; one that fails, fails alone."""

    async def load(requests: list[Request[Parent, Asked]]) -> list[Answer | Exception]:
        groups: dict[Asked, list[Parent]] = defaultdict(list)
        for request in requests:
            groups[request.asked].append(request.parent)
        answers: dict[Request[Parent, Asked], Answer | Exception] = {}
        for asked, parents in groups.items():
            found: Sequence[Answer | Exception]
            try:
                found = await answer(asked, parents)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer to this one question
                found = [error] * len(parents)
            answers |= {Request(parent, asked): one for parent, one in zip(parents, found, strict=True)}
        return [answers[request] for request in requests]

    return load


class SharedLoader(DataLoader[Asked, Answer]):
    """A loader whose waiters are cancelled each for itself."""

    def load(self, key: Asked) -> Awaitable[Answer]:
        return shared(asyncio.ensure_future(super().load(key)))


class RequestCache(Generic[Row]):
    """Rows by their ids: each is looked up once, and stays what it was for as long as the request or event lasts."""

    __slots__ = ("_found", "_lookup", "_visible")

    def __init__(self, lookup: BatchLoader[Row], *, visible: Callable[[Row], bool] = lambda _: True) -> None:
        self._lookup = lookup
        self._visible = visible
        self._found: dict[UUID, asyncio.Future[dict[UUID, Row]]] = {}

    def load(self, row_id: UUID, then: Callable[[Row | None], Answer]) -> MappedFuture[dict[UUID, Row], Answer]:
        """Answer what `then` makes of the row, or of None where there is none that the caller may see."""
        found = self._found.get(row_id)
        if found is None:
            found = self._found[row_id] = self._lookup.find(row_id)

        def answer(rows: dict[UUID, Row]) -> Answer:
            row = rows.get(row_id)
            return then(row if row is not None and self._visible(row) else None)

        return MappedFuture(found, answer)


class Loaders:
    """What one request, or one event, reads: each thing once, and all that is needed at a time in one statement."""

    def __init__(self, services: Services, principal: Principal, batch_loaders: BatchLoaders) -> None:
        self._gateway = services
        self._principal = principal
        self._reads: set[asyncio.Task[Any] | None] = set()
        self.installations = RequestCache(
            batch_loaders.installations,
            visible=lambda row: principal.sees(application_id=row.application_id, account_id=row.account_id),
        )
        self.tied_applications = RequestCache(batch_loaders.applications)
        """Applications of installations that the caller sees, and with them these."""
        self.tied_accounts = RequestCache(batch_loaders.accounts)
        """Accounts of installations that the caller sees, and with them these."""

    @cached_property
    def ties(self) -> DataLoader[reading.Tie, Installation | None]:
        async def load(ties: list[reading.Tie]) -> Sequence[Installation | None]:
            return await reading.find_installations_by_tie(self._gateway, self._principal, ties=ties)

        return SharedLoader(self._read(load))

    @cached_property
    def applications(self) -> DataLoader[UUID, Application | None]:
        async def load(ids: list[UUID]) -> Sequence[Application | None]:
            return await reading.find_applications(self._gateway, self._principal, ids=ids)

        return SharedLoader(self._read(load))

    @cached_property
    def accounts(self) -> DataLoader[UUID, Account | None]:
        async def load(ids: list[UUID]) -> Sequence[Account | None]:
            return await reading.find_accounts(self._gateway, self._principal, ids=ids)

        return SharedLoader(self._read(load))

    @cached_property
    def installation_pages(self) -> DataLoader[Request[UUID | None, InstallationsAsked], Page[Installation]]:
        async def load(asked: InstallationsAsked, parents: list[UUID | None]) -> list[Page[Installation]]:
            return await reading.list_installations(
                self._gateway, self._principal, parents=parents, listed=asked.listed, window=asked.window
            )

        return SharedLoader(self._read(_grouped(load)))

    @cached_property
    def installation_counts(self) -> DataLoader[Request[UUID | None, InstallationList], dict[InstallationStatus, int]]:
        async def load(listed: InstallationList, parents: list[UUID | None]) -> list[dict[InstallationStatus, int]]:
            return await reading.count_listed_installations(
                self._gateway, self._principal, parents=parents, listed=listed
            )

        return SharedLoader(self._read(_grouped(load)))

    @cached_property
    def histories(self) -> DataLoader[Request[UUID, Window[Position]], Page[Event]]:
        async def load(window: Window[Position], parents: list[UUID]) -> list[Page[Event]]:
            return await history.list_histories(self._gateway, self._principal, installation_ids=parents, window=window)

        return SharedLoader(self._read(_grouped(load)))

    def abandon(self) -> None:
        """End what is being read for this caller alone: nobody waits for it any more, and the database is told so.

        What is looked up for several at once goes on.
        """
        for task in tuple(self._reads):
            if task is not None:
                task.cancel()

    def _read(self, load: Callable[[list[Asked]], Awaitable[Answer]]) -> Callable[[list[Asked]], Awaitable[Answer]]:
        """Know the task in which something is read: the loader's own, not that of whoever asks it."""

        async def read(asked: list[Asked]) -> Answer:
            task = asyncio.current_task()
            self._reads.add(task)
            try:
                return await load(asked)
            finally:
                self._reads.discard(task)

        return read


@dataclass(kw_only=True, slots=True)
class Context:
    """One caller's surroundings for one operation."""

    services: Services
    feed: Feed
    api_key_cache: ApiKeyCache
    batch_loaders: BatchLoaders
    caller: Principal | None
    """None where nobody is known: such a caller may look at the schema alone."""
    last_event_id: str | None = None
    """The cursor that a reconnecting SSE client names; used where `after` is not given."""
    event_position: Position | None = None
    _loaders: Loaders | None = None

    @property
    def principal(self) -> Principal:
        """Who asks. Raises Unauthenticated where nobody is known."""
        if self.caller is None:
            raise Unauthenticated("Show an API key: Authorization: Bearer <key>.")
        return self.caller

    @property
    def loaders(self) -> Loaders:
        if self._loaders is None:
            self._loaders = Loaders(self.services, self.principal, self.batch_loaders)
        return self._loaders

    @property
    def share_key(self) -> Hashable:
        return self.principal.bounds

    def abandon(self) -> None:
        if self._loaders is not None:
            self._loaders.abandon()

    def renewed(self) -> Self:
        """The same, with nothing remembered: for the next event."""
        return type(self)(
            services=self.services,
            feed=self.feed,
            api_key_cache=self.api_key_cache,
            batch_loaders=self.batch_loaders,
            caller=self.caller,
        )

    async def prepare(self, root_fields: Collection[str]) -> None:
        """Take the log's position before anything else is read: no change falls between it and a list beside it."""
        if "eventCursor" in root_fields and self.caller is not None:
            self.event_position = await self.feed.position()


Info: TypeAlias = strawberry.Info[Context, None]
