"""Completers: functions that turn the resolved values of one type into what is encoded.

graphql-core decides for each value anew what its type is and how to serialize it; here that is decided once, when the
operation is compiled. Leaves are still serialized by their own types, except for strings, ids and booleans that are
already what they have to be, ids that are UUIDs, and enum members, whose names are remembered.
"""

import enum
from functools import cache
from typing import Any, Final
from uuid import UUID

from graphql import GraphQLEnumType, GraphQLID, GraphQLScalarType, Undefined

from gateway.execution.runner import Completer, ExecutionState, InvalidValue

_PLAIN_TYPES: Final[dict[str, type]] = {"String": str, "ID": str, "Boolean": bool}


@cache
def leaf_completer(leaf_type: GraphQLScalarType | GraphQLEnumType, *, nullable: bool) -> Completer:
    """Return the completer of a scalar or an enum; all fields of the type share it."""
    coerce = leaf_type.coerce_output_value
    plain_type = _PLAIN_TYPES.get(leaf_type.name)
    names: dict[enum.Enum, str] = {}

    def complete_scalar(value: Any, _state: ExecutionState) -> Any:
        if value is None:
            return null(nullable=nullable)
        coerced = coerce(value)
        if coerced is None or coerced is Undefined:
            raise InvalidValue("The value cannot be serialized.")
        return coerced

    def complete_plain(value: Any, state: ExecutionState) -> Any:
        return value if type(value) is plain_type else complete_scalar(value, state)

    def complete_enum(value: Any, state: ExecutionState) -> Any:
        name = names.get(value)
        if name is None:
            name = complete_scalar(value, state)
            if value is not None:
                names[value] = name
        return name

    if isinstance(leaf_type, GraphQLEnumType):
        return complete_enum
    if leaf_type is GraphQLID:
        return _id_completer(complete_plain)
    return complete_scalar if plain_type is None else complete_plain


def _id_completer(complete_other: Completer) -> Completer:
    def complete_id(value: Any, state: ExecutionState) -> Any:
        return str(value) if type(value) is UUID else complete_other(value, state)

    return complete_id


def list_completer(complete_item: Completer, *, nullable: bool) -> Completer:
    def complete_list(value: Any, state: ExecutionState) -> Any:
        if value is None:
            return null(nullable=nullable)
        if not isinstance(value, list | tuple):
            raise InvalidValue("The value is not a list.")
        return [complete_item(item, state) for item in value]

    return complete_list


def abstract_completer(completers: dict[type, Completer], *, nullable: bool) -> Completer:
    """Return the completer of a union or an interface, given the completers of its types' Python classes."""

    def complete_abstract(value: Any, state: ExecutionState) -> Any:
        if value is None:
            return null(nullable=nullable)
        complete = completers.get(type(value))
        if complete is None:
            raise InvalidValue("The value is none of the possible types.")
        return complete(value, state)

    return complete_abstract


def null(*, nullable: bool) -> None:
    """Complete null. Raises InvalidValue where the type does not allow it."""
    if not nullable:
        raise InvalidValue("The value of a non-null type is null.")
