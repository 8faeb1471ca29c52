"""Coerces the variables of an operation, by functions that are made once for each document.

graphql-core finds out anew for each request what types the variables have: a single ID takes it 4.8 us, and 1.3 here;
the variables of a page 10.8 and 2.7. What is wrong, missing or has a default in the document is left to graphql-core,
so that its errors are its own, and tests/api/test_variables.py compares the values of all the others.

Before that, `count_values` limits their size.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, cast

from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLError,
    GraphQLID,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLSchema,
    GraphQLString,
    Undefined,
    VariableDefinitionNode,
    get_named_type,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import (
    VariableValues,
    VariableValueSource,
    get_variable_values,
    input_is_nested_too_deeply,
)
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_value

from gateway.domain.errors import BadUserInput
from gateway.execution.errors import InvalidDocument, OperationTooComplex

_MAX_VARIABLE_VALUES = 20_000
"""In total, at any depth: more than the largest metadata has."""
_MAX_VARIABLE_CHARACTERS = 100_000
"""Of one string."""
_CONTAINERS: Final = (dict, list)
_MAX_ERRORS: Final = 10
_UNCHANGED: Final[dict[GraphQLInputType, type]] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool}
"""The class of the values that each of these types accepts as they are."""
MISSING: Final = object()
"""Stands for an optional argument or field of an input that is not given, and has no default."""

Coerce = Callable[[Any], Any]
"""Returns what `coerce_input_value` does for a type: the value as resolvers get it, or Undefined where it is wrong."""


def count_values(variables: Mapping[str, Any]) -> dict[str, int]:
    """Return how many values the list or object of each variable has, at any depth.

    Raises OperationTooComplex where there are too many, or a string is too long.
    """
    counts, total = dict[str, int](), len(variables)
    for name, variable in variables.items():
        pending, count = [variable], 0
        while pending:
            value = pending.pop()
            if value.__class__ is str:
                if len(value) > _MAX_VARIABLE_CHARACTERS:
                    raise OperationTooComplex(
                        f"A string in the variables has {len(value)} characters; at most"
                        f" {_MAX_VARIABLE_CHARACTERS} are allowed.",
                        limit="stringCharacters",
                        allowed=_MAX_VARIABLE_CHARACTERS,
                    )
            elif isinstance(value, _CONTAINERS):
                count += len(value)
                if total + count > _MAX_VARIABLE_VALUES:
                    break
                pending.extend(value.values() if isinstance(value, dict) else value)
        counts[name] = count
        total += count
    if total > _MAX_VARIABLE_VALUES:
        raise OperationTooComplex(
            f"The variables have more than {_MAX_VARIABLE_VALUES} values.", limit="values", allowed=_MAX_VARIABLE_VALUES
        )
    return counts


class Variables:
    """The variables that an operation declares."""

    def __init__(self, schema: GraphQLSchema, definitions: Sequence[VariableDefinitionNode]) -> None:
        self._schema = schema
        self._definitions = definitions
        self._compiled: list[tuple[str, GraphQLVariableSignature, Coerce, bool]] | None = None
        """The name, signature and coercion of each, and whether it may be missing."""

    def coerced(self, given: Mapping[str, Any] | None, *, hide_suggestions: bool = False) -> VariableValues:
        """Coerce a caller's variables. Raises InvalidDocument."""
        given = given or {}
        if self._compiled is None:
            self._compiled = [_compiled(self._schema, definition) for definition in self._definitions]
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for name, signature, coerce, optional in self._compiled:
            value = given.get(name, Undefined)
            if value is not Undefined:
                sources[name] = VariableValueSource(signature, value)
                coerced[name] = value = coerce(value)
            elif optional:
                sources[name] = VariableValueSource(signature)
                continue
            if value is Undefined:
                return self._by_graphql_core(given, hide_suggestions=hide_suggestions)
        return VariableValues(sources, coerced)

    def _by_graphql_core(self, given: Mapping[str, Any], *, hide_suggestions: bool) -> VariableValues:
        values = get_variable_values(
            self._schema,
            self._definitions,
            cast("dict[str, Any]", given),
            max_errors=_MAX_ERRORS,
            hide_suggestions=hide_suggestions,
        )
        if isinstance(values, list):
            raise InvalidDocument(values, kind=BadUserInput)
        return values


