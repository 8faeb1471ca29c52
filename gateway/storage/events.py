"""The event log in Postgres: rows to events, and back.

The log is read in the order (xid, id), and only below the horizon, the oldest running transaction. Every read returns
the state of the log in its own snapshot, and refuses a position after which events are missing.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
from asyncpg import Record

from gateway.domain.cursors import Position, encode_position, microseconds, time_at
from gateway.domain.errors import Forbidden
from gateway.domain.event_filters import ALL_KINDS, EventFilter
from gateway.domain.event_log import LogState, Snapshot
from gateway.domain.events import (
    Actor,
    AuthorizationRenewed,
    Change,
    ConnectionReported,
    Event,
    EventKind,
    MetadataUpdated,
    NewEvent,
    StatusChanged,
    SyncProgressed,
)
from gateway.domain.installations import InstallationStatus, StatusReasonCode, SyncStep
from gateway.domain.pages import Window
from gateway.domain.principals import PrincipalKind
from gateway.storage.database import Connection
from gateway.storage.queries import Flags, queries

EVENTS_CHANNEL: Final = "installation_events"
"""The channel of `notify_events`."""
MOST_WAITING: Final = 10_000
"""More events wait only behind a transaction that runs for seconds under load, or for hours."""
EVENTS_OF_A_SPAN: Final = 4_096
"""A range of time reads at most so many events beyond each of its ends, and a log of 100 million has 24,000 spans."""
_EPOCH_BITS = 60
_START, _END = Position(epoch=0, xid=0, id=0), Position(epoch=0, xid=2**63 - 1, id=2**63 - 1)
_STRETCH = ("low_xids", "low_ids", "high_xids", "high_ids")
"""A stretch of the log lies between two positions, and has neither of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogPage:
    """Events in order, and the state of the log in the snapshot that they were read in."""

    events: list[Event]
    state: LogState
    read: int
    """How many events were read, including those without interest."""
    end: Position | None
    """The last position that was read; None where nothing was."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedKeys:
    """Ids of installations, accounts and applications: only their events are read."""

    installation_ids: list[UUID]
    account_ids: list[UUID]
    application_ids: list[UUID]


HasInterest = Callable[[UUID, UUID, UUID], bool]
"""Returns whether the event of this installation, application and account is to be decoded."""


class WriteConflict(Exception):
    """Another transaction was first. The write can be repeated in a new transaction."""


async def append_event(connection: Connection, event: NewEvent) -> None:
    """Write an event, in the transaction of its change, after the lock on its installation was taken.

    Raises:
        WriteConflict: A transaction with a greater id has written an event of this application and account. Written
            in this transaction, the new event would precede it in the log.
    """
    written = await queries.insert_event.fetch_value(
        connection,
        occurred_at=event.occurred_at,
        actor_kind=event.actor.kind.value,
        actor_id=event.actor.id,
        actor_label=event.actor.label,
        installation_id=event.installation_id,
        application_id=event.application_id,
        account_id=event.account_id,
        version=event.version,
        kind=event.change.kind.value,
        change=orjson.dumps(event.change).decode(),
    )
    if written is None:
        raise WriteConflict


async def select_installations_in_log(connection: Connection, *, installation_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of these installations that have events, including events that cannot be read yet."""
    rows = await queries.select_installations_in_log.fetch(connection, ids=list(installation_ids))
    return {row["id"] for row in rows}


async def read_pages(
    connection: Connection,
    *,
    parents: Sequence[UUID | None] = (None,),
    matching: EventFilter,
    window: Window[Position],
    limit: int,
    interest: WantedKeys | HasInterest | None = None,
) -> list[LogPage]:
    """Read a page of the log for each parent: an installation, or None for all of them; by one statement.

    `interest` are keys, of which alone events are read, or a function that decides which events are decoded.

    Raises:
        CursorExpired: The log no longer has all events after one of the window's positions.
    """
    flags = _flags(matching, window=window, by_parent=None not in parents)
    if isinstance(interest, WantedKeys):
        flags["wanted"] = {
            "wanted_installation_ids": interest.installation_ids,
            "wanted_account_ids": interest.account_ids,
            "wanted_application_ids": interest.application_ids,
        }
    low, high = (window.after or _START)[1:3], (window.before or _END)[1:3]
    stretches: list[tuple[int, ...]] = [(*low, *high)]
    if matching.occurred_since is not None or matching.occurred_before is not None:
        stretches = await _stretches(connection, matching, low=low, high=high)
    query, values = queries.with_flags("select_event_page", flags)
    values |= {name: [each[at] for each in stretches] for at, name in enumerate(_STRETCH)}
    rows: list[list[Record]] = [[] for _ in parents]
    values["installation_ids"] = (None,) if matching.installation_ids is None else matching.installation_ids
    for row in await query.fetch(connection, limit=limit, parents=parents, **values):
        rows[row["parent"] - 1].append(row)
    has_interest = None if isinstance(interest, WantedKeys) else interest
    pages = []
    for each in rows:
        pages.append(_page(each, window=window, has_interest=has_interest))
        if len(rows) > 1:  # 100 pages of 100 events would take 0.1 s in one go
            await asyncio.sleep(0)
    return pages


