"""Coerced variables are those of graphql-core: their values, their sources, and the errors of wrong ones."""

from decimal import Decimal
from itertools import product
from typing import Any, Final

import pytest
from graphql import OperationDefinitionNode, build_schema, get_variable_values, is_input_type, parse
from graphql.execution.values import VariableValues

from gateway.execution.errors import InvalidDocument
from gateway.execution.variables import Variables
from gateway.schema.schema import build_schema as build_gateway_schema

SCHEMA: Final = build_schema("""
    type Query { a(float: Float, id: ID): Int }
    enum Colour { RED BLUE }
    scalar Any
    input Point { x: Int!, y: Int = 7, colour: Colour, next: Point, labels: [String!] }
    input Choice @oneOf { id: ID, name: String }
""")
NAMED: Final = ["ID", "String", "Int", "Float", "Boolean", "Colour", "Any", "Point", "Choice"]
TYPES: Final = [form.format(name) for name in NAMED for form in ("{}", "{}!", "[{}]", "[{}!]!", "[[{}]]")]
DEFAULTS: Final = ["Int = 3", "[ID!]! = [1]", "Point = {x: 1}"]
MISSING: Final = object()
NESTED: dict[str, Any] = {"x": 1}
for _ in range(600):
    NESTED = {"x": 1, "next": NESTED}
VALUES: Final[tuple[Any, ...]] = (
    *(MISSING, None, "", "text", "RED", "GREEN", "\ud800", 0, -1, 2**31 - 1, 2**31, True, False, 1.0, 1.5),
    *(Decimal("1.0"), Decimal("1e400"), float("nan"), [], ["a"], ["a", None], ["RED", "BLUE"], [1, "a"], [[1], [None]]),
    *([[["a"]]], {}, {"x": 1}, {"x": 1, "y": None}, {"x": "1"}, {"x": 1, "z": 2}, {"x": 1, "labels": "one"}),
    *({"x": 1, "next": {"x": None}}, [{"x": 1}], {"id": "1"}, {"id": "1", "name": "a"}, {"name": None}, NESTED),
)


def described(values: VariableValues) -> str:
    """Return a text of everything: nan equals nothing, and 1 equals True."""
    sources = [
        (name, signature.name, str(signature.type), signature.default and signature.default.literal, value)
        for name, (signature, value) in values.sources.items()
    ]
    return repr((sources, values.coerced))


def assert_equal(schema: Any, variables: str, given: dict[str, Any] | None) -> None:
    (operation,) = parse(f"query {variables} {{ a }}").definitions
    assert isinstance(operation, OperationDefinitionNode)
    definitions = operation.variable_definitions or ()
    compiled = Variables(schema, definitions)
    expected = get_variable_values(schema, definitions, given or {}, max_errors=10)
    if isinstance(expected, list):
        with pytest.raises(InvalidDocument) as raised:
            compiled.coerced(given)
        assert [error.formatted for error in raised.value.graphql_errors] == [error.formatted for error in expected]
    else:
        assert described(compiled.coerced(given)) == described(expected)


@pytest.mark.parametrize("declared", TYPES + DEFAULTS)
def test_values_are_those_of_graphql_core(declared: str) -> None:
    for value in VALUES:
        assert_equal(SCHEMA, f"($v: {declared})", {} if value is MISSING else {"v": value, "other": 1})


@pytest.mark.parametrize("given", [None, {}, {"a": "1"}, {"a": "1", "b": 2}, {"a": 1.5, "b": "x"}, {"b": None}])
def test_several_variables(given: dict[str, Any] | None) -> None:
    assert_equal(SCHEMA, "($a: ID!, $b: Int, $c: String)", given)
    assert_equal(SCHEMA, "", given)


def test_input_types_of_the_gateway() -> None:
    schema = build_gateway_schema()._schema
    names = [name for name, one in schema.type_map.items() if is_input_type(one) and not name.startswith("__")]
    assert {"JSON", "InstallationFilter", "InstallationStatus"} <= set(names)
    given: list[Any] = [
        {"a": [1, Decimal("1.50")]},
        "text",
        None,
        [],
        Decimal(1),
        "2026-11-26T00:00:00Z",
        "ACTIVATED",
        {},
    ]
    given += [{"id": "1"}, {"input": {}}, {"kind": "PLATFORM", "label": "a"}, {"accountIds": ["1"], "statuses": []}]
    for name, value in product(names, given):
        assert_equal(schema, f"($v: {name}!)", {"v": value})
