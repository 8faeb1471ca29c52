"""Writers of fields and completers of values: functions that write them to their places in the response.

graphql-core decides for each value anew what its type is and how to serialize it; here that is decided once, when the
operation is compiled.
"""

from collections.abc import Callable, ItemsView, Sequence, ValuesView
from functools import partial
from operator import attrgetter
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    get_nullable_type,
)
from graphql.execution.collect_fields import FieldDetails

from gateway.execution.direct import leaf_write
from gateway.execution.resolvers import resolver
from gateway.execution.selections import Selections
from gateway.execution.state import (
    Completer,
    ExecutionState,
    Place,
    Position,
    Resolver,
    Settled,
    answer_of,
)
from gateway.execution.strawberry_fields import attribute_of, possible_types
from gateway.usecases.batch_loader import MappedFuture

FieldWriter = Callable[[Any, ExecutionState, dict[str, Any], Place], None]
"""Writes one field of an object into the object's dict."""


def completer(
    selections: Selections, output_type: GraphQLOutputType, details: list[FieldDetails], position: Position
) -> Completer:
    """Return the completer of a field's value. What is below it is compiled when the first object comes."""
    match get_nullable_type(output_type):
        case GraphQLScalarType() | GraphQLEnumType() as leaf_type:
            return _leaf_completer(leaf_type, position)
        case GraphQLList(of_type=item_type):
            item = position._replace(nullable=not isinstance(item_type, GraphQLNonNull))
            return _list_completer(completer(selections, item_type, details, item), position)
        case GraphQLObjectType() as object_type:
            return _object_completer(selections, object_type, details, position)
        case abstract_type:
            types = possible_types(selections.schema, abstract_type)
            completers = {
                source: _object_completer(selections, each, details, position) for source, each in types.items()
            }
            return _abstract_completer(completers, position)


def position_of(parent_type: GraphQLObjectType, field: GraphQLField, details: list[FieldDetails]) -> Position:
    nodes = [each.node for each in details]
    return Position(f"{parent_type.name}.{nodes[0].name.value}", nodes, not isinstance(field.type, GraphQLNonNull))


def _object_completer(
    selections: Selections, object_type: GraphQLObjectType, details: list[FieldDetails], position: Position
) -> Completer:
    writers: tuple[FieldWriter, ...] | None = None

    def complete_object(value: Any, state: ExecutionState, container: Any, key: Any, parent: Place) -> None:
        nonlocal writers
        if value is None:
            _complete_null(position, state, container, key, parent)
            return
        if writers is None:
            selected = selections.selected(object_type, details)
            writers = tuple(_field_writer(selections, object_type, key, each) for key, each in selected)
        place = Place(parent, container, key, position)
        result: dict[str, Any] = {}
        container[key] = result
        for write in writers:
            write(value, state, result, place)

    return complete_object


def _field_writer(
    selections: Selections, parent_type: GraphQLObjectType, key: str, details: list[FieldDetails]
) -> FieldWriter:
    selections.count_field()
    if details[0].node.name.value == "__typename":
        return _typename_writer(key, parent_type.name)
    field = selections.definition(parent_type, details)
    position = position_of(parent_type, field, details)
    complete = completer(selections, field.type, details, position)
    attribute = attribute_of(field)
    if attribute is not None:
        return _attribute_writer(key, attribute, complete, position)
    return _resolver_writer(key, resolver(selections, parent_type, field, details), complete, position)


def _leaf_completer(leaf_type: GraphQLScalarType | GraphQLEnumType, position: Position) -> Completer:
    """Return the completer of a scalar or an enum."""
    write = leaf_write(leaf_type)

    def complete_leaf(value: Any, state: ExecutionState, container: Any, key: Any, parent: Place) -> None:
        if value is None:
            _complete_null(position, state, container, key, parent)
            return
        try:
            container[key] = write(value, state)
        except Exception as error:  # noqa: BLE001 - any error is the field's
            state.fail(error, position, container, key, parent)

    return complete_leaf