async def read_events(connection: Connection, *, matching: EventFilter, after: Position | None, limit: int) -> LogPage:
    """Read the events after a position; without one, from the first event that is kept. Raises CursorExpired."""
    window = Window(size=limit, backward=False, after=after, before=None)
    [page] = await read_pages(connection, matching=matching, window=window, limit=limit)
    return page


async def select_events(connection: Connection, *, positions: Sequence[Position]) -> dict[Position, Event]:
    """Return the events at these positions, of those that the log has."""
    rows = await queries.select_events.fetch(
        connection, xids=[each.xid for each in positions], ids=[each.id for each in positions]
    )
    events = {(event.position.xid, event.position.id): event for event in map(_event, rows)}
    return {
        position: event
        for position in positions
        if (event := events.get(position[1:3])) and position in {event.position, event.position._replace(time=0)}
    }


async def select_event_pages(
    connection: Connection, *, ids: Sequence[UUID | None], matching: EventFilter, window: Window[Position]
) -> dict[UUID | None, list[Event]]:
    """Read for each installation one event more than the window's size, in its direction. Raises CursorExpired.

    The list of all installations has one parent, None.
    """
    parents, wanted = list(ids), matching.installation_ids
    if wanted is not None and None not in parents:
        parents, matching = [each for each in ids if each in wanted], replace(matching, installation_ids=None)
    pages = await read_pages(connection, parents=parents, matching=matching, window=window, limit=window.size + 1)
    found = {parent: page.events for parent, page in zip(parents, pages, strict=True)}
    return {parent: found.get(parent, []) for parent in ids}


async def log_snapshot(connection: Connection) -> Snapshot:
    """Return the end of the log, and up to MOST_WAITING of the committed events after it."""
    row = await queries.select_event_log.fetch_row(connection, most=MOST_WAITING)
    assert row is not None  # noqa: S101 - a constraint holds that the table has one row
    waiting = zip(row["xids"], row["ids"], row["times"], strict=True)
    return Snapshot(
        latest=Position(row["epoch"], row["latest_xid"], row["latest_id"], microseconds(row["latest_at"])),
        waiting=frozenset(Position(row["epoch"], xid, number, microseconds(time)) for xid, number, time in waiting),
        horizon=row["horizon"],
        next_xid=row["next_xid"],
        server=row["server"],
    )


async def ensure_epoch(connection: Connection) -> bool:
    """Start a new epoch where the log was written in another cluster, and return whether it was. Run at each start."""
    command = await queries.update_event_log_epoch.execute(connection, epoch=secrets.randbits(_EPOCH_BITS))
    return command == "UPDATE 1"


async def store_event_span(connection: Connection, *, events: int = EVENTS_OF_A_SPAN) -> bool:
    """Store the times of the next so many events of the log, and return whether there were so many."""
    return await queries.insert_event_span.fetch_value(connection, events=events) is not None


async def prune_events(connection: Connection, *, older_than: datetime, limit: int) -> int:
    """Remove up to `limit` of the first events of the log, as long as each is older; return how many were removed.

    Fewer than the limit means that nothing more is to be removed, or that another gateway is pruning. Raises Forbidden
    where this role may not remove such young events.
    """
    try:
        count: int = await queries.prune_events.fetch_value(connection, older_than=older_than, limit=limit)
    except asyncpg.InsufficientPrivilegeError as error:
        raise Forbidden(str(error)) from error
    return count


async def _stretches(
    connection: Connection, matching: EventFilter, *, low: tuple[int, ...], high: tuple[int, ...]
) -> list[tuple[int, ...]]:
    """Return what may have events of the filter's times between two positions."""
    rows = await queries.select_event_stretches.fetch(
        connection, occurred_since=matching.occurred_since, occurred_before=matching.occurred_before
    )
    found = []
    for row in rows:
        first, last = tuple(row["low"]), high
        if row["high"] is not None:
            last = (row["high"][0], row["high"][1] + 1)
        if max(low, first) < min(high, last):
            found.append((*max(low, first), *min(high, last)))
    return found


