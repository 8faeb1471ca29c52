"""Changing installations by id, many at a time: changes that are requested at about the same time share two statements.

One transaction for each change took five round trips. Measured on 2026-11-24 on these tables: 280 to 324 us of CPU for
each change by itself, 35 to 50 us for each of a batch, whose commit is also one commit for all of them.

A batch reads its rows without locks, computes every change in memory, one after the other, and stores all of them and
their events by one statement, which commits by itself. That statement never waits: it leaves out the rows that another
transaction has locked, or has changed since they were read. What it left out is done again by `change_installation`,
alone and with a lock. The order of the log holds without one: the row still has the version that was read, so every
earlier event of the installation was committed before this statement was assigned its transaction id.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Final, Protocol
from uuid import UUID

import asyncpg

from gateway.domain.actions import InstallationAction
from gateway.domain.errors import ActionNotAllowed, InstallationNotFound, TimedOut, VersionConflict
from gateway.domain.installations import Installation
from gateway.domain.lifecycle import Transition
from gateway.domain.policy import require_allowed
from gateway.domain.principals import Principal
from gateway.domain.records import record
from gateway.storage.applications import select_applications
from gateway.storage.database import Connection, ConnectionLost, Database, connection
from gateway.storage.installations import BatchWrite, select_installations, store_batch
from gateway.usecases.visibility import visible_installation

MAX_CHANGES: Final = 200
"""The most changes of one batch, which bounds its statement: 200 times 16 KB of metadata."""
_UNDIVIDED: Final = 16
"""So few changes are always one batch: each batch takes Postgres and the gateway 0.3 ms beside its changes."""
_TURN_SECONDS: Final = 0.01
"""How long a batch computes before the event loop gets its turn: merging into 16 KB of metadata takes up to 5 ms."""


class NotAllowedFromStatus(Exception):
    """The status does not allow the action. What is allowed also depends on the application, which is read then."""


class Decide(Protocol):
    """Returns the transition that a change leads to, None where there is nothing to do, or raises.

    Besides what the caller is told, it raises NotAllowedFromStatus.
    """

    def __call__(self, installation: Installation, /, *, now: datetime) -> Transition | None: ...


@record
class Change:
    """What one caller wants to change of one installation."""

    principal: Principal
    action: InstallationAction
    installation_id: UUID
    expected_version: int | None
    decide: Decide

    def require(self, found: Installation | None) -> Installation:
        """Return the row to change. Raises InstallationNotFound and VersionConflict."""
        installation = visible_installation(self.principal, found)
        if installation is None:
            raise InstallationNotFound(self.installation_id)
        if self.expected_version is not None and self.expected_version != installation.version:
            raise VersionConflict(expected_version=self.expected_version, installation=installation)
        return installation


Outcome = Installation | Exception | None
"""The row after the change, or why it failed; None: it has to be made alone."""


@dataclass(slots=True, eq=False)
class _Pending:
    change: Change
    done: "asyncio.Future[Installation | None]"


@dataclass(slots=True, eq=False)
class _Row:
    """One installation of a batch, and the changes that are made to it in their order."""

    pending: list[_Pending] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    refused: list[tuple[int, Change, Installation]] = field(default_factory=list)
    """Changes that the status does not allow: the place of each one's outcome, and the row as the change met it."""
    write: BatchWrite | None = None
    """What is to be stored; None: nothing."""

    def compute(self, pending: _Pending, *, now: datetime, current: Installation | None) -> Installation | None:
        """Make one change in memory; return the row after it."""
        change = pending.change
        try:
            before = change.require(current)
            transition = change.decide(before, now=now)
            if transition is None:
                self.outcomes.append(before)
                return before
        except NotAllowedFromStatus:
            self.refused.append((len(self.outcomes), change, before))
            self.outcomes.append(None)
            return current
        except Exception as error:  # noqa: BLE001 - the caller of this change gets it, and no other
            self.outcomes.append(error)
            return current
        after = transition.installation
        assert after is not None  # noqa: S101 - installations are not deleted in batches
        write = self.write = self.write or BatchWrite(before=before)
        write.after = after
        event = transition.event(before, principal=change.principal, now=now)
        if event is not None:
            write.events.append(event)
        self.outcomes.append(after)
        return after


