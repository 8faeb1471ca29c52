"""JSON as it was written: numbers keep their digits, whatever a machine's floats or ints would make of them."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any, Self


class WrittenNumber(Decimal):
    """A number that shows itself as it was written: `1e2` stays so, where a Decimal says `1E+2`.

    Made of text that is a number in JSON's grammar (or GraphQL's, which is the same), and of no other.
    """

    __slots__ = ("_written",)
    _written: str

    def __new__(cls, written: str) -> Self:
        number = super().__new__(cls, written)
        number._written = written
        return number

    def __str__(self) -> str:
        return self._written


def read_number(written: str) -> Decimal:
    """Give the number that JSON text of any length and exponent says; infinite where even Decimal cannot hold it."""
    try:
        return WrittenNumber(written)
    except InvalidOperation:  # an exponent of 19 digits or more
        return Decimal("-Infinity" if written.startswith("-") else "Infinity")


def read_integer(written: str) -> int | Decimal:
    """Give the integer as an int, except what an int cannot be: `-0`, and more digits than Python converts."""
    if written == "-0":
        return WrittenNumber(written)
    try:
        return int(written)
    except ValueError:
        return WrittenNumber(written)


_DECODER = json.JSONDecoder(parse_float=read_number, parse_int=read_integer)


def read_json(text: str) -> Any:
    """Read JSON text: numbers with a fraction or an exponent are WrittenNumber, NaN and infinities float.

    Raises json.JSONDecodeError for what is not JSON, or nested deeper than the interpreter's stack.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise json.JSONDecodeError("Nested too deeply", text, 0) from None
