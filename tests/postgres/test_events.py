import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from gateway.domain.cursors import Position, encode_position
from gateway.domain.errors import CursorExpired
from gateway.domain.event_filters import EventFilter
from gateway.domain.events import (
    AuthorizationRenewed,
    Change,
    ConnectionReported,
    Event,
    EventKind,
    MetadataUpdated,
    StatusChanged,
    SyncProgressed,
)
from gateway.domain.installations import InstallationStatus, StatusReasonCode, SyncStep
from gateway.domain.pages import Window
from gateway.storage.database import Database, connection, transaction
from gateway.storage.events import (
    append_event,
    ensure_epoch,
    log_snapshot,
    prune_events,
    read_events,
    select_event_pages,
)
from gateway.storage.queries import queries
from tests.postgres.event_rows import ACTOR, EVERYTHING, TIME, EventSource, whole_log, write

ACTIVATED = StatusChanged(
    before=None, after=InstallationStatus.ACTIVATED, reason=StatusReasonCode.API_KEY_CONNECTED, message="Grüße \0 🙂"
)
CHANGES = (
    ACTIVATED,
    StatusChanged(before=InstallationStatus.INACTIVE, after=None, reason=StatusReasonCode.DELETED, message=None),
    MetadataUpdated(changed_keys=("", "ключ", "b")),
    SyncProgressed(steps=(SyncStep(name="tags", done=3, total=None), SyncStep(name="vendors", done=0, total=9))),
    ConnectionReported(succeeded=False, failures=3, message="no route"),
    AuthorizationRenewed(expires_at=datetime(2027, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
    AuthorizationRenewed(expires_at=None),
)


async def versions(database: Database) -> list[int]:
    return [event.version for event in await whole_log(database)]


def window(
    size: int, *, backward: bool = False, after: Position | None = None, before: Position | None = None
) -> Window[Position]:
    return Window(size=size, backward=backward, after=after, before=before)


@pytest.mark.parametrize("change", CHANGES)
async def test_event_comes_back_as_it_was_written(database: Database, change: Change) -> None:
    source = EventSource()
    await write(database, source.next(change))
    (event,) = await whole_log(database)
    assert event == Event(
        position=event.position,
        cursor=encode_position(event.position),
        occurred_at=TIME,
        actor=ACTOR,
        installation_id=source.installation_id,
        application_id=source.application_id,
        account_id=source.account_id,
        version=1,
        change=change,
    )


async def test_log_stands_at_its_last_readable_event(database: Database) -> None:
    source = EventSource()
    async with connection(database) as held:
        assert (await log_snapshot(held)).latest[1:] == (0, 0, 0)
    await write(database, source.next(), source.next())
    log = await whole_log(database)
    async with connection(database) as held:
        assert (await log_snapshot(held)).latest == log[-1].position


async def test_early_transaction_that_commits_late_is_not_lost(database: Database, database_url: str) -> None:
    early, late = EventSource(), EventSource()
    slow = await asyncpg.connect(database_url)
    try:
        slow_transaction = slow.transaction()
        await slow_transaction.start()
        await append_event(slow, early.next())
        await write(database, late.next())
        async with connection(database) as held:
            page = await read_events(held, matching=EVERYTHING, after=None, limit=10)
            position = (await log_snapshot(held)).latest
        assert (page.events, page.state.waiting) == ([], True)
        await slow_transaction.commit()
    finally:
        await slow.close()
    log = await whole_log(database, after=position)
    assert [event.installation_id for event in log] == [early.installation_id, late.installation_id]


async def test_filters_narrow_what_is_read(database: Database) -> None:
    first = EventSource()
    second = EventSource(application_id=first.application_id)
    third = EventSource(account_id=first.account_id)
    await write(database, first.next(ACTIVATED), second.next(), third.next())

    async def matching(wanted: EventFilter) -> list[UUID]:
        return [event.installation_id for event in await whole_log(database, matching=wanted)]

    assert await matching(EventFilter(installation_ids=frozenset({second.installation_id}))) == [second.installation_id]
    assert await matching(EventFilter(application_ids=frozenset({first.application_id}))) == [
        first.installation_id,
        second.installation_id,
    ]
    assert await matching(
        EventFilter(application_ids=frozenset({first.application_id}), account_ids=frozenset({first.account_id}))
    ) == [first.installation_id]
    assert await matching(EventFilter(kinds=frozenset({EventKind.STATUS_CHANGED}))) == [first.installation_id]
    assert await matching(EventFilter(kinds=frozenset())) == []


async def test_pages_go_both_ways(database: Database) -> None:
    source = EventSource()
    await write(database, *(source.next() for _ in range(5)))
    places = [event.position for event in await whole_log(database)]

    async def page(wanted: Window[Position]) -> list[int]:
        async with connection(database) as held:
            pages = await select_event_pages(held, ids=[None], matching=EVERYTHING, window=wanted)
            return [event.version for event in pages[None]]

    assert await page(window(2)) == [1, 2, 3]
    assert await page(window(2, after=places[2])) == [4, 5]
    assert await page(window(2, backward=True)) == [5, 4, 3]
    assert await page(window(2, backward=True, before=places[2])) == [2, 1]
    assert await page(window(9, after=places[0], before=places[3])) == [2, 3]


async def test_histories_of_many_installations_cost_one_statement(database: Database) -> None:
    sources = [EventSource() for _ in range(3)]
    for _ in range(3):
        await write(database, *(source.next() for source in sources[:2]))
    await whole_log(database)
    statements: list[str] = []
    async with connection(database) as held:
        await select_event_pages(held, ids=[], matching=EVERYTHING, window=window(1, backward=True))
        with held.query_logger(lambda record: statements.append(record.query)):
            histories = await select_event_pages(
                held,
                ids=[source.installation_id for source in sources],
                matching=EVERYTHING,
                window=window(1, backward=True),
            )
    assert len(statements) == 1
    assert {key: [event.version for event in events] for key, events in histories.items()} == {
        sources[0].installation_id: [3, 2],
        sources[1].installation_id: [3, 2],
        sources[2].installation_id: [],
    }


async def test_history_of_no_installation_is_empty(database: Database) -> None:
    async with connection(database) as held:
        assert await select_event_pages(held, ids=[], matching=EVERYTHING, window=window(1)) == {}


async def test_pruned_events_expire_the_cursors_before_them(database: Database) -> None:
    source = EventSource()
    await write(database, *(source.next(at=TIME + timedelta(days=day)) for day in (0, 1, 2, 0)))
    places = [event.position for event in await whole_log(database)]
    async with transaction(database) as held:
        assert await prune_events(held, older_than=TIME + timedelta(days=2), limit=1) == 1
        assert await prune_events(held, older_than=TIME + timedelta(days=2), limit=100) == 1
        assert await prune_events(held, older_than=TIME + timedelta(days=2), limit=100) == 0
    async with connection(database) as held:
        page = await read_events(held, matching=EVERYTHING, after=places[1], limit=10)
        assert [event.version for event in page.events] == [3, 4]
        with pytest.raises(CursorExpired, match="eventCursor"):
            await read_events(held, matching=EVERYTHING, after=places[0], limit=10)
        with pytest.raises(CursorExpired):
            await select_event_pages(
                held, ids=[None], matching=EVERYTHING, window=window(1, backward=True, before=places[0])
            )


async def test_log_that_was_pruned_empty_stands_at_what_was_pruned(database: Database) -> None:
    source = EventSource()
    await write(database, source.next())
    (event,) = await whole_log(database)
    async with transaction(database) as held:
        await prune_events(held, older_than=TIME + timedelta(days=1), limit=100)
    async with connection(database) as held:
        assert (await log_snapshot(held)).latest == event.position
        assert (await read_events(held, matching=EVERYTHING, after=event.position, limit=1)).events == []


async def test_only_one_gateway_prunes_at_a_time(database: Database, database_url: str) -> None:
    await write(database, EventSource().next())
    await whole_log(database)
    other = await asyncpg.connect(database_url)
    try:
        async with transaction(database) as held:
            assert await prune_events(held, older_than=TIME + timedelta(days=1), limit=100) == 1
            assert await prune_events(other, older_than=TIME + timedelta(days=1), limit=100) == 0
    finally:
        await other.close()


async def test_epoch_stays_in_its_cluster(database: Database) -> None:
    await write(database, EventSource().next())
    await whole_log(database)
    async with connection(database) as held:
        before = (await log_snapshot(held)).latest
        assert not await ensure_epoch(held)
        assert (await log_snapshot(held)).latest == before


async def restored_elsewhere(database: Database) -> None:
    """Make the log as a dump of it looks in a younger cluster: its transactions are far ahead."""
    async with connection(database) as held:
        await held.execute("update installation_events set xid = xid + 1000000000")
        await held.execute("update event_log set system_identifier = 1")


async def test_restored_log_gets_one_new_epoch_and_keeps_its_order(database: Database, database_url: str) -> None:
    source = EventSource()
    await write(database, source.next(), source.next())
    async with connection(database) as held:
        old = (await log_snapshot(held)).latest
    await restored_elsewhere(database)
    gateways = [await asyncpg.connect(database_url) for _ in range(4)]
    try:
        assert sum(await asyncio.gather(*map(ensure_epoch, gateways))) == 1
    finally:
        await asyncio.gather(*(services.close() for services in gateways))
    assert await versions(database) == [1, 2]
    await write(database, source.next())
    assert await versions(database) == [1, 2, 3]
    async with connection(database) as held:
        assert (await log_snapshot(held)).latest.epoch != old.epoch
        with pytest.raises(CursorExpired):
            await read_events(held, matching=EVERYTHING, after=old, limit=1)


async def test_log_ahead_of_its_own_cluster_gets_a_new_epoch(database: Database) -> None:
    await write(database, EventSource().next())
    async with connection(database) as held:
        await held.execute("update installation_events set xid = xid + 1000000000")
        assert (await read_events(held, matching=EVERYTHING, after=None, limit=1)).events == []
        assert await ensure_epoch(held)
    assert await versions(database) == [1]


async def test_cursor_of_a_lost_history_is_refused(database: Database) -> None:
    await write(database, EventSource().next())
    async with connection(database) as held:
        position = (await log_snapshot(held)).latest
        ahead = position._replace(xid=position.xid + 1000000000)
        with pytest.raises(CursorExpired):
            await read_events(held, matching=EVERYTHING, after=ahead, limit=1)


async def test_every_kind_is_read_from_the_ranges_of_an_account(database: Database) -> None:
    """The indexes know the kinds by a code, and `insert_event` names all codes."""
    source = EventSource()
    kinds = {kind.value[:2] for kind in EventKind if kind is not EventKind.STATUS_CHANGED}
    statuses = {f"S{status.value[:2]}" for status in InstallationStatus}
    assert len(kinds | statuses) + 1 == len(EventKind) + len(InstallationStatus)
    assert set(re.findall(r"'([A-Z]+)'", queries.insert_event.sql)) == {*kinds, *statuses, "S"}
    await write(database, *(source.next(change) for change in CHANGES))
    assert {type(change).kind for change in CHANGES} == set(EventKind)
    for kind in EventKind:
        found = await whole_log(
            database, matching=EventFilter(account_ids=frozenset({source.account_id}), kinds=frozenset({kind}))
        )
        assert found == [event for event in await whole_log(database) if event.change.kind is kind]
    assert await whole_log(
        database, matching=EventFilter(account_ids=frozenset({source.account_id}))
    ) == await whole_log(database)


async def test_installation_of_another_owner_has_no_events(database: Database) -> None:
    own, other = EventSource(), EventSource()
    await write(database, own.next(), other.next())
    of_own = EventFilter(installation_ids=frozenset({own.installation_id}))
    for owner, found in ((own, 1), (other, 0)):
        for matching in (
            replace(of_own, application_ids=frozenset({owner.application_id})),
            replace(of_own, account_ids=frozenset({owner.account_id})),
            replace(of_own, application_ids=frozenset({own.application_id}), account_ids=frozenset({owner.account_id})),
        ):
            assert len(await whole_log(database, matching=matching)) == found
