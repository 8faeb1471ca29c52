"""Weights that fit measured figures better than the model's: what `tests.benchmarks.costs` suggests."""

import math
import re
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphql import get_operation_ast
from strawberry import Schema

from gateway.execution.costs import CostModel, estimate
from gateway.execution.documents import Operation

_TABLES = ("weights", "statements", "lookups")
_SINGLE = ("operation", "mutation", "object", "leaf", "introspection", "value")
_FIXED = {"object", "leaf", "introspection", "value"}
_MORE = 1_000
_ROUNDS, _STEP, _INERTIA = 200, 0.3, 0.1
Weights = dict[str, float]
"""By the table and the name in it, `weights Query.installations`, or by the name of a single weight of the model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """The microseconds that a document took, and how often each weight counts in its cost."""

    microseconds: float
    counts: Weights

    def unit(self, weights: Weights) -> float:
        """Return the microseconds of a unit."""
        return self.microseconds / sum(weights[name] * count for name, count in self.counts.items())


def weights_of(model: CostModel) -> Weights:
    weights = {name: float(getattr(model, name)) for name in _SINGLE}
    for table in _TABLES:
        weights |= {f"{table} {name}": float(units) for name, units in getattr(model, table).items()}
    return weights


def counts(schema: Schema, operation: Operation, *, model: CostModel, variables: Mapping[str, Any]) -> Weights:
    """Return how often each weight counts in the cost of an operation: the cost is the sum of their products."""
    definition, core = get_operation_ast(operation.document, operation.name), schema._schema
    assert definition is not None
    cost, words, found = operation.cost.value(variables), set(re.findall(r"\w+", operation.source)), {}
    for weight in weights_of(model):
        table, _, name = weight.rpartition(" ")
        if not table:
            more: dict[str, Any] = {name: getattr(model, name) + _MORE}
        elif "." not in name or name.rpartition(".")[2] in words:
            given = getattr(model, table)
            more = {table: {**given, name: given[name] + _MORE}}
        else:
            continue
        changed = estimate(core, operation.document, definition, model=replace(model, **more)).value(variables)
        if changed != cost:
            found[weight] = (changed - cost) / _MORE
    return found


def ratio(figures: Sequence[Figure], weights: Weights) -> float:
    """Return how many times as many microseconds a unit takes in the dearest document as in the cheapest."""
    units = [figure.unit(weights) for figure in figures]
    return max(units) / min(units)


def fitted(figures: Sequence[Figure], weights: Weights) -> Weights:
    """Return rounded weights by which a unit takes more nearly the same time, the median, in all documents.

    Each weight is multiplied again and again by the mean of the documents' ratios to the median, by its share of each
    cost and by how far the ratio is from 1; where a few documents only have a small share of it, it hardly moves. Those
    of objects, leaves and values stay, and those of one table that have one value and one field's name stay equal.
    """
    equal = {name: (name.partition(" ")[0], name.rpartition(".")[2], units) for name, units in weights.items()}
    given = {group: math.log(group[-1]) for group in equal.values()}
    logarithms, median = dict(given), statistics.median(figure.unit(weights) for figure in figures)
    for _ in range(_ROUNDS):
        now = {name: math.exp(logarithms[group]) for name, group in equal.items()}
        moves, shares = defaultdict[Any, float](float), defaultdict[Any, float](float)
        units = [figure.unit(now) for figure in figures]
        for figure, unit in zip(figures, units, strict=True):
            missed = math.log(unit / median)
            for name in figure.counts.keys() - _FIXED:
                share = now[name] * figure.counts[name] * unit / figure.microseconds * missed**2
                moves[equal[name]] += share * missed
                shares[equal[name]] += share
        for group, share in shares.items():
            pull = _INERTIA * (given[group] - logarithms[group])
            logarithms[group] += _STEP * (moves[group] + pull) / (share + _INERTIA)
    return {name: float(f"{math.exp(logarithms[group]):.2g}") for name, group in equal.items()}
