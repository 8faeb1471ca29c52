"""Postgres stores and indexes the metadata that the rules accept, and rejects what they reject on its account."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import InvalidInput
from gateway.domain.json_text import read_json
from gateway.domain.metadata import decode_metadata
from gateway.storage.database import DriverConnection
from tests.conftest import connected
from tests.domain.examples import encoded

TABLE = "create temporary table installations_metadata (metadata json not null)"
INDEX = "create index on installations_metadata using gin ((metadata::jsonb) jsonb_path_ops)"
INSERT = "insert into installations_metadata (metadata) values ($1) returning metadata::text"


@pytest.fixture(scope="module")
async def table(server_url: str) -> AsyncIterator[DriverConnection]:
    """Yield a connection with an indexed table that lasts as long as it."""
    async with connected(server_url) as connection:
        await connection.execute(TABLE)
        await connection.execute(INDEX)
        yield connection


async def stored(table: DriverConnection, *texts: str) -> list[str]:
    return [await table.fetchval(INSERT, text) for text in texts]


characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
numbers = st.one_of(
    st.integers().map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.builds("{}e{}".format, st.integers(-999, 999), st.integers(-16_390, 131_080)),
)
values = st.recursive(
    st.none() | st.booleans() | numbers.map(read_json) | st.text(characters),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(characters, max_size=40), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=40)
@given(samples=st.lists(st.dictionaries(st.text(characters, max_size=40), values, max_size=5), max_size=20))
async def test_metadata_within_the_limits_is_stored_and_returned_byte_for_byte(
    table: DriverConnection, samples: list[dict[str, object]]
) -> None:
    texts = []
    for sample in samples:
        try:
            texts.append(encoded(sample))
        except InvalidInput:
            continue
    assert await stored(table, *texts) == texts


EDGES_WITHIN = ["1e131071", "9.99e131071", "-1e-16383", "1.5e-16382", "0e131071", "-0", "-0.0", "0.0e-16382"]
EDGES_BEYOND = ["1e131072", "-10e131071", "1e-16384", "1.5e-16383", "1.50e-16382", "0e-16384", "1e999999999999"]


async def test_numbers_at_the_edge_of_the_range_are_stored(table: DriverConnection) -> None:
    texts = [encoded(decode_metadata(f'{{"a":{number}}}')) for number in EDGES_WITHIN]
    assert await stored(table, *texts) == [f'{{"a":{number}}}' for number in EDGES_WITHIN]


@pytest.mark.parametrize("number", EDGES_BEYOND)
async def test_postgres_rejects_numbers_beyond_the_range(table: DriverConnection, number: str) -> None:
    text = f'{{"a":{number}}}'
    with pytest.raises(asyncpg.NumericValueOutOfRangeError):
        await stored(table, text)
    with pytest.raises(InvalidInput):
        encoded(decode_metadata(text))


@pytest.mark.parametrize("escaped", [r"\u0000", r"\ud83c", r"\udf89"])
async def test_postgres_rejects_the_characters_that_are_rejected(table: DriverConnection, escaped: str) -> None:
    text = f'{{"a":"{escaped}"}}'
    with pytest.raises((asyncpg.UntranslatableCharacterError, asyncpg.InvalidTextRepresentationError)):
        await stored(table, text)
    with pytest.raises(InvalidInput):
        encoded(decode_metadata(text))


async def test_largest_metadata_is_stored_with_its_index(table: DriverConnection) -> None:
    texts = [
        encoded({"k": "🎉" * 4094}),
        encoded({f"k{number}": list(range(number * 100, number * 100 + 60)) for number in range(50)}),
        encoded({"a": [decode_metadata('{"n":9e131071}')] * 1000}),
    ]
    assert await stored(table, *texts) == texts
