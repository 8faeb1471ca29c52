"""What Strawberry knows of the schema's fields, asked once for each document.

Strawberry works out for each value anew of which type it is, what the fields of inputs are called, and which exceptions
are members of the result. Of a metadata write over HTTP that took 90 us of 780; what `resolvers` makes of it
takes 7.
"""

from collections.abc import Mapping
from typing import Any, cast

from graphql import GraphQLField, GraphQLInputObjectType, GraphQLObjectType, GraphQLSchema
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

from gateway.usecases.rows import NamesOf, Reference, RowsOf

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


def attribute_of(field: GraphQLField) -> str | None:
    """Return the name of the source's attribute that the field is; None where it has a resolver."""
    definition = strawberry_definition(field)
    return definition.python_name if definition is not None and definition.is_basic_field else None


def reference_of(field: GraphQLField) -> Reference | None:
    """Return what the field's resolver only looks up, its attribute `reference`; None where it does anything else."""
    definition = strawberry_definition(field)
    resolver = definition and definition.base_resolver
    return getattr(resolver.wrapped_func, "reference", None) if resolver else None


def names_of(parent_type: GraphQLObjectType, field: GraphQLField) -> NamesOf | None:
    """Return what sources may have of what the field refers to: what its parent's class calls `names`."""
    found: Mapping[str, NamesOf] = getattr(strawberry_definition(parent_type).origin, "names", {})
    return found.get(strawberry_definition(field).python_name)


def rows_of(parent_type: GraphQLObjectType, field: GraphQLField) -> RowsOf | None:
    """Return where the rows are of which the field's objects are made: what its parent's class calls `rows`."""
    definition = strawberry_definition(parent_type)
    return None if definition is None else getattr(definition.origin, "rows", {}).get(attribute_of(field))


def has_rows(object_type: GraphQLObjectType) -> bool:
    """Return whether any field of the type has rows."""
    definition = strawberry_definition(object_type)
    return definition is not None and hasattr(definition.origin, "rows")


def possible_types(schema: GraphQLSchema, abstract_type: Any) -> dict[type, GraphQLObjectType]:
    """Return the types of an interface or a union, by the classes of the objects that each describes.

    That is a type's own class, unless it names another one.
    """
    types = schema.get_possible_types(abstract_type)
    origins = [(strawberry_definition(possible).origin, possible) for possible in types]
    return {getattr(origin, "source_type", origin): possible for origin, possible in origins}


def schema_converter(schema: GraphQLSchema) -> GraphQLCoreConverter:
    """Return what has made the types of the schema."""
    return cast("GraphQLCoreConverter", schema._strawberry_schema.schema_converter)  # type: ignore[attr-defined]  # noqa: SLF001