class WriteBatcher:
    """Makes changes in batches, one at a time, in the order in which they were requested.

    While Postgres stores a batch, the callers of the previous one are answered and further changes arrive: answered as
    soon as theirs was stored, they would delay the next statement, and Postgres and the gateway would take turns. For
    the same reason many changes are divided where no others are in progress: 32 callers whose changes are always stored
    together make 0.69 as many changes a second as in two batches (2026-11-26).
    Two batches at a time overlap as well, but are smaller, and each takes both 0.3 ms beside its changes: over 32
    connections there were 0.89 as many changes a second, each for 1.07 of the CPU (2026-11-26).
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime], notify: Callable[[], None]) -> None:
        """`notify` is called after each commit that appended to the event log."""
        self._database: Final = database
        self._now: Final = now
        self._notify: Final = notify
        self._context: Final = copy_context()
        """Batches are for several callers, so that no caller's share of the pool counts them."""
        self._waiting: list[_Pending] = []
        self._stored: list[tuple[_Pending, Outcome]] = []
        """The changes of the last batch, whose callers are not yet answered."""
        self._running: asyncio.Task[None] | None = None
        """What makes batches as long as anything waits."""

    async def submit(self, change: Change) -> Installation | None:
        """Make a change, and return the row after it; None where it was not made, and has to be made alone.

        A lone change begins at once; while a batch is made, changes wait for the next. A caller that leaves before its
        change has begun takes it back.

        Raises:
            InstallationNotFound, VersionConflict: See Change. Also what the change's `decide` raises.
            Unavailable, TimedOut: The change may have been stored or not.
        """
        loop = asyncio.get_running_loop()
        pending = _Pending(change, loop.create_future())
        self._waiting.append(pending)
        if self._running is None:
            self._running = loop.create_task(self._run(), context=self._context.copy())
        return await pending.done

    async def _run(self) -> None:
        """Make batches until nothing waits."""
        try:
            while batch := self._take():
                await self._make_on_one_connection(batch)
        finally:
            self._running = None  # at once: what is submitted from here on needs another run

    async def _make_on_one_connection(self, batch: dict[UUID, _Row], *, is_repeated: bool = False) -> None:
        """Make a batch, and then those that wait, until one fails: acquiring a connection takes 40 us."""
        try:
            async with connection(self._database) as held:
                try:
                    while batch:
                        await self._make(held, batch)
                        batch, is_repeated = self._take(), False
                finally:
                    self._answer()
        except ConnectionLost as error:
            if is_repeated or any(row.outcomes for row in batch.values()):  # it may have been committed
                self._finish(batch, error)
            else:
                await self._database.expire_connections()  # see `read`
                await self._make_on_one_connection(batch, is_repeated=True)
        except asyncpg.PostgresError:  # one of the changes cannot be stored, so that none was: find out which
            self._finish(batch, None)
        except Exception as error:  # noqa: BLE001 - every caller gets it
            self._finish(batch, error)
        except BaseException:
            self._finish(batch, TimedOut("The change was cancelled."))
            raise

    def _take(self) -> dict[UUID, _Row]:
        """Take the first changes that wait: half of them where nobody is to be answered meanwhile, see the class."""
        batch: dict[UUID, _Row] = {}
        half = max(len(self._waiting) // 2, _UNDIVIDED)
        most = MAX_CHANGES if self._stored else min(half, MAX_CHANGES)
        while self._waiting and not batch:
            taken, self._waiting = self._waiting[:most], self._waiting[most:]
            for pending in taken:
                if not pending.done.cancelled():
                    batch.setdefault(pending.change.installation_id, _Row()).pending.append(pending)
        return batch

    async def _make(self, held: Connection, batch: dict[UUID, _Row]) -> None:
        """Read, compute and store a batch; once it is sent, the callers of the previous one are answered."""
        found = await select_installations(held, ids=list(batch))
        now, began = self._now(), perf_counter()
        for installation_id, row in batch.items():
            current = found.get(installation_id)
            for pending in row.pending:
                current = row.compute(pending, now=now, current=current)
                if perf_counter() - began > _TURN_SECONDS:
                    self._answer()
                    await asyncio.sleep(0)
                    began = perf_counter()
        if any(row.refused for row in batch.values()):
            await _refuse(held, batch.values())
        writes = [row.write for row in batch.values() if row.write is not None]
        self._answer()  # they wake up as soon as this task waits: after the statement was sent
        stored = await store_batch(held, writes, now=now) if writes else set[UUID]()
        if any(write.events for write in writes if write.before.id in stored):
            self._notify()
        for installation_id, row in batch.items():
            left_out = row.write is not None and installation_id not in stored
            for pending, outcome in zip(row.pending, row.outcomes, strict=True):
                self._stored.append((pending, None if left_out else outcome))

    def _answer(self) -> None:
        """Answer the callers of the last batch."""
        for pending, outcome in self._stored:
            if pending.done.done():  # its caller has left
                continue
            if isinstance(outcome, Exception):
                pending.done.set_exception(outcome)
            else:
                pending.done.set_result(outcome)
        self._stored.clear()

    def _finish(self, batch: dict[UUID, _Row], outcome: Outcome) -> None:
        """Give all changes of a batch the same outcome."""
        self._stored += [(pending, outcome) for row in batch.values() for pending in row.pending]
        self._answer()


async def _refuse(held: Connection, rows: Iterable[_Row]) -> None:
    """Make the outcomes of changes that the status does not allow: what is allowed depends on the application too."""
    ids = {installation.application_id for row in rows for _, _, installation in row.refused}
    applications = await select_applications(held, ids=list(ids))
    for row in rows:
        for at, change, installation in row.refused:
            application = applications[installation.application_id]
            try:
                require_allowed(
                    change.principal, action=change.action, installation=installation, application=application
                )
            except ActionNotAllowed as error:
                row.outcomes[at] = error
