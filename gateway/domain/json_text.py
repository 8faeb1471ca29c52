"""Reads JSON so that numbers keep the digits and the form in which they were written."""

import json
from decimal import Decimal, InvalidOperation
from json.scanner import make_scanner
from typing import Any, Final, Self


class WrittenNumber(Decimal):
    """A Decimal whose text is as it was written: `1e2`, where a Decimal has `1E+2`.

    Only for text that is a number in the grammar of JSON, or of GraphQL, which is the same.
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
    """Read a number of any length and exponent; infinite where Decimal cannot represent it."""
    try:
        return WrittenNumber(written)
    except InvalidOperation:  # an exponent of 19 digits or more
        return Decimal("-Infinity" if written.startswith("-") else "Infinity")


def read_integer(written: str) -> int | Decimal:
    """Read an integer; a WrittenNumber for `-0`, and for more digits than Python converts."""
    if written == "-0":
        return WrittenNumber(written)
    try:
        return int(written)
    except ValueError:
        return WrittenNumber(written)


_DECODER: Final = json.JSONDecoder(parse_float=read_number, parse_int=read_integer)
_scan: Final = make_scanner(_DECODER)  # type: ignore[arg-type]  # typeshed calls the decoder a scanner
"""Reads one value at a position. `decode` also looks for white space around it, which takes half of a small request."""


def read_json(text: str) -> Any:
    """Read JSON text: numbers with a fraction or an exponent become WrittenNumber, NaN and infinities float.

    Raises json.JSONDecodeError for what is not JSON, and RecursionError where it is nested too deeply.
    """
    try:
        value, end = _scan(text, 0)
    except StopIteration:  # it begins with white space, or with nothing of JSON
        return _DECODER.decode(text)
    return value if end == len(text) else _DECODER.decode(text)
