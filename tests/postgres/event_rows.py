"""Events to write in tests, and waits with a deadline."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from gateway.domain.cursors import Position
from gateway.domain.event_filters import EventFilter
from gateway.domain.events import Actor, Change, Event, MetadataUpdated, NewEvent
from gateway.domain.principals import PrincipalKind
from gateway.storage.database import Database, connection, transaction
from gateway.storage.events import append_event, read_events

DEADLINE_SECONDS = 60
EVERYTHING = EventFilter()
ACTOR = Actor(kind=PrincipalKind.PLATFORM, id="key", label="the platform")
TIME = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@dataclass(kw_only=True)
class EventSource:
    """An installation as the log sees it: its ids, and the version of its last event."""

    installation_id: UUID = field(default_factory=uuid4)
    application_id: UUID = field(default_factory=uuid4)
    account_id: UUID = field(default_factory=uuid4)
    version: int = 0

    def next(self, change: Change | None = None, *, at: datetime = TIME) -> NewEvent:
        self.version += 1
        return NewEvent(
            occurred_at=at,
            actor=ACTOR,
            installation_id=self.installation_id,
            application_id=self.application_id,
            account_id=self.account_id,
            version=self.version,
            change=change or MetadataUpdated(changed_keys=("a",)),
        )


async def write(database: Database, *occurrences: NewEvent) -> None:
    """Commit each event in a transaction of its own."""
    for occurrence in occurrences:
        async with transaction(database) as connection:
            await append_event(connection, occurrence)


async def whole_log(
    database: Database, *, matching: EventFilter = EVERYTHING, after: Position | None = None
) -> list[Event]:
    """Read all committed events, after the transactions that run before them have ended."""
    async with asyncio.timeout(DEADLINE_SECONDS), connection(database) as held:
        while True:
            page = await read_events(held, matching=matching, after=after, limit=1_000_000)
            if not page.state.waiting:
                return page.events
            await asyncio.sleep(0.005)


async def receive(events: AsyncIterator[Event], *, count: int) -> list[tuple[UUID, int]]:
    """Return the next `count` events, as installation and version."""
    received: list[tuple[UUID, int]] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(received) < count:
            event = await anext(events)
            received.append((event.installation_id, event.version))
    return received


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds; fail after a deadline."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - the conditions have no event to wait for
            await asyncio.sleep(0.005)
