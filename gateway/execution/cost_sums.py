"""The compiled estimate of a document: sums of sums, in which only what variables give is open.

Weights are multiples of half a unit, which floats add and multiply exactly; the whole is rounded up.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import IntValueNode, ListValueNode, NullValueNode, ObjectValueNode, ValueNode

from gateway.domain.pages import DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE
from gateway.execution.variables import count_values

_MAX_DIGITS = len(str(LARGEST_PAGE_SIZE))


Factor = int | Callable[[Mapping[str, Any], Mapping[str, int]], int]
"""A number, or what returns it of a request's variables, as they came or by their defaults, and of how many values each
one's list or object has, at any depth."""


def largest_size(variables: Sequence[str], *, counts_items: bool) -> Factor:
    """Return the size of a list that variables give: the largest of those named."""

    def read(value: Any) -> int | None:
        if counts_items and isinstance(value, list):
            return len(value)
        if value is None or counts_items:
            return None
        # anything but an integer is refused when variables are coerced, and a size that is too large by the list itself
        return bounded_size(value) if type(value) is int else LARGEST_PAGE_SIZE

    def size(values: Mapping[str, Any], _counts: Mapping[str, int]) -> int:
        sizes = [read(values.get(name)) for name in variables]
        known = [size for size in sizes if size is not None]
        return max(known) if known else DEFAULT_PAGE_SIZE

    return size


def items_of(variable: str, member: str | None = None) -> Factor:
    """Return how many items a variable, or a member of its object, has: 1 where it is no list, 0 where not given."""

    def items(values: Mapping[str, Any], _counts: Mapping[str, int]) -> int:
        value = values.get(variable)
        if member is not None:
            if not isinstance(value, dict) or member not in value:
                return 0
            value = value[member]
        return len(value) if isinstance(value, list) else 1

    return items


@dataclass(slots=True, eq=False)
class Sum:
    constant: float = 0
    terms: list[tuple[Factor, "Sum"]] = field(default_factory=list)
    """Pairs of a factor and the sum that it multiplies."""

    def add(self, factor: Factor, added: "Sum") -> None:
        """Add the product of a factor and a sum that is complete."""
        if added.terms:
            self.terms.append((factor, added))
        else:
            self.add_weight(factor, added.constant)

    def add_weight(self, factor: Factor, weight: float) -> None:
        """Add the product of a factor and a weight."""
        if isinstance(factor, int):
            self.constant += factor * weight
        elif weight:
            self.terms.append((factor, Sum(weight)))


class Cost:
    """The estimate for one operation."""

    __slots__ = ("_constants", "_default_counts", "_defaults", "_open", "constant")

    def __init__(self, whole: Sum, *, defaults: Mapping[str, ValueNode]) -> None:
        """`defaults` are those of the operation's variables."""
        self.constant = None if whole.terms else math.ceil(whole.constant)
        """The cost, where no variable changes it."""
        sums = _in_order(whole)
        places = {each: at for at, each in enumerate(sums)}
        self._constants = [each.constant for each in sums]
        self._open = [
            (at, [(factor, places[added]) for factor, added in each.terms]) for each, at in places.items() if each.terms
        ]
        """The sums that variables change, by their index."""
        self._defaults = {name: _plain(value) for name, value in defaults.items()}
        self._default_counts = count_values(self._defaults)

    def value(self, variables: Mapping[str, Any] | None, counts: Mapping[str, int] | None = None) -> int:
        """Return the cost with these variables, as they came; `counts`: the numbers of their values, if known."""
        if self.constant is not None:
            return self.constant
        variables = variables or {}
        counts = count_values(variables) if counts is None else counts
        if self._defaults:
            variables, counts = {**self._defaults, **variables}, {**self._default_counts, **counts}
        sums = self._constants.copy()
        for at, terms in self._open:
            for factor, earlier in terms:
                sums[at] += (factor if isinstance(factor, int) else factor(variables, counts)) * sums[earlier]
        return math.ceil(sums[-1])


def _in_order(whole: Sum) -> list[Sum]:
    """Return all sums of one, each after those that it refers to; not recursive: a chain of fragments may be long."""
    ordered: dict[Sum, None] = {}
    pending = [whole]
    while pending:
        missing = [added for _, added in pending[-1].terms if added not in ordered]
        if missing:
            pending += missing
        else:
            ordered[pending.pop()] = None
    return list(ordered)


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
