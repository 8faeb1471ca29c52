"""Resolvers get the arguments that Strawberry would give them: compared for random arguments of every field."""

from typing import Any, cast

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    Undefined,
    coerce_input_value,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from strawberry.types.arguments import convert_arguments

from gateway.execution.resolvers import argument_converter
from gateway.execution.strawberry_fields import strawberry_definition
from gateway.schema.schema import build_schema

STRAWBERRY_SCHEMA = build_schema()
SCHEMA = STRAWBERRY_SCHEMA._schema
FIELDS = {
    f"{name}.{key}": field
    for name, named in SCHEMA.type_map.items()
    if isinstance(named, GraphQLObjectType) and strawberry_definition(named) is not None
    for key, field in named.fields.items()
    if field.args
}
LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "ID": st.text(max_size=3),
    "String": st.text(max_size=3),
    "Int": st.integers(0, 9),
    "Boolean": st.booleans(),
    "DateTime": st.just("2026-01-31T12:00:00Z"),
    "JSON": st.integers() | st.dictionaries(st.text(max_size=2), st.lists(st.integers(), max_size=2)),
}


def values(input_type: GraphQLInputType) -> st.SearchStrategy[Any]:
    """Return the values that a caller may send as a variable of this type."""
    if isinstance(input_type, GraphQLNonNull):
        return not_null(input_type.of_type)
    return st.none() | not_null(input_type)


def not_null(input_type: GraphQLInputType) -> st.SearchStrategy[Any]:
    match input_type:
        case GraphQLList(of_type=item_type):
            return st.lists(values(item_type), max_size=3)
        case GraphQLEnumType():
            return st.sampled_from(sorted(input_type.values))
        case GraphQLInputObjectType(fields=fields) if strawberry_definition(input_type).is_one_of:
            return st.sampled_from(sorted(fields)).flatmap(
                lambda name: st.fixed_dictionaries({name: not_null(fields[name].type)})
            )
        case GraphQLInputObjectType():
            needed = {name: values(field.type) for name, field in input_type.fields.items() if required(field.type)}
            rest = {name: values(field.type) for name, field in input_type.fields.items() if not required(field.type)}
            return st.fixed_dictionaries(needed, optional=rest)
        case _:
            return LEAVES[cast("Any", input_type).name]


def required(input_type: GraphQLInputType) -> bool:
    return isinstance(input_type, GraphQLNonNull)


@pytest.mark.parametrize("name", FIELDS)
@settings(max_examples=25)
@given(data=st.data())
def test_resolver_gets_what_strawberry_would_give_it(name: str, data: st.DataObject) -> None:
    field: GraphQLField = FIELDS[name]
    definition = strawberry_definition(field)
    coerced = {}
    for argument, given_argument in field.args.items():
        value = data.draw(
            values(given_argument.type) | (st.nothing() if required(given_argument.type) else st.just(Undefined))
        )
        if value is not Undefined:
            coerced[argument] = coerce_input_value(value, given_argument.type)
    converter = STRAWBERRY_SCHEMA.schema_converter
    expected = convert_arguments(coerced, definition.arguments, converter.scalar_registry, converter.config)
    convert = argument_converter(SCHEMA, field, definition)
    converted = coerced if convert is None else convert(coerced)
    assert converted == expected
    assert list(map(type, converted.values())) == list(map(type, expected.values()))
