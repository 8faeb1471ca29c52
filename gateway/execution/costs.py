"""What an operation may cost: estimated from its text and its variables alone, before anything of it runs.

An object costs 1, a scalar nothing, and some fields more, by their weights. What stands in a list counts as often as
the list may be long: as long as `first`, `last` or the number of `ids` of the field that leads to it, or else a usual
length. Fragments count wherever they are spread, each for what it is worth, and are looked at once.

An estimate is compiled once into a short list of sums, in which only the sizes that variables give are still open.
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
from gateway.execution.fragments import fragments_of, in_order, spreads_in

_PAGE_ARGUMENTS = frozenset({"first", "last"})
_MOST_DIGITS = len(str(LARGEST_PAGE_SIZE))


@dataclass(frozen=True, kw_only=True, slots=True)
class CostModel:
    """What the schema's fields weigh."""

    weights: Mapping[str, int] = field(default_factory=dict)
    """By `Type.field`, where it is not what its type says."""
    mutation: int = 10
    subscription: int = 10
    introspection: int = 100
    """Of `__schema` and `__type`, with all that stands below."""
    default_list_size: int = 5
    """Of lists whose size is not asked for."""

    def weight(self, schema: GraphQLSchema, parent: GraphQLNamedType, name: str, *, composite: bool) -> int:
        """Return what one value of this field costs, without what stands below it."""
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
    """How long a list may be, as variables say: those named, or else what they default to."""

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
        # what is no integer is refused when variables are coerced, and what is too large by the list itself
        return _bounded(value) if type(value) is int else LARGEST_PAGE_SIZE


@dataclass(slots=True)
class _Sum:
    constant: int = 0
    terms: list[tuple[int | _Size, int]] = field(default_factory=list)
    """Sizes, and which earlier sum each multiplies."""


@dataclass(slots=True)
class _Selected:
    """What a selection costs: once for the object itself, and for each item of the lists that it holds directly."""

    once: _Sum = field(default_factory=_Sum)
    listed: _Sum = field(default_factory=_Sum)


class Cost:
    """The estimate for one operation."""

    __slots__ = ("_constant", "_sums")

    def __init__(self, sums: Sequence[_Sum]) -> None:
        self._constant = None if sums[-1].terms else sums[-1].constant
        self._sums = () if self._constant is not None else tuple(sums)

    def value(self, variables: Mapping[str, Any] | None) -> int:
        """Return the cost with these variables, as they came; at least 1."""
        if self._constant is not None:
            return max(1, self._constant)
        given, values = variables or {}, list[int]()
        for each in self._sums:
            values.append(each.constant + sum(_size(size, given) * values[earlier] for size, earlier in each.terms))
        return max(1, values[-1])


def estimate(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, *, model: CostModel
) -> Cost:
    """Compile the estimate of an operation in a valid document."""
    return _Estimate(schema, operation, model=model).compiled(document, operation)


class _Estimate:
    """An estimate in the making. Recursion goes by fields alone, whose depth is limited before."""

    def __init__(self, schema: GraphQLSchema, operation: OperationDefinitionNode, *, model: CostModel) -> None:
        self._schema = schema
        self._model = model
        self._sums: list[_Sum] = []
        self._fragments: dict[str, tuple[int, int]] = {}
        self._defaults = {node.variable.name.value: node.default_value for node in operation.variable_definitions or ()}

    def compiled(self, document: DocumentNode, operation: OperationDefinitionNode) -> Cost:
        fragments = fragments_of(document)
        spreads = {name: tuple(spreads_in(node.selection_set)) for name, node in fragments.items()}
        for name in in_order(spreads):
            node = fragments[name]
            selected = self._selected(node.selection_set, self._schema.type_map[node.type_condition.name.value])
            self._fragments[name] = (self._kept(selected.once), self._kept(selected.listed))
        root = self._schema.get_root_type(operation.operation)
        assert root is not None  # noqa: S101 - the operation was validated
        self._keep_product(self._selected(operation.selection_set, root), size=1)
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
        """Yield what is selected of the object itself, with the type that it is selected of."""
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
        definition = _definition(parent, name)
        if definition is None:  # __typename
            return
        type_ = get_named_type(definition.type)
        composite = is_composite_type(type_)
        weight = self._model.weight(self._schema, parent, name, composite=composite)
        below = self._selected(node.selection_set, type_) if node.selection_set else _Selected()
        below.once.constant += weight
        asked = self._size_asked(node.arguments or (), definition)
        in_list = composite and is_list_type(get_nullable_type(definition.type))
        usual = self._model.default_list_size
        each = self._keep_product(below, size=usual if asked is None or in_list else asked)
        if in_list and asked is None:  # as long as whatever holds it says
            self._add(selected.listed, 1, each)
        else:
            self._add(selected.once, asked if in_list and asked is not None else 1, each)

    def _size_asked(self, arguments: Sequence[ArgumentNode], definition: GraphQLField) -> int | _Size | None:
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

    def _keep_product(self, selected: _Selected, *, size: int | _Size) -> int:
        whole = selected.once
        self._add(whole, size, self._kept(selected.listed))
        return self._kept(whole)

    def _kept(self, kept: _Sum) -> int:
        self._sums.append(kept)
        return len(self._sums) - 1

    def _add(self, to: _Sum, size: int | _Size, earlier: int) -> None:
        added = self._sums[earlier]
        if not added.terms and (isinstance(size, int) or not added.constant):
            to.constant += _size(size, {}) * added.constant
        else:
            to.terms.append((size, earlier))


def _definition(parent: GraphQLNamedType, name: str) -> GraphQLField | None:
    return parent.fields.get(name) if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else None


def _literal_size(value: ValueNode | None) -> int | None:
    match value:
        case IntValueNode():
            # what is longer is larger, and may have thousands of digits
            return LARGEST_PAGE_SIZE if len(value.value) > _MOST_DIGITS else _bounded(int(value.value))
        case ListValueNode():
            return len(value.values)
        case _:
            return None


def _bounded(size: int) -> int:
    return min(max(size, 0), LARGEST_PAGE_SIZE)


def _size(size: int | _Size, variables: Mapping[str, Any]) -> int:
    return size if isinstance(size, int) else size.value(variables)
