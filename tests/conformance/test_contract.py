"""The schema against the published contract and against schema.graphql."""

from collections import defaultdict
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
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    Undefined,
    build_schema,
    get_named_type,
    introspection_types,
    is_abstract_type,
    is_non_null_type,
    is_required_argument,
    is_required_input_field,
    specified_scalar_types,
)

from gateway.cli.schema import breaking_changes
from gateway.schema.schema import print_sdl

CONTRACT = Path(__file__).with_name("contract.graphql")
KEPT = Path(__file__).parents[2] / "schema.graphql"
RELEASED = Path(__file__).parents[1] / "released_schema.graphql"


def test_schema_graphql_is_what_the_code_prints() -> None:
    """Where it is not, `gateway schema > schema.graphql`."""
    assert KEPT.read_text(encoding="utf-8") == print_sdl()


def test_schema_breaks_no_client_of_the_last_release() -> None:
    """At a release, `gateway schema > tests/released_schema.graphql`; until the first one, at every change."""
    breaking = breaking_changes(RELEASED.read_text(encoding="utf-8"), print_sdl())
    assert breaking == [], "Deprecate instead: .github/CONTRIBUTING.md, Change or remove what was released"


def test_schema_has_everything_of_the_contract() -> None:
    promised, kept = (set(facts(schema)) for schema in (contract(), served()))
    assert promised - kept == set()


def test_a_result_is_the_object_then_its_errors_as_in_the_contract() -> None:
    promised, kept = (members_of_unions(schema) for schema in (contract(), served()))
    assert {name: [each for each in kept[name] if each in promised[name]] for name in promised} == promised
    assert all("InvalidInput" in members for members in kept.values())


def members_of_unions(schema: GraphQLSchema) -> dict[str, list[str]]:
    unions = [named for named in own_types(schema) if isinstance(named, GraphQLUnionType)]
    return {union.name: [member.name for member in union.types] for union in unions}


def test_additions_to_the_contract_require_nothing_of_older_clients() -> None:
    added = set(demands(served())) - set(demands(contract()))
    known = {fact.partition(":")[0] for fact in facts(contract())} | contract().type_map.keys()
    assert {demand for demand in added if demand.partition("(")[0] in known} == set()


def test_what_can_fail_by_itself_is_nullable() -> None:
    """So that a failing field takes no result of a committed mutation, and no other list of a page, with it."""
    fields = [
        (f"{named.name}.{name}", field)
        for named in own_types(served())
        if isinstance(named, GraphQLObjectType | GraphQLInterfaceType)
        for name, field in named.fields.items()
        if named.name in {"Query", "Mutation"} or get_named_type(field.type).name.endswith("Connection")
    ]
    assert {place for place, field in fields if is_non_null_type(field.type)} == set()


def test_fields_of_one_name_have_one_type_among_the_members_of_a_union_or_interface() -> None:
    """So that clients may select them beside each other, and code generators merge them."""
    schema = served()
    differing = {
        f"{named.name}.{name}": types
        for named in own_types(schema)
        if is_abstract_type(named)
        for name, types in types_of_fields(schema.get_possible_types(named)).items()
        if len(types) > 1
    }
    assert differing == {}


def types_of_fields(members: Iterable[GraphQLObjectType]) -> dict[str, set[str]]:
    found = defaultdict[str, set[str]](set)
    for member in members:
        for name, field in member.fields.items():
            found[name].add(str(field.type))
    return found


def test_objects_with_an_id_are_nodes() -> None:
    """A cache that knows an object by its id alone must not take another type's for it."""
    objects = [named for named in own_types(served()) if isinstance(named, GraphQLObjectType)]
    interfaces = {named.name: {interface.name for interface in named.interfaces} for named in objects}
    identified = {named.name for named in objects if "id" in named.fields}
    assert {name for name in identified if "Node" not in interfaces[name]} == set()


def test_no_optional_input_has_a_default_of_null() -> None:
    assert "= null" not in print_sdl()


def test_scalars_name_their_specification() -> None:
    scalars = [named for named in own_types(served()) if isinstance(named, GraphQLScalarType)]
    assert {scalar.name: scalar.specified_by_url for scalar in scalars} == {
        "DateTime": "https://datatracker.ietf.org/doc/html/rfc3339",
        "JSON": "https://datatracker.ietf.org/doc/html/rfc8259",
    }


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
