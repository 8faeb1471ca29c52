"""What Strawberry knows of the schema's fields, asked once for each document.

Strawberry works out for each value anew of which type it is, what the fields of inputs are called, and which exceptions
are members of the result. Of a metadata write over HTTP that took 90 us of 780; what `arguments` and `compiler` make of
it takes 7.
"""

from typing import Any, cast

from graphql import GraphQLField, GraphQLInputObjectType, GraphQLObjectType, GraphQLSchema
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

ExpectedFailures = tuple[tuple[tuple[type[Exception], ...], Any], ...]
"""Exceptions that are members of a field's union, each with its handler: an ErrorMapper."""


def strawberry_definition(element: GraphQLField | GraphQLObjectType | GraphQLInputObjectType) -> Any:
    """Return the Strawberry definition of a field or a type; None for introspection."""
    return element.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)


def is_called_directly(definition: StrawberryField | None) -> bool:
    """Return whether Strawberry would only convert the arguments, call the resolver, and map expected failures."""
    resolver = definition and definition.base_resolver
    return bool(definition and resolver and not definition.extensions and resolver.self_parameter)


def expected_failures(schema: GraphQLSchema, definition: StrawberryField) -> ExpectedFailures:
    """Return the exceptions that the field returns as members of its union."""
    found = schema_converter(schema)._get_field_exception_handlers(definition)  # noqa: SLF001 - there is no public name
    if found and not definition.is_async:
        raise TypeError(f"{definition.python_name} has expected failures, and has to be async")
    return found


def schema_converter(schema: GraphQLSchema) -> GraphQLCoreConverter:
    """Return what has made the types of the schema."""
    return cast("GraphQLCoreConverter", schema._strawberry_schema.schema_converter)  # type: ignore[attr-defined]  # noqa: SLF001
