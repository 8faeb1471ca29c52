"""What resolvers find as `info.context`: who asks, what answers, and loaders that live for one request or one event."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Self, TypeAlias, TypeVar
from uuid import UUID

import strawberry
from strawberry.dataloader import DataLoader

from gateway.domain.cursors import Keyset
from gateway.domain.errors import Unauthenticated
from gateway.domain.events import Event, Position
from gateway.domain.installations import Account, Application, Installation, InstallationStatus
from gateway.domain.pages import Page, Window
from gateway.domain.principals import Principal
from gateway.execution.operations import Operation
from gateway.feed.feed import Feed
from gateway.storage.pages import InstallationList
from gateway.usecases import history, reading
from gateway.usecases.api_keys import KeyRing
from gateway.usecases.gateway import Gateway

Parent = TypeVar("Parent", bound=Hashable)
Asked = TypeVar("Asked", bound=Hashable)
Answer = TypeVar("Answer")


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
) -> Callable[[list[Request[Parent, Asked]]], Awaitable[list[Answer]]]:
    """Answer requests group by group, each group one question with its parents."""

    async def load(requests: list[Request[Parent, Asked]]) -> list[Answer]:
        groups: dict[Asked, list[Parent]] = defaultdict(list)
        for request in requests:
            groups[request.asked].append(request.parent)
        answers: dict[Request[Parent, Asked], Answer] = {}
        for asked, parents in groups.items():
            found = await answer(asked, parents)
            answers |= {Request(parent, asked): one for parent, one in zip(parents, found, strict=True)}
        return [answers[request] for request in requests]

    return load


class Loaders:
    """What one request, or one event, reads: each thing once, and all that is needed at a time in one statement."""

    def __init__(self, gateway: Gateway, principal: Principal) -> None:
        async def installations(ids: list[UUID]) -> Sequence[Installation | None]:
            return await reading.find_installations(gateway, principal, ids=ids)

        async def ties(pairs: list[reading.Tie]) -> Sequence[Installation | None]:
            return await reading.find_installations_by_tie(gateway, principal, ties=pairs)

        async def applications(ids: list[UUID]) -> Sequence[Application | None]:
            return await reading.find_applications(gateway, principal, ids=ids)

        async def accounts(ids: list[UUID]) -> Sequence[Account | None]:
            return await reading.find_accounts(gateway, principal, ids=ids)

        async def tied_applications(ids: list[UUID]) -> Sequence[Application | None]:
            return await reading.find_tied_applications(gateway, ids=ids)

        async def tied_accounts(ids: list[UUID]) -> Sequence[Account | None]:
            return await reading.find_tied_accounts(gateway, ids=ids)

        async def pages(asked: InstallationsAsked, parents: list[UUID | None]) -> list[Page[Installation]]:
            return await reading.list_installations(
                gateway, principal, parents=parents, listed=asked.listed, window=asked.window
            )

        async def counts(listed: InstallationList, parents: list[UUID | None]) -> list[dict[InstallationStatus, int]]:
            return await reading.count_listed_installations(gateway, principal, parents=parents, listed=listed)

        async def histories(window: Window[Position], parents: list[UUID]) -> list[Page[Event]]:
            return await history.list_histories(gateway, principal, installation_ids=parents, window=window)

        self.installations = DataLoader(installations)
        self.ties = DataLoader(ties)
        self.applications = DataLoader(applications)
        self.accounts = DataLoader(accounts)
        self.tied_applications = DataLoader(tied_applications)
        self.tied_accounts = DataLoader(tied_accounts)
        self.installation_pages = DataLoader(_grouped(pages))
        self.installation_counts = DataLoader(_grouped(counts))
        self.histories = DataLoader(_grouped(histories))


@dataclass(kw_only=True, slots=True)
class Context:
    """One caller's surroundings for one operation."""

    gateway: Gateway
    feed: Feed
    key_ring: KeyRing
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
            self._loaders = Loaders(self.gateway, self.principal)
        return self._loaders

    @property
    def share_key(self) -> Hashable:
        return self.principal.bounds

    def renewed(self) -> Self:
        """The same, with nothing remembered: for the next event."""
        return type(self)(gateway=self.gateway, feed=self.feed, key_ring=self.key_ring, caller=self.caller)

    async def prepare(self, operation: Operation) -> None:
        """Take the log's position before anything else is read: no change falls between it and a list beside it."""
        if "eventCursor" in operation.root_fields and self.caller is not None:
            self.event_position = await self.feed.position()


Info: TypeAlias = strawberry.Info[Context, None]