def _flags(matching: EventFilter, *, window: Window[Position], by_parent: bool) -> Flags:
    """Return the flags of the query that apply, each with its parameters."""
    flags: Flags = {}
    of_installations = by_parent or matching.installation_ids is not None
    if of_installations:
        flags["installations"] = {}
    within = "owner_" if of_installations else ""
    if matching.application_ids is not None:
        flags[f"{within}applications"] = {f"{within}application_ids": matching.application_ids}
    if matching.account_ids is not None:
        flags[f"{within}accounts"] = {f"{within}account_ids": matching.account_ids}
    if flags or matching.kinds != ALL_KINDS or matching.to is not None:
        flags["owned" if flags else "unowned"] = {}
        flags["by_code"] = {"codes": _codes(matching)}
    if matching.occurred_since is not None:
        flags["since"] = {"occurred_since": matching.occurred_since}
    if matching.occurred_before is not None:
        flags["until"] = {"occurred_before": matching.occurred_before}
    for name, place in (("after", window.after), ("before", window.before)):
        if place is not None:
            flags[name] = {f"{name}_xid": place.xid, f"{name}_id": place.id, f"{name}_at": time_at(place.time)}
    flags["backward" if window.backward else "forward"] = {}
    return flags


def _codes(matching: EventFilter) -> list[str]:
    """Return the codes of the events of these kinds that led to these statuses."""
    status_changes = frozenset({EventKind.STATUS_CHANGED})
    kinds = matching.kinds if matching.to is None else matching.kinds & status_changes
    codes = [kind.value[:2] for kind in kinds - status_changes]
    if status_changes <= kinds:
        codes += [f"S{status.value[:2]}" for status in (InstallationStatus if matching.to is None else matching.to)]
        codes += ["S"] if matching.to is None else []
    return codes


def _page(rows: Sequence[Record], *, window: Window[Position], has_interest: HasInterest | None) -> LogPage:
    first, last = rows[0], rows[-1]
    state = LogState(
        pruned=Position(first["epoch"], first["pruned_xid"], first["pruned_id"], microseconds(first["pruned_at"])),
        latest=Position(first["epoch"], first["latest_xid"], first["latest_id"], microseconds(first["latest_at"])),
        horizon=first["horizon"],
        next_xid=first["next_xid"],
        waiting=first["waiting"],
        server=first["server"],
    )
    if window.after is not None:
        state.require_all_since(window.after, found=first["after_found"])
    if window.before is not None:
        state.require_all_since(window.before, found=first["before_found"])
    if first["id"] is None:  # the one row of a parent without events
        return LogPage(events=[], state=state, read=0, end=None)
    events = [
        _event(row)
        for row in rows
        if has_interest is None or has_interest(row["installation_id"], row["application_id"], row["account_id"])
    ]
    return LogPage(
        events=events,
        state=state,
        read=len(rows),
        end=Position(last["epoch"], last["xid"], last["id"], microseconds(last["occurred_at"])),
    )


def _event(row: Record) -> Event:
    position = Position(row["epoch"], row["xid"], row["id"], microseconds(row["occurred_at"]))
    return Event(
        position=position,
        cursor=encode_position(position),
        occurred_at=row["occurred_at"],
        actor=Actor(kind=PrincipalKind(row["actor_kind"]), id=row["actor_id"], label=row["actor_label"]),
        installation_id=row["installation_id"],
        application_id=row["application_id"],
        account_id=row["account_id"],
        version=row["version"],
        change=_CHANGES[row["kind"]](orjson.loads(row["change"])),
    )


def _status_changed(fields: dict[str, Any]) -> StatusChanged:
    before, after = fields["before"], fields["after"]
    return StatusChanged(
        before=before and InstallationStatus(before),
        after=after and InstallationStatus(after),
        reason=StatusReasonCode(fields["reason"]),
        message=fields["message"],
    )


def _authorization_renewed(fields: dict[str, Any]) -> AuthorizationRenewed:
    expires_at = fields["expires_at"]
    return AuthorizationRenewed(expires_at=expires_at and datetime.fromisoformat(expires_at))


_CHANGES: Final[dict[str, Callable[[dict[str, Any]], Change]]] = {
    EventKind.STATUS_CHANGED.value: _status_changed,
    EventKind.METADATA_UPDATED.value: lambda fields: MetadataUpdated(changed_keys=tuple(fields["changed_keys"])),
    EventKind.SYNC_PROGRESSED.value: lambda fields: SyncProgressed(
        steps=tuple(SyncStep(**step) for step in fields["steps"])
    ),
    EventKind.CONNECTION_REPORTED.value: lambda fields: ConnectionReported(**fields),
    EventKind.AUTHORIZATION_RENEWED.value: _authorization_renewed,
}
