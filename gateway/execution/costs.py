"""The cost of an operation, estimated from its document and variables before it runs.

One unit is about a microsecond of CPU, of the gateway and Postgres together: `python -m tests.benchmarks.costs` runs
some 250 documents and prints the microseconds of a unit for each. Every selected field of every object costs,
whatever it is aliased to; objects, lists and what has a weight of its own cost more.

The cost of a list's items is multiplied by its largest size: `first`, `last` or the number of `ids` of the field that
leads to it, or else a default size; what is read once for all of them is not, and costs nothing where the size is 0. A
fragment counts at each place where it is spread, and is estimated once. The filters of a list count again where its
total is selected, which another statement counts, once for all equal lists of an operation. A variable with a list or
an object counts by its values for every object that it is an argument of.

The estimate of a document is compiled once into sums, in which only what variables give is open.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLNamedType,
    GraphQLSchema,
    GraphQLType,
    InlineFragmentNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_composite_type,
    is_enum_type,
    is_introspection_type,
    is_list_type,
    is_specified_scalar_type,
    print_ast,
    type_from_ast,
)
from graphql.type import get_nullable_type

from gateway.domain.pages import DEFAULT_PAGE_SIZE
from gateway.execution.cost_sums import Cost, Factor, Sum, items_of, largest_size, literal_size
from gateway.execution.fragments import dependency_order, fragments_of

_PAGE_ARGUMENTS = frozenset({"first", "last"})
_PLACES = _PAGE_ARGUMENTS | {"after", "before"}
"""The arguments that a list's total does not depend on."""
_CHARACTERS_PER_UNIT = 50
"""Of an alias, which stands in the response of every object."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CostModel:
    """The weights of the schema's fields, in units; those of `weights`, `object` and `leaf` in halves of them."""

    weights: Mapping[str, float] = field(default_factory=dict)
    """By `Type.field`: one value of the field, without its selection; and by `InputType.field` what giving it adds, or
    each of its items, where it is a list."""
    statements: Mapping[str, int] = field(default_factory=dict)
    """By the same names: what is added once for each place in the document, however many parents there are."""
    products: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """By `InputType.field`: another list of that input, and what each pair of their items adds to the weights."""
    lookups: Mapping[str, int] = field(default_factory=dict)
    """By `Type.field`: what the field adds once to an operation, since its values are read together."""
    filtered: Mapping[str, int] = field(default_factory=dict)
    """By `Type.field`: how much more often the arguments of the field that leads to it count, by which it reads too. A
    total reads all that matches, a page only its own rows."""
    unread_when_empty: frozenset[str] = frozenset()
    """By `Type.field`: the lists whose statement does not run where the document asks for no items."""
    list_sizes: Mapping[str, int] = field(default_factory=dict)
    """By `Type.field`: the usual number of items, of lists whose size no argument gives."""
    operation: int = 320
    mutation: int = 1_100
    object: float = 0.5
    leaf: float = 0.5
    introspection: int = 1
    """Of a field that introspection has: what reads it is graphql-core's."""
    value: int = 1
    """Of an argument: each in a list or an object, at any depth."""
    default_list_size: int = 5

    def weight(self, schema: GraphQLSchema, parent: GraphQLNamedType, name: str, *, composite: bool) -> float:
        """Return the cost of one value of this field, without its selection."""
        given = self.weights.get(f"{parent.name}.{name}")
        if given is not None:
            return given
        if parent is schema.mutation_type:
            return self.mutation
        if is_introspection_type(parent):
            return self.introspection
        return self.object if composite else self.leaf


@dataclass(slots=True)
class _Costs:
    """What an object costs: each time, once however many objects there are, and once in an operation."""

    each: Sum = field(default_factory=Sum)
    shared: Sum = field(default_factory=Sum)
    lookups: set[str] = field(default_factory=set)

    def add(self, size: Factor, objects: "_Costs") -> None:
        """Add the cost of so many objects; what they share costs nothing where there are none."""
        self.each.add(size, objects.each)
        if size != 0:
            self.shared.add(1, objects.shared)
            self.lookups |= objects.lookups


