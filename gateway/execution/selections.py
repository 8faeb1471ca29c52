"""What an operation selects, for one combination of its conditional variables."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues
from graphql.pyutils import Path
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.execution import optimized_is_awaitable

from gateway.execution.state import ExecutionState
from gateway.execution.strawberry_fields import (
    attribute_of,
    has_rows,
    names_of,
    reference_of,
    rows_of,
)
from gateway.storage.installation_pages import WHOLE, Parts
from gateway.usecases.rows import NamesOf

Selected = Sequence[tuple[str, list[FieldDetails]]]
"""Fields by their keys in the response."""
_HELPERS: Final = GraphQLResolveInfoHelpers(gather=lambda values: asyncio.gather(*values), track=lambda _values: None)


class Unusual(Exception):
    """The completers have to make this response."""


@dataclass(kw_only=True, eq=False)
class Selections:
    """The selections of an operation for one combination of its conditional variables."""

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDetails]
    conditional: VariableValues
    count_field: Callable[[], None]
    """Called for each field that has a completer."""
    direct_left: int
    """How many fields may have direct writers."""

    def root(self) -> tuple[GraphQLObjectType, Selected]:
        """Return the root type, and the fields selected of it."""
        root_type = cast("GraphQLObjectType", self.schema.get_root_type(self.operation.operation))
        collected = collect_fields(self.schema, self.fragments, self.conditional, root_type, self.operation)
        return root_type, tuple(collected.grouped_field_set.items())

    def selected(self, object_type: GraphQLObjectType, details: list[FieldDetails]) -> Selected:
        """Return the fields selected of an object."""
        collected = collect_subfields(
            self.schema, self.fragments, self.conditional, self.operation, object_type, details
        )
        return tuple(collected.grouped_field_set.items())

    def fields(
        self, object_type: GraphQLObjectType, details: list[FieldDetails]
    ) -> Iterator[tuple[GraphQLField, list[FieldDetails]]]:
        """Yield the definitions of the fields selected of an object, but that of `__typename`."""
        for _, each in self.selected(object_type, details):
            if each[0].node.name.value != "__typename":
                yield self.definition(object_type, each), each

    def definition(self, parent_type: GraphQLObjectType, details: list[FieldDetails]) -> GraphQLField:
        """Return the definition of a field that validation has found in the schema, introspection included."""
        return cast("GraphQLField", self.schema.get_field(parent_type, details[0].node.name.value))

    def count_direct(self, fields: int) -> None:
        """Count fields whose direct writers are kept. Raises Unusual where they would be too many."""
        self.direct_left -= fields
        if self.direct_left < 0:
            raise Unusual

    def info(
        self, parent_type: GraphQLObjectType, field: GraphQLField, details: list[FieldDetails], state: ExecutionState
    ) -> GraphQLResolveInfo[Any]:
        """Make the info that resolvers take. All objects of a list share it: its path has the field's key alone."""
        node = details[0].node
        return GraphQLResolveInfo(
            field_name=node.name.value,
            field_nodes=[each.node for each in details],
            return_type=field.type,
            parent_type=parent_type,
            path=Path(None, (node.alias or node.name).value, parent_type.name),
            schema=self.schema,
            fragments={name: fragment.definition for name, fragment in self.fragments.items()},
            root_value=state.root_value,
            operation=self.operation,
            variable_values=state.variable_values,
            context=state.context,
            is_awaitable=cast("Any", optimized_is_awaitable),
            abort_signal=None,
            async_helpers=_HELPERS,
        )


def needed_parts(selections: Selections, field: GraphQLField, details: list[FieldDetails]) -> Parts:
    """Return which parts of the rows that a connection has are selected; WHOLE for any other field."""
    connection = get_named_type(field.type)
    if not isinstance(connection, GraphQLObjectType) or not has_rows(connection):
        return WHOLE
    needed = Parts()
    for below, each in selections.fields(connection, details):
        rows, edge = rows_of(connection, below), get_named_type(below.type)
        if rows is not None:
            needed |= selected_parts(selections, below, each, rows.columns)
        elif isinstance(edge, GraphQLObjectType) and has_rows(edge):
            needed |= needed_parts(selections, below, each)
    return needed


def selected_parts(
    selections: Selections, field: GraphQLField, details: list[FieldDetails], columns: Mapping[str, Parts]
) -> Parts:
    """Return the parts that are selected of a field's objects: WHOLE where it is more than columns and references."""
    object_type, parts = cast("GraphQLObjectType", get_named_type(field.type)), Parts()
    for below, each in selections.fields(object_type, details):
        reference, names = reference_of(below), names_of(object_type, below)
        if reference is None:
            parts |= columns.get(attribute_of(below) or "", WHOLE)
        elif names is not None and (names_used(selections, below, each, names) or set()) - {reference.id}:
            parts |= names.part
    return parts


def names_used(
    selections: Selections, field: GraphQLField, details: list[FieldDetails], names: NamesOf
) -> set[str] | None:
    """Return which of the names are all that is selected of what a field refers to; None where more is."""
    referenced, used = cast("GraphQLObjectType", get_named_type(field.type)), set[str]()
    for below, _ in selections.fields(referenced, details):
        attribute = attribute_of(below)
        if attribute is None or attribute not in names.attributes:
            return None
        used.add(names.attributes[attribute])
    return used
