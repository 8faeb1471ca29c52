"""The cost of an operation, estimated from its document and variables before it runs.

One unit is about a microsecond of CPU, of the gateway and Postgres together: `python -m tests.benchmarks.costs` runs
some 200 documents and prints the microseconds of a unit for each. Every selected field of every object costs,
whatever it is aliased to; objects, lists and what has a weight of its own cost more.

The cost of a list's items is multiplied by its largest size: `first`, `last` or the number of `ids` of the field that
leads to it, or else a default size. A fragment counts at each place where it is spread, and is estimated once. A
variable with a list or an object counts by its values for every object that it is an argument of.

The estimate of a document is compiled once into a list of sums, in which only what variables give is open.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

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
    IntValueNode,
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
    is_list_type,
    is_specified_scalar_type,
    type_from_ast,
)
from graphql.type import get_nullable_type

from gateway.domain.pages import DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE
from gateway.execution.fragments import dependency_order, fragments_of

_PAGE_ARGUMENTS = frozenset({"first", "last"})
_MAX_DIGITS = len(str(LARGEST_PAGE_SIZE))
_CHARACTERS_PER_UNIT = 50
"""Of an alias, which stands in the response of every object."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CostModel:
    """The weights of the schema's fields, in units."""

    weights: Mapping[str, int] = field(default_factory=dict)
    """By `Type.field`: one value of the field, without its selection; and by `InputType.field` what giving it adds."""
    statements: Mapping[str, int] = field(default_factory=dict)
    """By `Type.field`: what the field adds once for each place where it is selected, however many parents it has."""
    lookups: Mapping[str, int] = field(default_factory=dict)
    """By `Type.field`: what the field adds once to an operation, since its values are read together."""
    list_sizes: Mapping[str, int] = field(default_factory=dict)
    """By `Type.field`: the usual number of items, of lists whose size no argument gives."""
    operation: int = 150
    mutation: int = 3_000
    object: int = 1
    leaf: int = 1
    default_list_size: int = 5

    def weight(self, schema: GraphQLSchema, parent: GraphQLNamedType, name: str, *, composite: bool) -> int:
        """Return the cost of one value of this field, without its selection."""
        given = self.weights.get(f"{parent.name}.{name}")
        if given is not None:
            return given
        if parent is schema.mutation_type:
            return self.mutation
        return self.object if composite else self.leaf


class _Given:
    """The variables of a request, as they came."""

    def __init__(self, variables: Mapping[str, Any] | None) -> None:
        self.values: Final = variables or {}
        self._counts: dict[str, int] = {}

    def count(self, name: str) -> int:
        """Return how many values a variable's list or object has, at any depth."""
        if name not in self._counts:
            self._counts[name] = _count_values(self.values.get(name))
        return self._counts[name]


@dataclass(frozen=True, slots=True)
class _Size:
    """The size of a list that variables give: the largest of those named, each with its default."""

    variables: tuple[tuple[str, int | None], ...]
    counts_items: bool

    def value(self, given: _Given) -> int:
        sizes = [self._read(given.values.get(name, default)) for name, default in self.variables]
        known = [size for size in sizes if size is not None]
        return max(known) if known else DEFAULT_PAGE_SIZE

    def _read(self, value: Any) -> int | None:
        if self.counts_items and isinstance(value, list):
            return len(value)
        if value is None or self.counts_items:
            return None
        # anything but an integer is refused when variables are coerced, and a size that is too large by the list itself
        return _bounded(value) if type(value) is int else LARGEST_PAGE_SIZE


@dataclass(frozen=True, slots=True)
class _ValuesOf:
    """The number of values in a variable's list or object."""

    variable: str

    def value(self, given: _Given) -> int:
        return given.count(self.variable)


@dataclass(frozen=True, slots=True)
class _IsGiven:
    """1 where the variable's object has this member, or else 0."""

    variable: str
    member: str

    def value(self, given: _Given) -> int:
        value = given.values.get(self.variable)
        return int(isinstance(value, dict) and self.member in value)


_Factor = int | _Size | _ValuesOf | _IsGiven


@dataclass(slots=True)
class _Sum:
    constant: int = 0
    terms: list[tuple[_Factor, int]] = field(default_factory=list)
    """Pairs of a factor and the index of the earlier sum that it multiplies."""


@dataclass(slots=True)
class _Selected:
    """The cost of a selection: of the object itself, and of each item of the lists that it has directly."""

    once: _Sum = field(default_factory=_Sum)
    listed: _Sum = field(default_factory=_Sum)


