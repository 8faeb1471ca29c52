"""The compiled estimate of a document: a list of sums, in which only what variables give is open.

Weights are multiples of half a unit, which floats add and multiply exactly; the whole is rounded up.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from graphql import IntValueNode, ListValueNode, NullValueNode, ObjectValueNode, ValueNode

from gateway.domain.pages import DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE

_MAX_DIGITS = len(str(LARGEST_PAGE_SIZE))


class _Variables:
    """The variables of a request, as they came or by their defaults."""

    def __init__(
        self, given: Mapping[str, Any] | None, *, defaults: Mapping[str, Any], counts: dict[str, int] | None
    ) -> None:
        self.values: Final = {**defaults, **(given or {})} if defaults else given or {}
        self._counts = counts or {}

    def count(self, name: str) -> int:
        """Return how many values a variable's list or object has, at any depth."""
        if name not in self._counts:
            self._counts[name] = _count_values(self.values.get(name))
        return self._counts[name]


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a list that variables give: the largest of those named."""

    variables: tuple[str, ...]
    counts_items: bool

    def value(self, variables: _Variables) -> int:
        sizes = [self._read(variables.values.get(name)) for name in self.variables]
        known = [size for size in sizes if size is not None]
        return max(known) if known else DEFAULT_PAGE_SIZE

    def _read(self, value: Any) -> int | None:
        if self.counts_items and isinstance(value, list):
            return len(value)
        if value is None or self.counts_items:
            return None
        # anything but an integer is refused when variables are coerced, and a size that is too large by the list itself
        return bounded_size(value) if type(value) is int else LARGEST_PAGE_SIZE


@dataclass(frozen=True, slots=True)
class ValuesOf:
    """The number of values in a variable's list or object."""

    variable: str

    def value(self, variables: _Variables) -> int:
        return variables.count(self.variable)


@dataclass(frozen=True, slots=True)
class ItemsOf:
    """How many items a variable, or a member of its object, has: 1 where it is no list, 0 where it is not given."""

    variable: str
    member: str | None = None

    def value(self, variables: _Variables) -> int:
        value = variables.values.get(self.variable)
        if self.member is not None:
            if not isinstance(value, dict) or self.member not in value:
                return 0
            value = value[self.member]
        return len(value) if isinstance(value, list) else 1


Factor = int | Size | ValuesOf | ItemsOf


@dataclass(slots=True)
class Sum:
    constant: float = 0
    terms: list[tuple[Factor, int]] = field(default_factory=list)
    """Pairs of a factor and the index of the earlier sum that it multiplies."""


class Sums:
    """The sums of a document; each refers to earlier ones only."""

    def __init__(self) -> None:
        self._all: list[Sum] = []

    def append(self, kept: Sum) -> int:
        """Return the index of a sum that is complete."""
        self._all.append(kept)
        return len(self._all) - 1

    def add(self, to: Sum, factor: Factor, earlier: int) -> None:
        """Add the product of a factor and an earlier sum."""
        added = self._all[earlier]
        if added.terms:
            to.terms.append((factor, earlier))
        else:
            self.add_weight(to, factor, added.constant)

    def add_weight(self, to: Sum, factor: Factor, weight: float) -> None:
        """Add the product of a factor and a weight."""
        if isinstance(factor, int):
            to.constant += factor * weight
        elif weight:
            to.terms.append((factor, self.append(Sum(weight))))

    def cost(self, *, defaults: Mapping[str, ValueNode]) -> "Cost":
        """Return the last sum as the estimate of an operation whose variables have these defaults."""
        return Cost(self._all, defaults={name: _plain(value) for name, value in defaults.items()})


class Cost:
    """The estimate for one operation."""

    __slots__ = ("_constants", "_defaults", "_open", "constant")

    def __init__(self, sums: Sequence[Sum], *, defaults: Mapping[str, Any]) -> None:
        self.constant = None if sums[-1].terms else math.ceil(sums[-1].constant)
        """The cost, where no variable changes it."""
        self._constants = [each.constant for each in sums]
        self._open = [(at, each.terms) for at, each in enumerate(sums) if each.terms]
        """The sums that variables change, by their index."""
        self._defaults = defaults

    def value(self, variables: Mapping[str, Any] | None, counts: dict[str, int] | None = None) -> int:
        """Return the cost with these variables, as they came; `counts`: the numbers of their values, if known."""
        if self.constant is not None:
            return self.constant
        given, values = _Variables(variables, defaults=self._defaults, counts=counts), self._constants.copy()
        for at, terms in self._open:
            for factor, earlier in terms:
                values[at] += (factor if isinstance(factor, int) else factor.value(given)) * values[earlier]
        return math.ceil(values[-1])


def literal_size(value: ValueNode) -> int | None:
    """Return the size of a list that an integer or a list in the document gives."""
    match value:
        case IntValueNode():
            # a literal may have thousands of digits
            return LARGEST_PAGE_SIZE if len(value.value) > _MAX_DIGITS else bounded_size(int(value.value))
        case ListValueNode():
            return len(value.values)
        case _:
            return None


def bounded_size(size: int) -> int:
    return min(max(size, 0), LARGEST_PAGE_SIZE)


def _plain(value: ValueNode) -> Any:
    """Return a variable's default as JSON, in which integers are sizes, and what is not counted is true."""
    match value:
        case ListValueNode():
            return [_plain(item) for item in value.values]
        case ObjectValueNode():
            return {member.name.value: _plain(member.value) for member in value.fields}
        case IntValueNode():
            return literal_size(value)
        case NullValueNode():
            return None
        case _:
            return True


def _count_values(value: Any) -> int:
    """Return how many values a JSON value consists of, at any depth, itself excluded."""
    pending, count = [value], 0
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            count += len(one)
            pending += one.values()
        elif isinstance(one, list):
            count += len(one)
            pending += one
    return count