def _compiled(
    schema: GraphQLSchema, definition: VariableDefinitionNode
) -> tuple[str, GraphQLVariableSignature, Coerce, bool]:
    # Validation has made sure that it is an input type.
    signature = cast("GraphQLVariableSignature", get_variable_signature(schema, definition))
    optional = definition.default_value is None and not is_non_null_type(signature.type)
    return signature.name, signature, _coerce(signature.type), optional


def _coerce(input_type: Any) -> Coerce:
    null = Undefined if is_non_null_type(input_type) else None
    nullable_type = _without_non_null(input_type)
    if is_leaf_type(nullable_type):
        return _coerce_leaf(nullable_type, null=null)
    nested = _without_non_null(nullable_type.of_type) if is_list_type(nullable_type) else nullable_type
    if is_list_type(nested) or (is_input_object_type(nested) and _is_recursive(nested)):
        return _coerce_by_graphql_core(nullable_type, null=null)
    if nested is nullable_type:
        return _coerce_object(nullable_type, null)
    return _coerce_list(_coerce(nullable_type.of_type), null=null)


@cache
def _is_recursive(input_type: GraphQLInputObjectType, enclosing: tuple[GraphQLInputObjectType, ...] = ()) -> bool:
    """Return whether values of the input may be nested to any depth: graphql-core says to which they may."""
    enclosing = (*enclosing, input_type)
    named = [get_named_type(field.type) for field in input_type.fields.values()]
    return any(each in enclosing or _is_recursive(each, enclosing) for each in named if is_input_object_type(each))


def _coerce_by_graphql_core(input_type: Any, *, null: Any) -> Coerce:
    def coerce_nested(value: Any) -> Any:
        if value is None:
            return null
        try:
            return Undefined if input_is_nested_too_deeply(value, input_type) else coerce_input_value(value, input_type)
        except (GraphQLError, RecursionError):  # Strawberry's inputs raise their own
            return Undefined

    return coerce_nested


def _coerce_list(coerce_item: Coerce, *, null: Any) -> Coerce:
    def coerce_list(value: Any) -> Any:
        if value is None:
            return null
        items = []
        for each in value if isinstance(value, list) else [value]:
            item = coerce_item(each)
            if item is Undefined:
                return Undefined
            items.append(item)
        return items

    return coerce_list


@cache
def _coerce_object(input_type: GraphQLInputObjectType, null: Any) -> Coerce:
    """Return the coercion of an input; one function for all documents, since it takes 10 us and more to make."""
    fields = [
        (name, field.out_name or name, _coerce(field.type), default_of(field))
        for name, field in input_type.fields.items()
    ]
    is_one_of, out_type = input_type.is_one_of, input_type.out_type

    def coerce_object(value: Any) -> Any:
        if not isinstance(value, dict):
            return null if value is None else Undefined
        coerced, unknown = {}, len(value)
        for name, out_name, coerce, member in fields:
            if name in value:
                unknown -= 1
                member = coerce(value[name])  # noqa: PLW2901 - it is the default otherwise
            if member is Undefined:
                return Undefined
            if member is not MISSING:
                coerced[out_name] = member
        if unknown or (is_one_of and (len(value) != 1 or None in coerced.values())):
            return Undefined
        try:
            return out_type(coerced)
        except GraphQLError:  # Strawberry's inputs raise their own
            return Undefined

    return coerce_object


def default_of(definition: GraphQLArgument | GraphQLInputField) -> Any:
    """Return the default of what is left out; MISSING where it has none, and Undefined where it is required."""
    default = coerce_default_value(definition)
    if default is not Undefined:
        return default
    return Undefined if is_non_null_type(definition.type) else MISSING


def _coerce_leaf(leaf_type: Any, *, null: Any) -> Coerce:
    """Return the coercion of the values of a scalar or an enum, and of null to `null`."""
    unchanged, convert = _UNCHANGED.get(leaf_type), leaf_type.coerce_input_value

    def coerce_leaf(value: Any) -> Any:
        if type(value) is unchanged:
            return value
        if value is None:
            return null
        try:
            return convert(value)
        except Exception:  # noqa: BLE001 - any error means that the value is wrong, as in graphql-core
            return Undefined

    return coerce_leaf


def _without_non_null(input_type: Any) -> Any:
    return input_type.of_type if is_non_null_type(input_type) else input_type
