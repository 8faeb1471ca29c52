"""Point lookups, gathered from all requests: what is asked for while a query runs goes out together in the next one.

They batch and do not cache: every answer was read after it was asked for. Who may see it is decided by who asks.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar
from uuid import UUID

from gateway.domain.errors import TimedOut
from gateway.domain.installations import Account, Application, Installation
from gateway.storage.accounts import select_accounts
from gateway.storage.applications import select_applications
from gateway.storage.installations import select_installations
from gateway.usecases.gateway import Gateway

Row = TypeVar("Row")

MOST_IDS = 500
"""So many ids go into one statement."""
MOST_STATEMENTS = 2
"""So many statements of one lookup run at a time: under load, fewer and larger ones cost less."""


class Lookup(Generic[Row]):
    """Finds rows of one kind by their ids."""

    def __init__(self, select: Callable[[Sequence[UUID]], Awaitable[dict[UUID, Row]]]) -> None:
        self._select: Final = select
        self._waiting: dict[UUID, list[asyncio.Future[Row | None]]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._scheduled = False

    def find(self, row_id: UUID) -> "asyncio.Future[Row | None]":
        """Look a row up; None where there is none. Raises Unavailable or TimedOut."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Row | None] = loop.create_future()
        self._waiting.setdefault(row_id, []).append(found)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._dispatch)
        return found

    def _dispatch(self) -> None:
        self._scheduled = False
        while self._waiting and len(self._running) < MOST_STATEMENTS:
            taken = list(self._waiting)[:MOST_IDS]
            asked = {row_id: self._waiting.pop(row_id) for row_id in taken}
            task = asyncio.create_task(self._run(asked))
            self._running.add(task)
            task.add_done_callback(self._finish)

    def _finish(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._dispatch()

    async def _run(self, asked: "dict[UUID, list[asyncio.Future[Row | None]]]") -> None:
        try:
            found = await self._select(list(asked))
        except BaseException as error:
            # A future that nobody awaits any more does not mind.
            for waiting in asked.values():
                for one in waiting:
                    if not one.done():
                        one.set_exception(error if isinstance(error, Exception) else TimedOut("The lookup was ended."))
            if not isinstance(error, Exception):
                raise
        else:
            for row_id, waiting in asked.items():
                row = found.get(row_id)
                for one in waiting:
                    if not one.done():
                        one.set_result(row)


class Lookups:
    """The lookups of one process."""

    def __init__(self, gateway: Gateway) -> None:
        async def applications(ids: Sequence[UUID]) -> dict[UUID, Application]:
            async with gateway.reading() as connection:
                return await select_applications(connection, ids=ids)

        async def accounts(ids: Sequence[UUID]) -> dict[UUID, Account]:
            async with gateway.reading() as connection:
                return await select_accounts(connection, ids=ids)

        async def installations(ids: Sequence[UUID]) -> dict[UUID, Installation]:
            async with gateway.reading() as connection:
                return await select_installations(connection, ids=ids)

        self.applications: Final = Lookup(applications)
        self.accounts: Final = Lookup(accounts)
        self.installations: Final = Lookup(installations)
