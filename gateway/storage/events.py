"""The log of events: rows and objects.

The log is read in the order (xid, id), and only below the horizon: the oldest transaction that still runs. Every read
answers the log's state in its own snapshot, and refuses a place after which something is missing.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from gateway.domain.event_filters import ALL_KINDS, EventFilter
from gateway.domain.event_log import LogState, Snapshot
from gateway.domain.events import Actor, Event, NewEvent, Position, kind_of
from gateway.domain.pages import Window
from gateway.domain.principals import PrincipalKind
from gateway.storage.database import Connection
from gateway.storage.event_payloads import change_of, change_to_json
from gateway.storage.queries import queries

NEWS_CHANNEL: Final = "installation_events"
"""What the bell notifies and the tail listens on."""
_EPOCH_BITS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class LogPage:
    """Events in order, and the state of the log in the snapshot that they were read in."""

    events: list[Event]
    state: LogState
    read: int
    """How many events were read, those that nobody wanted included."""
    end: Position | None
    """The last place that was read; None where there was nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedKeys:
    """Whose events somebody asks for: what is of none of these need not be sent."""

    installation_ids: list[UUID]
    account_ids: list[UUID]
    application_ids: list[UUID]


Wanted = Callable[[UUID, UUID, UUID], bool]
"""Tells of an event's installation, application and account whether anybody asks for it."""


def _everything(_installation_id: UUID, _application_id: UUID, _account_id: UUID) -> bool:
    return True


class WriteConflict(Exception):
    """Somebody else was quicker. Nothing is wrong: in a new transaction it can be tried again."""


async def append_event(connection: Connection, occurrence: NewEvent) -> None:
    """Write an event. It belongs in the transaction of its change, after the lock on its installation was taken.

    Raises:
        WriteConflict: A transaction with a greater id has written an event of this application and account. Written
            in this transaction, the new event would precede it in the log.
    """
    written = await queries.insert_event.fetch_value(
        connection,
        occurred_at=occurrence.occurred_at,
        actor_kind=occurrence.actor.kind.value,
        actor_id=occurrence.actor.id,
        actor_label=occurrence.actor.label,
        installation_id=occurrence.installation_id,
        application_id=occurrence.application_id,
        account_id=occurrence.account_id,
        version=occurrence.version,
        kind=kind_of(occurrence.change).value,
        change=change_to_json(occurrence.change),
    )
    if written is None:
        raise WriteConflict


async def select_installations_in_log(connection: Connection, *, installation_ids: Sequence[UUID]) -> set[UUID]:
    """Tell which of these have events, those included that a running transaction keeps back from readers."""
    rows = await queries.select_installations_in_log.fetch(connection, ids=list(installation_ids))
    return {row["id"] for row in rows}


async def read_events(
    connection: Connection,
    *,
    matching: EventFilter,
    after: Position | None,
    limit: int,
    wanted: Wanted = _everything,
    keys: WantedKeys | None = None,
) -> LogPage:
    """Read the next events after a place, or the first ones that are kept; make objects of those that are wanted.

    `wanted` is asked when they have been read; with `keys`, others are not even sent.

    Raises:
        CursorExpired: The log no longer holds everything after this place.
    """
    window = Window(size=limit, backward=False, after=after, before=None)
    pages = await _select(
        connection, parents=[None], matching=matching, window=window, limit=limit, wanted=wanted, keys=keys
    )
    return pages[0]


async def select_event_page(connection: Connection, *, matching: EventFilter, window: Window[Position]) -> list[Event]:
    """Read one event more than the window's size, in its direction.

    Raises:
        CursorExpired: The log no longer holds everything after one of the window's places.
    """
    pages = await _select(connection, parents=[None], matching=matching, window=window, limit=window.size + 1)
    return pages[0].events


async def select_histories(
    connection: Connection, *, installation_ids: Sequence[UUID], matching: EventFilter, window: Window[Position]
) -> dict[UUID, list[Event]]:
    """Read for each installation one event more than the window's size, in its direction, by one statement.

    Raises:
        CursorExpired: The log no longer holds everything after one of the window's places.
    """
    pages = await _select(connection, parents=installation_ids, matching=matching, window=window, limit=window.size + 1)
    return {installation_id: page.events for installation_id, page in zip(installation_ids, pages, strict=True)}


async def log_snapshot(connection: Connection) -> Snapshot:
    """Answer which transactions are done now, and where the log stands."""
    [row] = await queries.select_event_log.fetch(connection)
    latest = Position(epoch=row["epoch"], xid=row["latest_xid"], id=row["latest_id"])
    return Snapshot.parse(row["snapshot"], xid_offset=row["xid_offset"], latest=latest)


