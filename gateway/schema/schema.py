"""The whole schema."""

from functools import cache
from typing import cast

import strawberry
from graphql import (
    GraphQLArgument,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    Undefined,
    get_named_type,
    get_nullable_type,
)
from strawberry.schema.config import StrawberryConfig

from gateway.schema.errors import ERROR_MAPPERS
from gateway.schema.events import EVENT_TYPES, resolve_event
from gateway.schema.mutations import Mutation
from gateway.schema.queries import Query
from gateway.schema.scalars import SCALARS
from gateway.schema.subscriptions import Subscription


@cache  # takes 50 ms, and nothing changes a schema that is built
def build_schema() -> strawberry.Schema:
    """Return the schema that the gateway serves and `gateway schema` prints."""
    schema = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=EVENT_TYPES,
        exception_handlers=ERROR_MAPPERS,
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    types = schema._schema.type_map  # noqa: SLF001 - Strawberry has no public name for it
    for field in cast("GraphQLObjectType", types["Subscription"]).fields.values():
        field.resolve = resolve_event
    for field in cast("GraphQLObjectType", types["Mutation"]).fields.values():
        field.args["input"].description = get_named_type(field.args["input"].type).description
    for named in types.values():
        _make_nullable(named)
        _omit_defaults_of_null(named)
    return schema


def _make_nullable(named: GraphQLNamedType) -> None:
    """Make the fields nullable that can fail by themselves: all of Query and Mutation, and all connections.

    A non-null field that fails takes its siblings with it: the results of mutations that were committed, and pages.
    """
    if isinstance(named, GraphQLObjectType | GraphQLInterfaceType):
        for field in named.fields.values():
            if named.name in {"Query", "Mutation"} or get_named_type(field.type).name.endswith("Connection"):
                field.type = get_nullable_type(field.type)


def _omit_defaults_of_null(named: GraphQLNamedType) -> None:
    """Leave out of the SDL what an optional argument or input field has anyway; Strawberry states it as `= null`."""
    places: list[GraphQLArgument | GraphQLInputField] = []
    if isinstance(named, GraphQLInputObjectType):
        places += named.fields.values()
    elif isinstance(named, GraphQLObjectType | GraphQLInterfaceType):
        places += (argument for field in named.fields.values() for argument in field.args.values())
    for place in places:
        if place.default_value is None:
            place.default_value = Undefined


def print_sdl() -> str:
    """Print the schema as SDL, ending in a newline."""
    return build_schema().as_str().rstrip() + "\n"
