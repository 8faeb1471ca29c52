import string
import struct
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.domain.cursors import (
    Keyset,
    Position,
    _sealed,
    decode_keyset,
    decode_position,
    encode_position,
    keyset_encoder,
    microseconds,
    time_at,
)
from gateway.domain.errors import BadUserInput

positions = st.builds(
    Position,
    epoch=st.integers(0, 2**60 - 1),
    xid=st.integers(0, 2**63 - 1),
    id=st.integers(0, 2**63 - 1),
    time=st.integers(0, 253_402_300_799_999_999),
)
keysets = st.builds(
    Keyset,
    value=st.datetimes(timezones=st.just(UTC)) | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    id=st.uuids(),
)
alphabet = string.ascii_letters + string.digits + "-_"
KEYSET = Keyset(value=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), id=UUID(int=7))


@given(positions)
def test_position_comes_back_equal(position: Position) -> None:
    assert decode_position(encode_position(position), argument="after") == position


@given(positions)
def test_cursor_without_a_time_is_read(position: Position) -> None:
    cursor = _sealed(struct.pack(">QQQ", *position[:3]), domain=b"events")
    assert decode_position(cursor, argument="after") == position._replace(time=0)


@given(positions)
def test_time_of_a_position_comes_back_equal(position: Position) -> None:
    assert microseconds(time_at(position.time)) == position.time


@given(keysets)
def test_keyset_comes_back_equal(keyset: Keyset) -> None:
    cursor = keyset_encoder("installations", "CREATED_AT ASC")(keyset.value, keyset.id)
    assert (
        decode_keyset(
            cursor, connection="installations", order="CREATED_AT ASC", value_type=type(keyset.value), argument="after"
        )
        == keyset
    )


@given(positions)
def test_cursor_is_safe_in_an_address(position: Position) -> None:
    assert set(encode_position(position)) <= set(alphabet)


@given(positions, st.data())
def test_a_changed_character_is_noticed(position: Position, data: st.DataObject) -> None:
    cursor = encode_position(position)
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from(alphabet))
    assume(cursor[place] != other)
    with pytest.raises(BadUserInput):
        decode_position(cursor[:place] + other + cursor[place + 1 :], argument="after")


@given(st.text(max_size=60) | st.text(alphabet, max_size=60))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(BadUserInput):
        decode_position(text, argument="after")
    with pytest.raises(BadUserInput):
        decode_keyset(text, connection="installations", order="CREATED_AT ASC", value_type=datetime, argument="before")


@pytest.mark.parametrize(
    ("connection", "order"),
    [("applications", "CREATED_AT ASC"), ("installations", "UPDATED_AT ASC"), ("installations", "CREATED_AT DESC")],
)
def test_cursor_of_another_list_or_order_is_refused_with_what_to_do(connection: str, order: str) -> None:
    cursor = keyset_encoder("installations", "CREATED_AT ASC")(KEYSET.value, KEYSET.id)
    with pytest.raises(BadUserInput, match="before") as refused:
        decode_keyset(cursor, connection=connection, order=order, value_type=datetime, argument="before")
    assert refused.value.extensions == {"argument": "before"}
    assert "same list" in refused.value.message


def test_event_cursor_and_list_cursor_are_not_taken_for_each_other() -> None:
    with pytest.raises(BadUserInput):
        decode_position(keyset_encoder("installations", "x")(KEYSET.value, KEYSET.id), argument="after")
    with pytest.raises(BadUserInput):
        decode_keyset(
            encode_position(Position(1, 2, 3)),
            connection="installations",
            order="x",
            value_type=datetime,
            argument="after",
        )


@pytest.mark.parametrize(
    "position",
    [
        Position(2**60, 0, 0),
        Position(0, 2**63, 0),
        Position(0, 0, 2**63),
        Position(0, 0, 0, -1),
        Position(0, 0, 0, 253_402_300_800_000_000),
    ],
)
def test_position_that_no_log_can_have_is_refused(position: Position) -> None:
    with pytest.raises(BadUserInput):
        decode_position(encode_position(position), argument="after")


@pytest.mark.parametrize(
    "payload",
    [b"", b"t", b"t1234567", b"t" + b"\x7f" * 8, b"s\xff", b"s\0", b"x12345678"],
    ids=["nothing", "no time", "short time", "time beyond all calendars", "no UTF-8", "U+0000", "neither"],
)
def test_keyset_that_was_made_by_somebody_else_is_refused(payload: bytes) -> None:
    forged = _sealed(KEYSET.id.bytes + payload, domain=b"list installations x")
    with pytest.raises(BadUserInput):
        decode_keyset(forged, connection="installations", order="x", value_type=datetime, argument="after")


@pytest.mark.parametrize("value", [datetime(2026, 1, 1, tzinfo=UTC), "Ledgerline"])
def test_keyset_of_another_type_than_the_list_is_ordered_by_is_refused(value: datetime | str) -> None:
    cursor = keyset_encoder("installations", "x")(value, KEYSET.id)
    other: type[datetime | str] = str if isinstance(value, datetime) else datetime
    with pytest.raises(BadUserInput):
        decode_keyset(cursor, connection="installations", order="x", value_type=other, argument="after")