@dataclass(slots=True)
class _Selected:
    """The cost of a selection: of the object itself, and of each item of the lists that it has directly."""

    once: _Costs = field(default_factory=_Costs)
    listed: _Costs = field(default_factory=_Costs)
    filtered: int = 0
    """How much more often the arguments of the field that leads to it count."""

    def with_items(self, size: Factor) -> _Costs:
        """Return the cost of an object with so many items in its lists."""
        self.once.add(size, self.listed)
        return self.once


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
        self._fragments: dict[str, _Selected] = {}
        self._totals = set[str]()
        """The operation's lists whose totals are read, by name and filters."""
        definitions = operation.variable_definitions or ()
        self._defaults = {
            node.variable.name.value: node.default_value for node in definitions if node.default_value is not None
        }
        self._types: dict[str, Any] = {
            node.variable.name.value: type_from_ast(schema, node.type) for node in definitions
        }
        self._counted = {name for name, type_ in self._types.items() if _has_values(type_)}

    def compiled(self, document: DocumentNode, operation: OperationDefinitionNode) -> Cost:
        fragments = fragments_of(document)
        for name in dependency_order(fragments):
            node = fragments[name]
            type_ = self._schema.type_map[node.type_condition.name.value]
            self._fragments[name] = self._selected(node.selection_set, type_)
        root = self._schema.get_root_type(operation.operation)
        assert root is not None  # noqa: S101 - the operation was validated
        costs = self._selected(operation.selection_set, root).with_items(1)
        whole = Sum(self._model.operation + sum(self._model.lookups[name] for name in costs.lookups))
        whole.add(1, costs.each)
        whole.add(1, costs.shared)
        return Cost(whole, defaults=self._defaults)

    def _selected(self, selection_set: SelectionSetNode, parent: GraphQLNamedType) -> _Selected:
        selected = _Selected()
        for selection, type_ in self._direct(selection_set, parent):
            if isinstance(selection, FragmentSpreadNode):
                fragment = self._fragments[selection.name.value]
                selected.once.add(1, fragment.once)
                selected.listed.add(1, fragment.listed)
                selected.filtered = max(selected.filtered, fragment.filtered)
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
        name, model = node.name.value, self._model
        definition = self._schema.get_field(parent, name) if is_composite_type(parent) else None
        if definition is None or name == "__typename":
            selected.once.each.constant += model.leaf
            return
        type_ = get_named_type(definition.type)
        composite = is_composite_type(type_)
        coordinate = f"{parent.name}.{name}"
        requested = self._requested_size(node.arguments or (), definition)
        below = self._selected(node.selection_set, type_) if node.selection_set else _Selected()
        below.once.each.constant += model.weight(self._schema, parent, name, composite=composite)
        below.once.each.constant += len(node.alias.value) // _CHARACTERS_PER_UNIT if node.alias else 0
        if requested != 0 or coordinate not in model.unread_when_empty:
            below.once.shared.constant += model.statements.get(coordinate, 0)
        below.once.lookups.update({coordinate} & model.lookups.keys())
        # the arguments of a subscription apply when it begins, and cost nothing with each event
        arguments = () if parent is self._schema.subscription_type else node.arguments or ()
        again = self._read_again(node, parent) * below.filtered if below.filtered else []
        for argument in (*arguments, *again):
            self._add_value(selected.once, argument.value, definition.args[argument.name.value].type)
        selected.filtered = max(selected.filtered, model.filtered.get(coordinate, 0))
        in_list = composite and is_list_type(get_nullable_type(definition.type))
        default = model.default_list_size
        whole = below.with_items(default if requested is None or in_list else requested)
        usual = model.list_sizes.get(coordinate)
        if in_list and requested is None and usual is None:  # its size is given by the field that has the list
            selected.listed.add(1, whole)
        else:
            selected.once.add((requested if requested is not None else usual or 1) if in_list else 1, whole)

    def _read_again(self, node: FieldNode, parent: GraphQLNamedType) -> list[ArgumentNode]:
        """Return the arguments that a list's total is read by; none where an equal list of the operation has it."""
        filters = [each for each in node.arguments or () if each.name.value not in _PLACES]
        key = " ".join((node.name.value, *sorted(map(print_ast, filters))))
        if parent is self._schema.query_type:
            if key in self._totals:
                return []
            self._totals.add(key)
        return filters

    def _add_value(self, to: _Costs, value: ValueNode, type_: GraphQLInputType | None) -> None:
        """Add an argument's value: one unit for each value in it, and the weights of the input fields given."""
        named = None if type_ is None else get_named_type(type_)
        fields = named.fields if isinstance(named, GraphQLInputObjectType) else {}
        match value:
            case VariableNode():
                variable = value.name.value
                if variable in self._counted:
                    to.each.add_weight(lambda _, counts: counts.get(variable, 0), self._model.value)
                given = {name: items_of(variable, name) for name in fields}
                self._add_fields(to, named, given)
            case ListValueNode():
                for item in value.values:
                    self._add_value(to, item, type_)
            case ObjectValueNode():
                self._add_fields(to, named, {each.name.value: self._items(each.value) for each in value.fields})
                for member in value.fields:
                    name = member.name.value
                    self._add_value(to, member.value, fields[name].type if name in fields else None)
            case _:
                to.each.constant += self._model.value

    def _add_fields(self, to: _Costs, type_: GraphQLNamedType | None, given: Mapping[str, Factor]) -> None:
        """Add the weights of an input object, given how many items each of its fields has."""
        if not isinstance(type_, GraphQLInputObjectType):
            return
        model = self._model
        for name, items in given.items():
            for sum_, weights in ((to.each, model.weights), (to.shared, model.statements)):
                weight = weights.get(f"{type_.name}.{name}", 0)
                sum_.add_weight(items, weight)
            other, weight = model.products.get(f"{type_.name}.{name}", ("", 0))
            if other in given:
                pairs = Sum()
                pairs.add_weight(given[other], weight)
                to.each.add(items, pairs)

    def _items(self, value: ValueNode) -> Factor:
        """Return how many items the value of an input field has: 1 where it is no list."""
        match value:
            case VariableNode() if is_list_type(get_nullable_type(self._types[value.name.value])):
                return items_of(value.name.value)
            case ListValueNode():
                return len(value.values)
            case _:
                return 1

    def _requested_size(self, arguments: Sequence[ArgumentNode], definition: GraphQLField) -> Factor | None:
        given = {node.name.value: node.value for node in arguments}
        if _PAGE_ARGUMENTS & definition.args.keys():
            return _size_of([given[name] for name in ("first", "last") if name in given], counts_items=False)
        if "ids" in definition.args:
            return _size_of([given["ids"]] if "ids" in given else [], counts_items=True)
        return None


def _size_of(values: Sequence[ValueNode], *, counts_items: bool) -> Factor:
    variables = []
    for value in values:
        match value:
            case VariableNode():
                variables.append(value.name.value)
            case NullValueNode():
                pass
            case _:
                return literal_size(value) or 0
    return largest_size(variables, counts_items=counts_items) if variables else DEFAULT_PAGE_SIZE


def _has_values(type_: GraphQLType | None) -> bool:
    """Return whether values of the type may consist of any number of other values: as lists and JSON do."""
    named = get_named_type(type_)
    if isinstance(named, GraphQLInputObjectType) and not is_list_type(get_nullable_type(cast("Any", type_))):
        return any(_has_values(field.type) for field in named.fields.values())
    is_list = is_list_type(get_nullable_type(cast("Any", type_)))
    return named is None or is_list or not (is_specified_scalar_type(named) or is_enum_type(named))
