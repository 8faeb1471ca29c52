"""How the resolver of a field is called.

Its literal arguments are coerced once, and in each run only variables are put into their places. They are renamed, and
inputs become objects, as Strawberry does it.

graphql-core coerces the literals of a field anew in each run, which takes 25 us of a page that is filtered and sized by
variables. What is not plainly right is left to it, so that the errors are its own.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, TypeVar, cast

from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    ListValueNode,
    ObjectValueNode,
    Undefined,
    ValueNode,
    VariableNode,
    get_nullable_type,
    print_ast,
)
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.values import VariableValues, get_argument_values
from graphql.utilities.coerce_input_value import coerce_input_literal
from strawberry.schema.name_converter import NameConverter
from strawberry.types.field import StrawberryField

from gateway.execution.selections import Selections, needed_parts
from gateway.execution.state import ExecutionState, Resolver
from gateway.execution.strawberry_fields import (
    ExpectedFailures,
    expected_failures,
    is_called_directly,
    schema_converter,
    strawberry_definition,
)
from gateway.execution.variables import MISSING, default_of
from gateway.schema.context import FieldInfo

Result = TypeVar("Result")
Convert = Callable[[Any], Any]
"""Converts a value that is not null."""
_Read = Callable[[Mapping[str, Any]], Any]
"""Returns a value, given the coerced variables. Raises _Unclear."""


class _Unclear(Exception):
    """graphql-core has to coerce the arguments, and perhaps to refuse them."""


def resolver(
    selections: Selections, parent_type: GraphQLObjectType, field: GraphQLField, details: list[FieldDetails]
) -> Resolver:
    """Return a function that calls a field's resolver; its arguments are made once in a run.

    A direct call is what Strawberry would do after having worked out how to call the resolver. Equal fields, as
    aliases are, share the arguments.
    """
    definition, node = strawberry_definition(field), details[0].node
    direct = is_called_directly(definition)
    call = cast("Callable[..., Any]", definition.base_resolver.wrapped_func if direct else field.resolve)
    convert = argument_converter(selections.schema, field, definition) if direct else None
    info_parameter = definition.base_resolver.info_parameter if direct else None
    failures = expected_failures(selections.schema, definition) if direct else ()
    read = _arguments_reader(field, node)
    parts = needed_parts(selections, field, details)
    written = (parent_type.name, node.name.value, *(print_ast(argument) for argument in node.arguments or ()))

    def bind(state: ExecutionState) -> tuple[tuple[Any, ...], dict[str, Any]]:
        arguments: dict[str, Any] | None = state.arguments.get(written) if field.args else {}
        if arguments is None:
            arguments = read(state.variable_values)
            if convert is not None:
                arguments = convert(arguments)
            state.arguments[written] = arguments
        if not direct:
            return (selections.info(parent_type, field, details, state),), arguments
        if info_parameter is not None:
            info = FieldInfo(_raw_info=cast("Any", state), _field=definition, parts=parts)
            arguments = {**arguments, info_parameter.name: info}
        return (), arguments

    def resolve(source: Any, state: ExecutionState) -> Any:
        bound = state.arguments.get(resolve)
        if bound is None:
            bound = state.arguments[resolve] = bind(state)
        result = call(source, *bound[0], **bound[1])
        return _with_expected_failures(result, failures) if failures else result

    return resolve


async def _with_expected_failures(result: Awaitable[Result], failures: ExpectedFailures) -> Result:
    """Return the result, or the member of the union that an expected failure is."""
    try:
        return await result
    except Exception as error:
        for types, handler in failures:
            if isinstance(error, types):
                return cast("Result", handler.handle(error))
        raise


def _arguments_reader(field: GraphQLField, node: FieldNode) -> Callable[[VariableValues], dict[str, Any]]:
    """Return a function from the variables to the coerced arguments, equal to graphql-core's `get_argument_values`."""
    try:
        read_members = _members_reader(
            field.args, {argument.name.value: argument.value for argument in node.arguments or ()}
        )
    except Exception:  # noqa: BLE001 - a literal that is refused; the field's error is raised in each run
        return lambda values: get_argument_values(field, node, values)

    def read(values: VariableValues) -> dict[str, Any]:
        try:
            return read_members(values.coerced)
        except _Unclear:
            return get_argument_values(field, node, values)

    return read


def _members_reader(
    definitions: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField], nodes: Mapping[str, ValueNode]
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return the reader of arguments or of an input's fields, those left out whose default is known included."""
    constants, variables, others = _members(definitions, nodes)

    def read_members(given: Mapping[str, Any]) -> dict[str, Any]:
        members = constants.copy()
        for name, variable, nullable, missing in variables:
            value = given.get(variable, missing)
            if value is Undefined or (value is None and not nullable):
                raise _Unclear
            if value is not MISSING:
                members[name] = value
        for name, read in others:
            members[name] = read(given)
        return members

    return read_members


