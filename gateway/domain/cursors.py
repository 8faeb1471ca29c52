"""Positions in the log and in lists, and the cursors that encode them: opaque text that clients pass back.

The digest at the end is not a protection against forgery: a cursor is a position to read from, and gives no right to
read. It detects a cursor that was cut, mistyped or taken from another list.
"""

import base64
import binascii
import struct
from binascii import b2a_base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from gateway.domain.errors import BadUserInput


class Position(NamedTuple):
    """A position in the log: events are ordered by the transaction that wrote them, then by their number.

    It is always the position of a committed row, or the start (0, 0), and never a bare transaction id. The time tells
    the row from another one with the same numbers: a standby that is promoted before it has received everything, a
    backup, and a crash with `synchronous_commit = off` lose rows, and Postgres assigns their numbers again. Positions
    of different epochs have no order.
    """

    epoch: int
    """Which log: 60 random bits, chosen anew when a dump of the log is found in another cluster."""
    xid: int
    id: int
    time: int = 0
    """When the event occurred, in microseconds since 1970; 0: unknown, as in cursors without a time."""


_DIGEST_SIZE = 4
_URLSAFE = bytes.maketrans(b"+/", b"-_")
_MAX_CHARACTERS = 2_000
"""More than any cursor has, which a name of 200 characters is the longest part of."""
_POSITION = struct.Struct(">QQQq")
_POSITION_WITHOUT_TIME = struct.Struct(">QQQ")
"""Cursors had no time before 2026-11-26."""
_TIME = struct.Struct(">q")
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EVENTS = b"events"
_GREATEST = Position(epoch=2**60 - 1, xid=2**63 - 1, id=2**63 - 1, time=253_402_300_799_999_999)
"""The time is the last that a `datetime` can have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keyset:
    """A position in a list: the value that it is ordered by, and the id that orders equal values."""

    value: datetime | str
    id: UUID


def encode_position(position: Position) -> str:
    return _sealed(_POSITION.pack(*position), domain=_EVENTS)


def decode_position(cursor: str, *, argument: str) -> Position:
    """Read an event's cursor.

    Raises:
        BadUserInput: It is not a cursor of an event, or it was changed.
    """
    payload = _opened(cursor, domain=_EVENTS) or b""
    for form in (_POSITION, _POSITION_WITHOUT_TIME):
        if len(payload) == form.size:
            position = Position(*form.unpack(payload))
            if all(0 <= number <= greatest for number, greatest in zip(position, _GREATEST, strict=True)):
                return position
    raise BadUserInput(
        f"`{argument}` is not a cursor of an event. Give back an event's `cursor`, or `eventCursor`, as it was given.",
        argument=argument,
    )


def microseconds(time: datetime | None) -> int:
    """Return the microseconds since 1970, or 0 where there is no time or an earlier one."""
    return 0 if time is None else max(0, (time - _BEGINNING) // _MICROSECOND)


def time_at(microseconds: int) -> datetime | None:
    """Return the time so many microseconds after 1970; None for 0."""
    return _BEGINNING + timedelta(microseconds=microseconds) if microseconds else None


@lru_cache(64)
def keyset_encoder(connection: str, order: str) -> Callable[[datetime | str, UUID], str]:
    """Return a function that makes cursors for this connection in this order (field and direction) only.

    It takes what a Keyset has: the value and the id of a row. A page encodes as many as it has rows.
    """
    begun = blake2b(f"list {connection} {order}\0".encode(), digest_size=_DIGEST_SIZE)

    def encode(value: datetime | str, identifier: UUID) -> str:
        if isinstance(value, datetime):
            payload = identifier.bytes + b"t" + _TIME.pack((value - _BEGINNING) // _MICROSECOND)
        else:
            payload = identifier.bytes + b"s" + value.encode()
        digest = begun.copy()
        digest.update(payload)
        return b2a_base64(payload + digest.digest(), newline=False).translate(_URLSAFE).rstrip(b"=").decode()

    return encode


def decode_keyset(
    cursor: str, *, connection: str, order: str, value_type: type[datetime | str], argument: str
) -> Keyset:
    """Read a list's cursor, whose value is of the type that the list is ordered by: a forged cursor may differ.

    Raises:
        BadUserInput: It is from another list or another order, or it was changed.
    """
    payload = _opened(cursor, domain=f"list {connection} {order}".encode())
    keyset = None if payload is None else _keyset(payload)
    if keyset is None or not isinstance(keyset.value, value_type):
        raise BadUserInput(
            f"`{argument}` is not a cursor of `{connection}` in this order. Give back a cursor of the same list, asked"
            " for with the same order, or leave it out to begin anew.",
            argument=argument,
        )
    return keyset


def _keyset(payload: bytes) -> Keyset | None:
    identifier, kind, value = payload[:16], payload[16:17], payload[17:]
    try:
        match kind:
            case b"t":
                (microseconds,) = _TIME.unpack(value)
                return Keyset(value=_BEGINNING + timedelta(microseconds=microseconds), id=UUID(bytes=identifier))
            case b"s" if b"\0" not in value:  # which no text in Postgres has
                return Keyset(value=value.decode(), id=UUID(bytes=identifier))
    except (struct.error, ValueError, OverflowError):
        return None
    return None


def _sealed(payload: bytes, *, domain: bytes) -> str:
    sealed = payload + blake2b(domain + b"\0" + payload, digest_size=_DIGEST_SIZE).digest()
    return b2a_base64(sealed, newline=False).translate(_URLSAFE).rstrip(b"=").decode()


def _opened(cursor: str, *, domain: bytes) -> bytes | None:
    """Return the payload; None for everything that `_sealed` did not make, including another encoding of it."""
    if len(cursor) > _MAX_CHARACTERS:
        return None
    try:
        sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    payload = sealed[:-_DIGEST_SIZE]
    return payload if _sealed(payload, domain=domain) == cursor else None
