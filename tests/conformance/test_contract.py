"""The schema against the published contract and against schema.graphql."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    Undefined,
    build_schema,
    introspection_types,
    is_required_argument,
    is_required_input_field,
    specified_scalar_types,
)

from gateway.schema.schema import print_sdl

CONTRACT = Path(__file__).with_name("contract.graphql")
KEPT = Path(__file__).parents[2] / "schema.graphql"


def test_schema_graphql_is_what_the_code_prints() -> None:
    """Where it is not, `gateway schema > schema.graphql`."""
    assert KEPT.read_text(encoding="utf-8") == print_sdl()


def test_schema_has_everything_of_the_contract() -> None:
    promised, kept = (set(facts(schema)) for schema in (contract(), served()))
    assert promised - kept == set()


def test_additions_to_the_contract_require_nothing_of_older_clients() -> None:
    added = set(demands(served())) - set(demands(contract()))
    known = {fact.partition(":")[0] for fact in facts(contract())} | contract().type_map.keys()
    assert {demand for demand in added if demand.partition("(")[0] in known} == set()


def test_nothing_is_deprecated() -> None:
    assert "@deprecated" not in print_sdl()


def test_everything_has_a_description() -> None:
    found = dict(descriptions(served()))
    assert {place for place, text in found.items() if not text} == set()
    assert {place: text for place, text in found.items() if text and not text.endswith(".")} == {}


def contract() -> GraphQLSchema:
    return build_schema(CONTRACT.read_text(encoding="utf-8"))


def served() -> GraphQLSchema:
    return build_schema(print_sdl())


def own_types(schema: GraphQLSchema) -> Iterable[GraphQLNamedType]:
    built_in = {*specified_scalar_types, *introspection_types}
    return [named for name, named in schema.type_map.items() if name not in built_in]


def facts(schema: GraphQLSchema) -> Iterator[str]:
    """Yield a line for everything that clients can rely on."""
    for named in own_types(schema):
        yield f"{named.ast_node.kind if named.ast_node else '?'} {named.name}"
        match named:
            case GraphQLObjectType() | GraphQLInterfaceType():
                yield from (f"{named.name} implements {interface.name}" for interface in named.interfaces)
                for name, field in named.fields.items():
                    yield f"{named.name}.{name}: {field.type}"
                    yield from (given(f"{named.name}.{name}", *argument) for argument in field.args.items())
            case GraphQLInputObjectType():
                yield f"{named.name} is one of: {named.is_one_of}"
                yield from (given(named.name, *field) for field in named.fields.items())
            case GraphQLEnumType():
                yield from (f"{named.name}.{value}" for value in named.values)
            case GraphQLUnionType():
                yield from (f"{named.name} may be {member.name}" for member in named.types)


def descriptions(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    for named in own_types(schema):
        yield named.name, named.description
        match named:
            case GraphQLObjectType() | GraphQLInterfaceType():
                for name, field in named.fields.items():
                    yield f"{named.name}.{name}", field.description
                    for argument_name, argument in field.args.items():
                        yield f"{named.name}.{name}({argument_name})", argument.description
            case GraphQLInputObjectType():
                yield from ((f"{named.name}({name})", field.description) for name, field in named.fields.items())
            case GraphQLEnumType():
                yield from ((f"{named.name}.{name}", value.description) for name, value in named.values.items())


def given(place: str, name: str, value: GraphQLArgument | GraphQLInputField) -> str:
    """Describe an argument or input field: its type and default."""
    default: Any = value.default_value
    return f"{place}({name}: {value.type}{'' if default is Undefined else f' = {default}'})"


def demands(schema: GraphQLSchema) -> Iterator[str]:
    """Yield the required arguments and input fields."""
    for named in own_types(schema):
        match named:
            case GraphQLObjectType() | GraphQLInterfaceType():
                for field_name, field in named.fields.items():
                    required = (name for name, argument in field.args.items() if is_required_argument(argument))
                    yield from (f"{named.name}.{field_name}({name})" for name in required)
            case GraphQLInputObjectType():
                required = (name for name, field in named.fields.items() if is_required_input_field(field))
                yield from (f"{named.name}({name})" for name in required)
