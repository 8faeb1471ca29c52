"""Results as JSON: the response to an operation, encoded by orjson, or slowly where orjson refuses a value.

orjson refuses what GraphQL may return: half of a surrogate pair in a string that repeats its caller's, integers beyond
64 bits, more than 254 levels. Such a result is rare, and takes a slower way instead of becoming an error.
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import orjson

from gateway.domain.records import record
from gateway.execution.errors import FormattedError, format_errors

_OPTIONS: Final = orjson.OPT_UTC_Z
"""Times in UTC end with Z."""


@record
class Response:
    """The response to an operation that ran."""

    body: bytes
    """The whole response of the GraphQL specification, as JSON."""
    errors: tuple[FormattedError, ...] = ()


@record
class Payload:
    """An event as its subscribers get it; one object for all who share it."""

    body: bytes
    text: str
    """The body, decoded once for all WebSockets."""
    cursor: str | None
    """The event's cursor, where it has one."""


def encode_response(
    data: Any, *, errors: Sequence[Exception] = (), extensions: dict[str, Any] | None = None
) -> Response:
    """Encode the result of an operation. Never raises: a value that cannot be encoded becomes an error."""
    members: dict[str, Any] = {"data": data}
    formatted: tuple[FormattedError, ...] = ()
    if errors:
        members["errors"] = formatted = tuple(each for error in errors for each in format_errors(error))
    if extensions:
        members["extensions"] = extensions
    try:
        try:
            body = orjson.dumps(members, option=_OPTIONS)
        except TypeError:
            body = _encode_slowly(members)
    except Exception as error:  # noqa: BLE001 - as above
        return error_response(error)
    return Response(body=body, errors=formatted)


def error_response(error: Exception) -> Response:
    """Return the response of an operation that has no data because of this error."""
    errors = tuple(format_errors(error))
    return Response(body=encode({"data": None, "errors": errors}), errors=errors)


def encode(value: Any) -> bytes:
    """Return `value` as JSON in UTF-8; `orjson.Fragment`s in it are embedded as they are.

    Raises TypeError for what has no JSON form, and RecursionError where it is nested too deeply.
    """
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except TypeError:
        return _encode_slowly(value)


def _encode_slowly(value: Any) -> bytes:
    match value:
        case dict():
            members = (_encode_string(str(key)) + b":" + _encode_slowly(member) for key, member in value.items())
            return b"{" + b",".join(members) + b"}"
        case list() | tuple():
            return b"[" + b",".join(map(_encode_slowly, value)) + b"]"
        case str():
            return _encode_string(value)
        case int():
            return json.dumps(value).encode()
        case Decimal():
            return str(value).encode()
        case _:
            return orjson.dumps(value, option=_OPTIONS)


def _encode_string(value: str) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate: JSON can write it, in ASCII
        return json.dumps(value).encode()