class Cost:
    """The estimate for one operation."""

    __slots__ = ("_sums", "constant")

    def __init__(self, sums: Sequence[_Sum]) -> None:
        self.constant = None if sums[-1].terms else sums[-1].constant
        """The cost, where no variable changes it."""
        self._sums = tuple(sums)

    def value(self, variables: Mapping[str, Any] | None) -> int:
        """Return the cost with these variables, as they came."""
        if self.constant is not None:
            return self.constant
        given, values = _Given(variables), list[int]()
        for each in self._sums:
            values.append(
                each.constant + sum(_value(factor, given) * values[earlier] for factor, earlier in each.terms)
            )
        return values[-1]


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
        definitions = operation.variable_definitions or ()
        self._defaults = {node.variable.name.value: node.default_value for node in definitions}
        self._constant = model.operation
        self._looked_up: set[str] = set()
        self._counted = {
            node.variable.name.value for node in definitions if _has_values(type_from_ast(schema, node.type))
        }

    def compiled(self, document: DocumentNode, operation: OperationDefinitionNode) -> Cost:
        fragments = fragments_of(document)
        for name in dependency_order(fragments):
            node = fragments[name]
            selected = self._selected(node.selection_set, self._schema.type_map[node.type_condition.name.value])
            self._fragments[name] = (self._append(selected.once), self._append(selected.listed))
        root = self._schema.get_root_type(operation.operation)
        assert root is not None  # noqa: S101 - the operation was validated
        whole = self._selected(operation.selection_set, root)
        whole.once.constant += self._constant + sum(self._model.lookups[name] for name in self._looked_up)
        self._append_product(whole, size=1)
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
        name, model = node.name.value, self._model
        definition = self._schema.get_field(parent, name) if is_composite_type(parent) else None
        if definition is None or name == "__typename":
            selected.once.constant += model.leaf
            return
        type_ = get_named_type(definition.type)
        composite = is_composite_type(type_)
        below = self._selected(node.selection_set, type_) if node.selection_set else _Selected()
        coordinate = f"{parent.name}.{name}"
        self._constant += model.statements.get(coordinate, 0)
        self._looked_up.update({coordinate} & model.lookups.keys())
        below.once.constant += model.weight(self._schema, parent, name, composite=composite)
        below.once.constant += len(node.alias.value) // _CHARACTERS_PER_UNIT if node.alias else 0
        for argument in node.arguments or ():
            self._add_value(selected.once, argument.value, definition.args[argument.name.value].type)
        requested = self._requested_size(node.arguments or (), definition)
        in_list = composite and is_list_type(get_nullable_type(definition.type))
        default = model.default_list_size
        each = self._append_product(below, size=default if requested is None or in_list else requested)
        usual = model.list_sizes.get(coordinate)
        if in_list and requested is None and usual is None:  # its size is given by the field that has the list
            self._add(selected.listed, 1, each)
        else:
            self._add(selected.once, (requested if requested is not None else usual or 1) if in_list else 1, each)

    def _add_value(self, to: _Sum, value: ValueNode, type_: GraphQLInputType | None) -> None:
        """Add an argument's value: one unit for each value in it, and the weights of the input fields given."""
        named = None if type_ is None else get_named_type(type_)
        fields = named.fields if isinstance(named, GraphQLInputObjectType) else {}
        match value:
            case VariableNode():
                variable = value.name.value
                if variable in self._counted:
                    to.terms.append((_ValuesOf(variable), self._append(_Sum(1))))
                for name in fields:
                    weight = self._model.weights.get(f"{named}.{name}")
                    if weight is not None:
                        to.terms.append((_IsGiven(variable, name), self._append(_Sum(weight))))
            case ListValueNode():
                for item in value.values:
                    self._add_value(to, item, type_)
            case ObjectValueNode():
                for member in value.fields:
                    name = member.name.value
                    to.constant += self._model.weights.get(f"{named}.{name}", 0)
                    self._add_value(to, member.value, fields[name].type if name in fields else None)
            case _:
                to.constant += self._model.leaf

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

    def _append_product(self, selected: _Selected, *, size: _Factor) -> int:
        whole = selected.once
        self._add(whole, size, self._append(selected.listed))
        return self._append(whole)

    def _append(self, kept: _Sum) -> int:
        self._sums.append(kept)
        return len(self._sums) - 1

    def _add(self, to: _Sum, size: _Factor, earlier: int) -> None:
        added = self._sums[earlier]
        if not added.terms and (isinstance(size, int) or not added.constant):
            to.constant += _value(size, _Given(None)) * added.constant
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


def _has_values(type_: GraphQLType | None) -> bool:
    """Return whether values of the type may consist of any number of other values: as lists and JSON do."""
    named = get_named_type(type_)
    if isinstance(named, GraphQLInputObjectType) and not is_list_type(get_nullable_type(cast("Any", type_))):
        return any(_has_values(field.type) for field in named.fields.values())
    is_list = is_list_type(get_nullable_type(cast("Any", type_)))
    return named is None or is_list or not (is_specified_scalar_type(named) or is_enum_type(named))


def _count_values(value: Any) -> int:
    """Return how many values a JSON value consists of, at any depth, itself excluded."""
    pending, count = [value], 0
    while pending:
        one = pending.pop()
        if isinstance(one, dict | list):
            count += len(one)
            pending.extend(one.values() if isinstance(one, dict) else one)
    return count


def _bounded(size: int) -> int:
    return min(max(size, 0), LARGEST_PAGE_SIZE)


def _value(factor: _Factor, given: _Given) -> int:
    return factor if isinstance(factor, int) else factor.value(given)