async def log_position(connection: Connection) -> Position:
    """Answer where the log stands: every event that is written from now on comes after this place."""
    snapshot = await log_snapshot(connection)
    return snapshot.latest


async def ensure_epoch(connection: Connection) -> bool:
    """Begin a new epoch where the log was written in another cluster; tell whether it was so. For every start."""
    command: str = await queries.update_event_log_epoch.execute(connection, epoch=secrets.randbits(_EPOCH_BITS))
    return command == "UPDATE 1"


async def prune_events(connection: Connection, *, older_than: datetime, limit: int) -> int:
    """Remove up to `limit` of the log's first events, as long as each is older; answer how many were removed.

    Less than the limit means that there is nothing more to remove, or that another gateway is at it.
    """
    count: int = await queries.prune_events.fetch_value(connection, older_than=older_than, limit=limit)
    return count


async def _select(
    connection: Connection,
    *,
    parents: Sequence[UUID | None],
    matching: EventFilter,
    window: Window[Position],
    limit: int,
    wanted: Wanted = _everything,
    keys: WantedKeys | None = None,
) -> list[LogPage]:
    flags = _narrowing(matching, window=window)
    if keys is not None:
        flags["wanted"] = {
            "wanted_installation_ids": keys.installation_ids,
            "wanted_account_ids": keys.account_ids,
            "wanted_application_ids": keys.application_ids,
        }
    flags["backward" if window.backward else "forward"] = {"limit": limit, "parents": list(parents)}
    if parents != [None]:
        flags["of_installation"] = {}
    query = queries.variant("select_event_page", flags)
    parameters = {name: value for values in flags.values() for name, value in values.items()}
    pages: list[list[Record]] = [[] for _ in parents]
    for row in await query.fetch(connection, **parameters):
        pages[row["parent"] - 1].append(row)
    return [_page(rows, window=window, wanted=wanted) for rows in pages]


def _narrowing(matching: EventFilter, *, window: Window[Position]) -> dict[str, dict[str, Any]]:
    """Each flag of the query that applies, with its parameters."""
    flags: dict[str, dict[str, Any]] = {}
    if matching.installation_id is not None:
        flags["installation"] = {"installation_id": matching.installation_id}
    if matching.application_id is not None:
        flags["application"] = {"application_id": matching.application_id}
    if matching.account_id is not None:
        flags["account"] = {"account_id": matching.account_id}
    if not matching.kinds:
        flags["nothing"] = {}
    elif matching.kinds != ALL_KINDS:
        flags["kinds"] = {"kinds": sorted(kind.value for kind in matching.kinds)}
    if window.after is not None:
        flags["after"] = {"after_xid": window.after.xid, "after_id": window.after.id}
    if window.before is not None:
        flags["before"] = {"before_xid": window.before.xid, "before_id": window.before.id}
    return flags


def _page(rows: Sequence[Record], *, window: Window[Position], wanted: Wanted) -> LogPage:
    state = _state(rows[0])
    for place in (window.after, window.before):
        if place is not None:
            state.require_all_since(place)
    if rows[0]["id"] is None:  # the one row that a parent without events has
        return LogPage(events=[], state=state, read=0, end=None)
    events = [
        _event(row, epoch=state.epoch)
        for row in rows
        if wanted(row["installation_id"], row["application_id"], row["account_id"])
    ]
    end = Position(epoch=state.epoch, xid=rows[-1]["xid"], id=rows[-1]["id"])
    return LogPage(events=events, state=state, read=len(rows), end=end)


def _state(row: Record) -> LogState:
    epoch = row["epoch"]
    return LogState(
        pruned=Position(epoch=epoch, xid=row["pruned_xid"], id=row["pruned_id"]),
        latest=Position(epoch=epoch, xid=row["latest_xid"], id=row["latest_id"]),
        horizon=row["horizon"],
        next_xid=row["next_xid"],
        waiting=row["waiting"],
    )


def _event(row: Record, *, epoch: int) -> Event:
    return Event(
        position=Position(epoch=epoch, xid=row["xid"], id=row["id"]),
        occurred_at=row["occurred_at"],
        actor=Actor(kind=PrincipalKind(row["actor_kind"]), id=row["actor_id"], label=row["actor_label"]),
        installation_id=row["installation_id"],
        application_id=row["application_id"],
        account_id=row["account_id"],
        version=row["version"],
        change=change_of(row["kind"], text=row["change"]),
    )