def _members(
    definitions: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField], nodes: Mapping[str, ValueNode]
) -> tuple[dict[str, Any], list[tuple[str, str, bool, Any]], list[tuple[str, _Read]]]:
    """Return the values that are known; the members that are variables, and the readers of the others.

    Of a variable: its name, whether it may be null, and what is read where it has no value.
    """
    constants: dict[str, Any] = {}
    variables: list[tuple[str, str, bool, Any]] = []
    others: list[tuple[str, _Read]] = []
    for name, definition in definitions.items():
        node, out_name, default = nodes.get(name), definition.out_name or name, default_of(definition)
        if isinstance(node, VariableNode):
            nullable = not isinstance(definition.type, GraphQLNonNull)
            variables.append((out_name, node.name.value, nullable, default))
        elif node is not None:
            others.append((out_name, _reader(node, definition.type)))
        elif default is Undefined:
            raise _Unclear
        elif default is not MISSING:
            constants[out_name] = default
    return constants, variables, others


def _reader(node: ValueNode, input_type: GraphQLInputType) -> _Read:
    """Return the reader of a value. Raises _Unclear, or the error of a literal."""
    if isinstance(node, VariableNode):
        name, nullable = node.name.value, not isinstance(input_type, GraphQLNonNull)

        def read(variables: Mapping[str, Any]) -> Any:
            value = variables.get(name, Undefined)
            if value is Undefined or (value is None and not nullable):
                raise _Unclear
            return value

        return read
    if not _has_variables(node):
        constant = coerce_input_literal(node, input_type)
        if constant is Undefined:
            raise _Unclear
        return lambda _variables: constant
    match node, get_nullable_type(input_type):
        case ListValueNode(), GraphQLList(of_type=item_type):
            readers = [_reader(item, item_type) for item in node.values]
            return lambda variables: [read(variables) for read in readers]
        case ObjectValueNode(), GraphQLInputObjectType() as object_type:
            return _object_reader(node, object_type)
        case _:
            raise _Unclear


def _object_reader(node: ObjectValueNode, object_type: GraphQLInputObjectType) -> _Read:
    read_members = _members_reader(object_type.fields, {member.name.value: member.value for member in node.fields})
    is_one_of = object_type.is_one_of

    def read(variables: Mapping[str, Any]) -> Any:
        values = read_members(variables)
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


def argument_converter(
    schema: GraphQLSchema, field: GraphQLField, definition: StrawberryField
) -> Callable[[Mapping[str, Any]], dict[str, Any]] | None:
    """Return a function from a field's coerced arguments to its resolver's, in which inputs are objects.

    None where they are the same.
    """
    names = schema_converter(schema).config.name_converter
    arguments = [
        (name := names.from_argument(argument), argument.python_name, _converter(field.args[name].type, names))
        for argument in definition.arguments
    ]
    if all(name == python_name and convert is None for name, python_name, convert in arguments):
        return None
    return _members_converter(arguments, dict, {})


def _members_converter(
    members: list[tuple[str, str, Convert | None]], make: Callable[..., Result], missing: Mapping[str, Any]
) -> Callable[[Mapping[str, Any]], Result]:
    """Return a function that renames the values that are given, converts those of lists and inputs, and calls `make`.

    `missing` are the values of those that are not given.
    """

    def convert_members(coerced: Mapping[str, Any]) -> Result:
        values = {**missing}
        for name, python_name, convert in members:
            if name in coerced:
                value = coerced[name]
                values[python_name] = value if convert is None or value is None else convert(value)
        return make(**values)

    return convert_members


def _converter(input_type: GraphQLInputType, names: NameConverter) -> Convert | None:
    """Return the converter of a type; None where resolvers take the coerced value, as that of a scalar."""
    match get_nullable_type(input_type):
        case GraphQLList(of_type=item_type):
            convert = _converter(item_type, names)
            if convert is None:
                return list  # a copy: graphql-core returns the same default to all
            return lambda items: [None if item is None else convert(item) for item in items]
        case GraphQLInputObjectType() as object_type:
            return _object_converter(object_type, names)
    return None


@cache
def _object_converter(object_type: GraphQLInputObjectType, names: NameConverter) -> Convert:
    definition = strawberry_definition(object_type)
    fields = [(names.from_field(field), field) for field in definition.fields]
    members = [(name, field.python_name, _converter(object_type.fields[name].type, names)) for name, field in fields]
    # Strawberry's own default of an optional field that states none.
    missing = {
        field.python_name: None
        for _, field in fields
        if field.default_value is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    return _members_converter(members, definition.origin, missing)
