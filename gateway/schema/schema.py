"""The whole schema."""

from typing import cast

import strawberry
from graphql import GraphQLObjectType, get_named_type
from strawberry.schema.config import StrawberryConfig

from gateway.schema.errors import ERROR_MAPPERS
from gateway.schema.events import EVENT_TYPES, resolve_event
from gateway.schema.mutations import Mutation
from gateway.schema.queries import Query
from gateway.schema.scalars import SCALARS
from gateway.schema.subscriptions import Subscription


def build_schema() -> strawberry.Schema:
    """Build the schema that the gateway serves and `gateway schema` prints."""
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
    return schema


def print_sdl() -> str:
    """Print the schema as SDL, ending in a newline."""
    return build_schema().as_str().rstrip() + "\n"
