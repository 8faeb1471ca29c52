"""The scalars of the schema: times, any JSON value, and ids, which are UUIDs."""

import enum
from datetime import UTC, datetime
from typing import Any, NewType
from uuid import UUID

import strawberry
from asyncpg.pgproto.pgproto import UUID as DriverUUID  # noqa: N811 - a subclass of uuid.UUID
from graphql import (
    BooleanValueNode,
    FloatValueNode,
    GraphQLError,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
    VariableNode,
)
from orjson import Fragment

from gateway.domain.errors import BadUserInput
from gateway.domain.json_text import read_integer, read_number
from gateway.domain.text import UUID_FORM

JsonValue = NewType("JsonValue", object)
"""Any JSON value: a JsonText in results, Python objects in arguments."""


class JsonText(str):
    """A JSON value as its text."""

    __slots__ = ()


def parse_uuid(value: str, *, argument: str) -> UUID:
    """Parse an id, as a UUID of the class that rows have, which takes 0.2 us instead of 2.2.

    Raises:
        BadUserInput: It is not a UUID.
    """
    if UUID_FORM.fullmatch(value) is None:
        raise BadUserInput(
            f"{argument} must be a UUID, such as 7d444840-9dc0-11d1-b245-5ffdce74fad2.", argument=argument
        )
    return DriverUUID(value)


def parse_optional_uuid(value: str | None, *, argument: str) -> UUID | None:
    """Parse an id that may be left out. Raises BadUserInput."""
    return None if value is None else parse_uuid(value, argument=argument)


def _json_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:  # noqa: PLR0911 - one for each
    match node:
        case StringValueNode() | BooleanValueNode():
            return node.value
        case NullValueNode():
            return None
        case IntValueNode():
            return read_integer(node.value)
        case FloatValueNode():
            return read_number(node.value)
        case ListValueNode():
            return [_json_literal(value, variables) for value in node.values]
        case ObjectValueNode():
            # A member whose variable has no value is left out, as in any input object: a null would delete a key.
            given = [field for field in node.fields if not _is_missing(field.value, variables)]
            return {field.name.value: _json_literal(field.value, variables) for field in given}
        case VariableNode():
            return _uncoerced((variables or {}).get(node.name.value))
        case _:
            raise GraphQLError("An enum value is no JSON; write it as a string.", node)


def _is_missing(node: ValueNode, variables: dict[str, Any] | None) -> bool:
    return isinstance(node, VariableNode) and node.name.value not in (variables or {})


def _uncoerced(value: Any) -> Any:
    """Return the JSON that the caller sent for a variable, whose value was coerced to the variable's declared type."""
    match value:
        case enum.Enum():
            return value.name
        case datetime():
            return _in_utc(value).isoformat()[: -len("+00:00")] + "Z"
        case list():
            return [_uncoerced(item) for item in value]
        case dict():
            return {name: _uncoerced(member) for name, member in value.items()}
        case _:
            return value


def _in_utc(value: datetime) -> datetime:
    """Return the time in UTC, as which the encoder of the response writes it: in 0.1 us, where `isoformat` takes 2."""
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def _parsed_date_time(value: object) -> datetime:
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) and "T" in value.upper() else None
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise GraphQLError("A DateTime is an RFC 3339 time with its zone, such as 2026-01-31T12:00:00Z.")
    try:
        return parsed.astimezone(UTC)
    except OverflowError:
        raise GraphQLError("This DateTime is outside the years 1 to 9999.") from None


SCALARS: dict[object, Any] = {
    JsonValue: strawberry.scalar(
        name="JSON",
        description="Any JSON value. Numbers are kept as written: large integers keep all digits, and 1.0 stays 1.0.",
        specified_by_url="https://datatracker.ietf.org/doc/html/rfc8259",
        serialize=lambda value: Fragment(str(value)) if isinstance(value, JsonText) else value,
        parse_value=lambda value: value,
        parse_literal=_json_literal,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="A time in UTC with microseconds in the format of RFC 3339, such as 2026-01-31T12:00:00.123456Z.",
        specified_by_url="https://datatracker.ietf.org/doc/html/rfc3339",
        serialize=_in_utc,
        parse_value=_parsed_date_time,
    ),
}
