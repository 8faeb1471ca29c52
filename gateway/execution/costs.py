"""The cost of an operation, estimated from its document and variables before it runs.

An object costs 1, a scalar nothing, and some fields cost more, by their weights. The cost of a list's items is
multiplied by its largest size: `first`, `last` or the number of `ids` of the field that leads to it, or else a default
size. A fragment counts at each place where it is spread, and is estimated once.

The estimate of a document is compiled once into a list of sums, in which only sizes given by variables are open.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_composite_type,
    is_list_type,
)
from graphql.type import get_nullable_type

from gateway.domain.pages import DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE
from gateway.execution.fragments import dependency_order, fragments_of

_PAGE_ARGUMENTS = frozenset({"first", "last"})
_MAX_DIGITS = len(str(LARGEST_PAGE_SIZE))


@dataclass(frozen=True, kw_only=True, slots=True)
class CostModel:
    """The weights of the schema's fields."""

    weights: Mapping[str, int] = field(default_factory=dict)
    """By `Type.field`, where the weight does not follow from the field's type."""
    mutation: int = 10
    subscription: int = 10
    introspection: int = 100
    """Of `__schema` and `__type`, with everything selected below."""
    default_list_size: int = 5
    """Of lists without a size argument."""

    def weight(self, schema: GraphQLSchema, parent: GraphQLNamedType, name: str, *, composite: bool) -> int:
        """Return the cost of one value of this field, without its selection."""
        given = self.weights.get(f"{parent.name}.{name}")
        if given is not None:
            return given
        if parent is schema.mutation_type:
            return self.mutation
        if parent is schema.subscription_type:
            return self.subscription
        return int(composite)


@dataclass(frozen=True, slots=True)
class _Size:
    """The size of a list that variables give: the largest of those named, each with its default."""

    variables: tuple[tuple[str, int | None], ...]
    counts_items: bool

    def value(self, given: Mapping[str, Any]) -> int:
        sizes = [self._read(given.get(name, default)) for name, default in self.variables]
        known = [size for size in sizes if size is not None]
        return max(known) if known else DEFAULT_PAGE_SIZE

    def _read(self, value: Any) -> int | None:
        if self.counts_items and isinstance(value, list):
            return len(value)
        if value is None or self.counts_items:
            return None
        # anything but an integer is refused when variables are coerced, and a size that is too large by the list itself
        return _bounded(value) if type(value) is int else LARGEST_PAGE_SIZE


@dataclass(slots=True)
class _Sum:
    constant: int = 0
    terms: list[tuple[int | _Size, int]] = field(default_factory=list)
    """Pairs of a size and the index of the earlier sum that it multiplies."""


@dataclass(slots=True)
class _Selected:
    """The cost of a selection: of the object itself, and of each item of the lists that it has directly."""

    once: _Sum = field(default_factory=_Sum)
    listed: _Sum = field(default_factory=_Sum)


class Cost:
    """The estimate for one operation."""

    __slots__ = ("_sums", "constant")

    def __init__(self, sums: Sequence[_Sum]) -> None:
        self.constant = None if sums[-1].terms else max(1, sums[-1].constant)
        """The cost, where no variable changes it."""
        self._sums = () if self.constant is not None else tuple(sums)

    def value(self, variables: Mapping[str, Any] | None) -> int:
        """Return the cost with these variables, as they came; at least 1."""
        if self.constant is not None:
            return self.constant
        given, values = variables or {}, list[int]()
        for each in self._sums:
            values.append(each.constant + sum(_size(size, given) * values[earlier] for size, earlier in each.terms))
        return max(1, values[-1])


def estimate(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, *, model: CostModel
) -> Cost:
    """Compile the estimate of an operation in a valid document."""
    return _Estimator(schema, operation, model=model).compiled(document, operation)


