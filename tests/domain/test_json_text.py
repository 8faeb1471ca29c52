import copy
import json
from decimal import Decimal
from typing import Any

import pytest

from gateway.domain.json_text import WrittenNumber, read_json


def kinds(value: list[Any]) -> list[tuple[type, str]]:
    return [(type(item), str(item)) for item in value]


def test_numbers_are_read_as_they_were_written() -> None:
    assert kinds(read_json("[1, 1.0, 1e2, 1E+2, -0.0, -0, 0.10, 12345678901234567890]")) == [
        (int, "1"),
        (WrittenNumber, "1.0"),
        (WrittenNumber, "1e2"),
        (WrittenNumber, "1E+2"),
        (WrittenNumber, "-0.0"),
        (WrittenNumber, "-0"),
        (WrittenNumber, "0.10"),
        (int, "12345678901234567890"),
    ]


def test_integer_with_more_digits_than_python_converts_is_read() -> None:
    assert kinds(read_json(f"[{'7' * 5000}, -{'7' * 5000}]")) == [
        (WrittenNumber, "7" * 5000),
        (WrittenNumber, "-" + "7" * 5000),
    ]


def test_number_beyond_decimal_is_infinite() -> None:
    assert read_json("[1e99999999999999999999, -1e99999999999999999999]") == [
        Decimal("Infinity"),
        Decimal("-Infinity"),
    ]


@pytest.mark.parametrize("text", [" [1]", "[1] ", "\t\r\n[1]\n", "[ 1 ]"])
def test_white_space_may_stand_around_it(text: str) -> None:
    assert read_json(text) == [1]


@pytest.mark.parametrize("text", ["", " ", "{", "[1,]", "01", "'a'", "[1] 2", "[1],", "\ufeff[1]", "[1]\x0b", "nul"])
def test_invalid_json_is_a_decode_error(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        read_json(text)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_json_that_is_nested_too_deeply_is_a_recursion_error(text: str) -> None:
    with pytest.raises(RecursionError):
        read_json(text)


def test_copies_of_a_written_number_have_the_same_text() -> None:
    number = WrittenNumber("1e2")
    assert [str(copy.copy(number)), str(copy.deepcopy(number))] == ["1e2", "1e2"]
    assert number == Decimal(100)