def _list_completer(complete_item: Completer, position: Position) -> Completer:
    """Return the completer of a list, given the completer of its items."""

    def complete_list(value: Any, state: ExecutionState, container: Any, key: Any, parent: Place) -> None:
        if value is None:
            _complete_null(position, state, container, key, parent)
        elif not isinstance(value, Sequence | ValuesView | ItemsView) or isinstance(value, str | bytes):
            error = TypeError(f"Expected Iterable, but did not find one for field '{position.name}'.")
            state.fail(error, position, container, key, parent)
        else:
            items = value if isinstance(value, Sequence) else tuple(value)  # introspection lists the views of dicts
            result = container[key] = [None] * len(items)
            complete_items(items, 0, state, complete_item, result, Place(parent, container, key, position))

    return complete_list


def complete_items(
    items: Sequence[Any],
    first: int,
    state: ExecutionState,
    complete_item: Completer,
    container: list[Any],
    place: Place,
) -> None:
    """Complete the items of a list from `first` on; when the turn is over, leave the rest for the next one."""
    for index in range(first, len(items)):
        if index > first and state.must_pause():
            state.rest.append(partial(complete_items, items, index, state, complete_item, container, place))
            return
        complete_item(items[index], state, container, index, place)


def _abstract_completer(completers: dict[type, Completer], position: Position) -> Completer:
    """Return the completer of a union or an interface, given the completers of its types' Python classes."""

    def complete_abstract(value: Any, state: ExecutionState, container: Any, key: Any, parent: Place) -> None:
        if value is None:
            _complete_null(position, state, container, key, parent)
            return
        complete = completers.get(type(value))
        if complete is None:
            error = TypeError(f"A {type(value).__name__} is none of the possible types of field {position.name}.")
            state.fail(error, position, container, key, parent)
            return
        complete(value, state, container, key, parent)

    return complete_abstract


def _complete_null(position: Position, state: ExecutionState, container: Any, key: Any, parent: Place) -> None:
    """Write null, or fail where the type does not allow it."""
    if position.nullable:
        container[key] = None
    else:
        error = TypeError(f"Cannot return null for non-nullable field {position.name}.")
        state.fail(error, position, container, key, parent)


def _typename_writer(key: str, name: str) -> FieldWriter:
    def write_typename(_source: Any, _state: ExecutionState, result: dict[str, Any], _place: Place) -> None:
        result[key] = name

    return write_typename


def _attribute_writer(key: str, attribute: str, complete: Completer, position: Position) -> FieldWriter:
    read = attrgetter(attribute)

    def write_attribute(source: Any, state: ExecutionState, result: dict[str, Any], place: Place) -> None:
        try:
            value = read(source)
        except Exception as error:  # noqa: BLE001 - any error is the field's
            state.fail(error, position, result, key, place)
            return
        complete(value, state, result, key, place)

    return write_attribute


def _resolver_writer(key: str, resolve: Resolver, complete: Completer, position: Position) -> FieldWriter:
    def write_resolved(source: Any, state: ExecutionState, result: dict[str, Any], place: Place) -> None:
        try:
            value = resolve(source, state)
            if isinstance(value, MappedFuture) and value.batch.done:
                value = value.answer()
        except Exception as error:  # noqa: BLE001 - any error is the field's
            state.fail(error, position, result, key, place)
            return
        if hasattr(value.__class__, "__await__"):
            result[key] = None  # keeps the field's place among the others
            state.late.append((value, partial(_complete_late, complete, position, state, result, key, place)))
        else:
            complete(value, state, result, key, place)

    return write_resolved


def _complete_late(
    complete: Completer,
    position: Position,
    state: ExecutionState,
    result: dict[str, Any],
    key: str,
    place: Place,
    settled: Settled,
) -> None:
    try:
        value = answer_of(settled)
    except Exception as error:  # noqa: BLE001 - any error is the field's
        state.fail(error, position, result, key, place)
    else:
        complete(value, state, result, key, place)
