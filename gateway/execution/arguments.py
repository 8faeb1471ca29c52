"""The arguments of a field: literals are coerced once, and in each run only variables are put into their places.

graphql-core coerces the literals of a field anew in each run, which takes 25 us of a page that is filtered and sized by
variables. What is not plainly right is left to it, so that the errors are its own.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    ListValueNode,
    ObjectValueNode,
    Undefined,
    ValueNode,
    VariableNode,
    get_nullable_type,
    is_required_argument,
    is_required_input_field,
)
from graphql.execution.values import VariableValues, get_argument_values
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal

_Read = Callable[[Mapping[str, Any]], Any]
"""Returns a value, given the coerced variables. Raises _Unclear."""
_Members = list[tuple[str, _Read]]


class _Unclear(Exception):
    """graphql-core has to coerce the arguments, and perhaps to refuse them."""


_MISSING: Final = object()
"""An optional member is a variable that has no value."""


def arguments_reader(field: GraphQLField, node: FieldNode) -> Callable[[VariableValues], dict[str, Any]]:
    """Return a function from the variables to the coerced arguments, equal to graphql-core's `get_argument_values`."""
    try:
        members = _members(field.args, {argument.name.value: argument.value for argument in node.arguments or ()})
    except Exception:  # noqa: BLE001 - a literal that is refused; the field's error is raised in each run
        return lambda values: get_argument_values(field, node, values)

    def read(values: VariableValues) -> dict[str, Any]:
        try:
            return _read_members(members, values.coerced)
        except _Unclear:
            return get_argument_values(field, node, values)

    return read


def _read_members(members: _Members, variables: Mapping[str, Any]) -> dict[str, Any]:
    values = {}
    for name, read in members:
        value = read(variables)
        if value is not _MISSING:
            values[name] = value
    return values


def _members(
    definitions: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField], given: Mapping[str, ValueNode]
) -> _Members:
    """Return the readers of arguments or of an input's fields, those left out whose default is known included."""
    members: _Members = []
    for name, definition in definitions.items():
        default, node = coerce_default_value(definition), given.get(name)
        if node is not None:
            members.append((definition.out_name or name, _member_reader(definition, node, default)))
        elif default is not Undefined:
            members.append((definition.out_name or name, _constant(default)))
        elif _is_required(definition):
            raise _Unclear
    return members


def _is_required(definition: GraphQLArgument | GraphQLInputField) -> bool:
    if isinstance(definition, GraphQLArgument):
        return is_required_argument(definition)
    return is_required_input_field(definition)


def _member_reader(definition: GraphQLArgument | GraphQLInputField, node: ValueNode, default: Any) -> _Read:
    if not isinstance(node, VariableNode):
        return _reader(node, definition.type)
    missing = _MISSING if default is Undefined else default
    return _variable_reader(
        node.name.value,
        nullable=not isinstance(definition.type, GraphQLNonNull),
        missing=Undefined if _is_required(definition) else missing,
    )


def _reader(node: ValueNode, input_type: GraphQLInputType) -> _Read:
    """Return the reader of a value. Raises _Unclear, or the error of a literal."""
    if isinstance(node, VariableNode):
        return _variable_reader(node.name.value, nullable=not isinstance(input_type, GraphQLNonNull))
    if not _has_variables(node):
        constant = coerce_input_literal(node, input_type)
        if constant is Undefined:
            raise _Unclear
        return _constant(constant)
    match node, get_nullable_type(input_type):
        case ListValueNode(), GraphQLList(of_type=item_type):
            readers = [_reader(item, item_type) for item in node.values]
            return lambda variables: [read(variables) for read in readers]
        case ObjectValueNode(), GraphQLInputObjectType() as object_type:
            return _object_reader(node, object_type)
        case _:
            raise _Unclear


def _constant(value: Any) -> _Read:
    return lambda _variables: value


def _variable_reader(name: str, *, nullable: bool, missing: Any = Undefined) -> _Read:
    """Return the reader of a variable; `missing` is read where it has no value, and Undefined is unclear."""

    def read(variables: Mapping[str, Any]) -> Any:
        value = variables.get(name, missing)
        if value is Undefined or (value is None and not nullable):
            raise _Unclear
        return value

    return read


def _object_reader(node: ObjectValueNode, object_type: GraphQLInputObjectType) -> _Read:
    given = {member.name.value: member.value for member in node.fields}
    members, is_one_of = _members(object_type.fields, given), object_type.is_one_of

    def read(variables: Mapping[str, Any]) -> Any:
        values = _read_members(members, variables)
        if is_one_of and (len(values) != 1 or None in values.values()):
            raise _Unclear
        return object_type.out_type(values)

    return read


def _has_variables(node: ValueNode) -> bool:
    match node:
        case VariableNode():
            return True
        case ListValueNode():
            return any(map(_has_variables, node.values))
        case ObjectValueNode():
            return any(_has_variables(member.value) for member in node.fields)
        case _:
            return False