class _Estimator:
    """Compiles one estimate. It recurses by fields only, whose depth the document's limits bound."""

    def __init__(self, schema: GraphQLSchema, operation: OperationDefinitionNode, *, model: CostModel) -> None:
        self._schema = schema
        self._model = model
        self._sums: list[_Sum] = []
        self._fragments: dict[str, tuple[int, int]] = {}
        self._defaults = {node.variable.name.value: node.default_value for node in operation.variable_definitions or ()}

    def compiled(self, document: DocumentNode, operation: OperationDefinitionNode) -> Cost:
        fragments = fragments_of(document)
        for name in dependency_order(fragments):
            node = fragments[name]
            selected = self._selected(node.selection_set, self._schema.type_map[node.type_condition.name.value])
            self._fragments[name] = (self._append(selected.once), self._append(selected.listed))
        root = self._schema.get_root_type(operation.operation)
        assert root is not None  # noqa: S101 - the operation was validated
        self._append_product(self._selected(operation.selection_set, root), size=1)
        return Cost(self._sums)

    def _selected(self, selection_set: SelectionSetNode, parent: GraphQLNamedType) -> _Selected:
        selected = _Selected()
        for selection, type_ in self._direct(selection_set, parent):
            if isinstance(selection, FragmentSpreadNode):
                once, listed = self._fragments[selection.name.value]
                self._add(selected.once, 1, once)
                self._add(selected.listed, 1, listed)
            else:
                self._add_field(selected, selection, type_)
        return selected

    def _direct(
        self, selection_set: SelectionSetNode, parent: GraphQLNamedType
    ) -> Iterator[tuple[FieldNode | FragmentSpreadNode, GraphQLNamedType]]:
        """Yield the fields and spreads of a selection, inline fragments included, each with its parent type."""
        pending = [(selection_set, parent)]
        while pending:
            selected, type_ = pending.pop()
            for selection in selected.selections:
                if isinstance(selection, InlineFragmentNode):
                    condition = selection.type_condition
                    narrowed = type_ if condition is None else self._schema.type_map[condition.name.value]
                    pending.append((selection.selection_set, narrowed))
                elif isinstance(selection, FieldNode | FragmentSpreadNode):
                    yield selection, type_

    def _add_field(self, selected: _Selected, node: FieldNode, parent: GraphQLNamedType) -> None:
        name = node.name.value
        if name in {"__schema", "__type"}:
            selected.once.constant += self._model.introspection
            return
        if name == "__typename" or not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            return
        definition = parent.fields[name]
        type_ = get_named_type(definition.type)
        composite = is_composite_type(type_)
        weight = self._model.weight(self._schema, parent, name, composite=composite)
        below = self._selected(node.selection_set, type_) if node.selection_set else _Selected()
        below.once.constant += weight
        requested = self._requested_size(node.arguments or (), definition)
        in_list = composite and is_list_type(get_nullable_type(definition.type))
        default = self._model.default_list_size
        each = self._append_product(below, size=default if requested is None or in_list else requested)
        if in_list and requested is None:  # its size is given by the field that has the list
            self._add(selected.listed, 1, each)
        else:
            self._add(selected.once, requested if in_list and requested is not None else 1, each)

    def _requested_size(self, arguments: Sequence[ArgumentNode], definition: GraphQLField) -> int | _Size | None:
        given = {node.name.value: node.value for node in arguments}
        if _PAGE_ARGUMENTS & definition.args.keys():
            return self._size_of([given[name] for name in ("first", "last") if name in given], counts_items=False)
        if "ids" in definition.args:
            return self._size_of([given["ids"]] if "ids" in given else [], counts_items=True)
        return None

    def _size_of(self, values: Sequence[ValueNode], *, counts_items: bool) -> int | _Size:
        variables = []
        for value in values:
            match value:
                case VariableNode():
                    name = value.name.value
                    variables.append((name, _literal_size(self._defaults.get(name))))
                case NullValueNode():
                    pass
                case _:
                    return _literal_size(value) or 0
        return _Size(tuple(variables), counts_items) if variables else DEFAULT_PAGE_SIZE

    def _append_product(self, selected: _Selected, *, size: int | _Size) -> int:
        whole = selected.once
        self._add(whole, size, self._append(selected.listed))
        return self._append(whole)

    def _append(self, kept: _Sum) -> int:
        self._sums.append(kept)
        return len(self._sums) - 1

    def _add(self, to: _Sum, size: int | _Size, earlier: int) -> None:
        added = self._sums[earlier]
        if not added.terms and (isinstance(size, int) or not added.constant):
            to.constant += _size(size, {}) * added.constant
        else:
            to.terms.append((size, earlier))


def _literal_size(value: ValueNode | None) -> int | None:
    match value:
        case IntValueNode():
            # a literal may have thousands of digits
            return LARGEST_PAGE_SIZE if len(value.value) > _MAX_DIGITS else _bounded(int(value.value))
        case ListValueNode():
            return len(value.values)
        case _:
            return None


def _bounded(size: int) -> int:
    return min(max(size, 0), LARGEST_PAGE_SIZE)


def _size(size: int | _Size, variables: Mapping[str, Any]) -> int:
    return size if isinstance(size, int) else size.value(variables)
