"""Point lookups, gathered from all requests: what is asked for while a query runs goes out together in the next one.

They batch and do not cache: every answer was read after it was asked for. Who may see it is decided by who asks.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar
from uuid import UUID

from gateway.domain.errors import TimedOut
from gateway.domain.installations import Account, Application, Installation
from gateway.storage.accounts import select_accounts
from gateway.storage.applications import select_applications
from gateway.storage.database import read
from gateway.storage.installations import select_installations
from gateway.usecases.services import Services

Row = TypeVar("Row")

MOST_IDS = 500
"""So many ids go into one statement."""
MOST_STATEMENTS = 2
"""So many statements of one lookup run at a time: under load, fewer and larger ones cost less."""


class BatchLoader(Generic[Row]):
    """Finds rows of one kind by their ids."""

    def __init__(self, select: Callable[[Sequence[UUID]], Awaitable[dict[UUID, Row]]]) -> None:
        self._select: Final = select
        self._waiting: deque[_Statement[Row]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._scheduled = False

    def find(self, row_id: UUID) -> "asyncio.Future[dict[UUID, Row]]":
        """Look a row up: answer the rows that there are of all that are looked up with it.

        Many wait for the same answer: never await it as it is, or whoever is cancelled takes it from the others. It
        fails with Unavailable or TimedOut.
        """
        if not self._waiting or len(self._waiting[-1].ids) == MOST_IDS:
            self._waiting.append(_Statement())
        statement = self._waiting[-1]
        statement.ids[row_id] = None
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._dispatch)
        return statement.found

    def _dispatch(self) -> None:
        self._scheduled = False
        while self._waiting and len(self._running) < MOST_STATEMENTS:
            task = asyncio.create_task(self._run(self._waiting.popleft()))
            self._running.add(task)
            task.add_done_callback(self._finish)

    def _finish(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._dispatch()

    async def _run(self, statement: "_Statement[Row]") -> None:
        try:
            rows = await self._select(list(statement.ids))
        except BaseException as error:
            if not statement.found.done():
                foreseen = isinstance(error, Exception)
                statement.found.set_exception(error if foreseen else TimedOut("The lookup was ended."))
                statement.found.exception()  # perhaps nobody waits any more, and asyncio need not complain of that
            if not isinstance(error, Exception):
                raise
        else:
            if not statement.found.done():
                statement.found.set_result(rows)


class _Statement(Generic[Row]):
    """The ids that go out together, and the rows that will be found."""

    __slots__ = ("found", "ids")

    def __init__(self) -> None:
        self.ids: dict[UUID, None] = {}
        self.found: asyncio.Future[dict[UUID, Row]] = asyncio.get_running_loop().create_future()


class BatchLoaders:
    """The lookups of one process."""

    def __init__(self, services: Services) -> None:
        async def applications(ids: Sequence[UUID]) -> dict[UUID, Application]:
            return await read(services.database, select_applications, ids=ids)

        async def accounts(ids: Sequence[UUID]) -> dict[UUID, Account]:
            return await read(services.database, select_accounts, ids=ids)

        async def installations(ids: Sequence[UUID]) -> dict[UUID, Installation]:
            return await read(services.database, select_installations, ids=ids)

        self.applications: Final = BatchLoader(applications)
        self.accounts: Final = BatchLoader(accounts)
        self.installations: Final = BatchLoader(installations)
