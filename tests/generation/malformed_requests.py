"""Malformed requests: documents with random edits of their tokens, and random variables."""

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
    is_required_input_field,
)

from tests.generation.documents import DIGITS, KINDS, NUMBERS, ODD_IDS, ODD_NUMBERS, ODD_TEXTS, ODD_TIMES, SCHEMA

_TOKENS = re.compile(r'"(?:\\.|[^"\\])*"|[_A-Za-z]\w*|-?\d+(?:\.\d+)?|\.\.\.|\s+|.', re.DOTALL)
_LOOSE_TOKENS = (
    "{", "}", "(", ")", "...", "@skip(if: true)", "@include(if: $no)", "$input", "!", "[", "]", ":", "null", "true",
    "__typename", "__schema { types { name } }", "fragment Loop on Query { ...Loop }", "... on Installation", "id",
    "query", "mutation", "subscription", "-", "1e999", '"""block"""', '"', "#", "\ufeff", "\0", "\ud800", "é", "&", "|",
    "a: ", "input:", "INACTIVE", "@deprecated", "@oneOf", "\u2028", DIGITS, '"\\ud83d\\ude00"', '"\\ud83d"',
)  # fmt: skip
_TEXTS_OF_JSON = (*ODD_TEXTS, "\ud800", "\udfff\ud800", "a\0b")
LONG_INTEGER = "an integer too long for Python"
Body = dict[str, Any]


def encoded(body: Body) -> str:
    """Write a request, with the integers that Python cannot write."""
    return json.dumps(body).replace(json.dumps(LONG_INTEGER), DIGITS)


def malformed(document: str, rng: random.Random) -> Body:
    """Return a request's body for this document with one kind of defect."""
    if rng.random() < 0.4 and (request := with_variables(document, rng)) is not None:
        return request
    tokens = _TOKENS.findall(document)
    damages = _DAMAGES if rng.random() < 0.5 else (_altered,)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        rng.choice(damages)(tokens, rng)
    body: Body = {"query": "".join(tokens)}
    if rng.random() < 0.1:
        body |= {
            "variables": {"input": odd_json(rng, depth=3)},
            "operationName": rng.choice((None, "", "Q", "\0")),
        }
    return body


def _deleted(tokens: list[str], rng: random.Random) -> None:
    if tokens:
        del tokens[rng.randrange(len(tokens))]


def _swapped(tokens: list[str], rng: random.Random) -> None:
    places = [place for place, token in enumerate(tokens) if token.strip()]
    if len(places) > 1:
        one, other = rng.sample(places, 2)
        tokens[one], tokens[other] = tokens[other], tokens[one]


def _renamed(tokens: list[str], rng: random.Random) -> None:
    """Replace one name by another of the schema."""
    names = [place for place, token in enumerate(tokens) if token.isidentifier()]
    if names:
        tokens[rng.choice(names)] = rng.choice(_NAMES)


def _altered(tokens: list[str], rng: random.Random) -> None:
    """Replace one string or number by another; the document mostly stays valid."""
    strings = [place for place, token in enumerate(tokens) if token.startswith('"')]
    numbers = [place for place, token in enumerate(tokens) if token.isdecimal()]
    if strings and (not numbers or rng.random() < 0.7):
        tokens[rng.choice(strings)] = json.dumps(rng.choice((*ODD_TEXTS, *ODD_TIMES, *ODD_IDS)), ensure_ascii=False)
    elif numbers:
        tokens[rng.choice(numbers)] = str(rng.choice(ODD_NUMBERS))


def _inserted(tokens: list[str], rng: random.Random) -> None:
    tokens.insert(rng.randint(0, len(tokens)), f" {rng.choice(_LOOSE_TOKENS)} ")


def _repeated(tokens: list[str], rng: random.Random) -> None:
    start = rng.randrange(len(tokens) + 1)
    tokens[start:start] = tokens[start : start + rng.randint(1, 40)]


def _cut(tokens: list[str], rng: random.Random) -> None:
    del tokens[rng.randrange(len(tokens) + 1) :]


_DAMAGES: tuple[Callable[[list[str], random.Random], None], ...] = (
    _deleted, _swapped, _renamed, _renamed, _inserted, _repeated, _cut,
)  # fmt: skip
_NAMES = sorted(
    {
        name
        for kind in SCHEMA.type_map.values()
        for name in (kind.name, *getattr(kind, "fields", {}), *getattr(kind, "values", {}))
        if not name.startswith("__")
    }
)


def with_variables(document: str, rng: random.Random) -> Body | None:
    """Ask for one of the document's mutations, or any, with an input in the variables."""
    mutation = SCHEMA.mutation_type
    assert mutation is not None
    if not document.startswith("mutation"):
        return None
    name = rng.choice([field for field in mutation.fields if field in document] or list(mutation.fields))
    declared: GraphQLInputType = mutation.fields[name].args["input"].type
    outcome = get_named_type(mutation.fields[name].type)
    typed = "... on Error { message } ... on Installation { id version metadata }" if "Inst" in outcome.name else ""
    query = f"mutation Given($input: {declared}) {{ {name}(input: $input) {{ __typename {typed} }} }}"
    return {"query": query, "variables": {"input": given(declared, rng)}, "operationName": "Given"}


def given(kind: GraphQLInputType, rng: random.Random) -> Any:
    """Draw a value for a variable, mostly of its type."""
    if rng.random() < 0.02:
        return odd_json(rng, depth=2)
    match kind:
        case GraphQLNonNull():
            return given(kind.of_type, rng)
        case GraphQLList():
            return [given(kind.of_type, rng) for _ in range(rng.choice((0, 1, 1, 1, 1, 1, 2, 60)))]
        case GraphQLEnumType():
            return rng.choice(list(kind.values))
        case GraphQLInputObjectType():
            return _given_object(kind, rng)
        case _:
            return _SCALARS[kind.name](rng)


def _given_object(kind: GraphQLInputObjectType, rng: random.Random) -> Any:
    if kind.is_one_of:
        name = rng.choice(list(kind.fields))
        return {name: given(kind.fields[name].type, rng)}
    return {
        name: given(field.type, rng)
        for name, field in kind.fields.items()
        if is_required_input_field(field) or rng.random() < 0.4
    }


def odd_json(rng: random.Random, *, depth: int) -> Any:
    """Draw any JSON, and what only Python's encoder writes: NaN, half of a surrogate pair."""
    match rng.randrange(10) if depth else 0:
        case 0 | 1 | 2 | 3 | 4 | 5:
            return rng.choice(rng.choice(_PLAIN_JSON))
        case 6 | 7:
            return [odd_json(rng, depth=depth - 1) for _ in range(rng.choice((0, 1, 3)))]
        case _:
            return {
                rng.choice((*_TEXTS_OF_JSON, "a", "b", "erp")): odd_json(rng, depth=depth - 1)
                for _ in range(rng.choice((0, 1, 3, 60)))
            }


def _nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = {"a": value} if level % 2 else [value]
    return value


_PLAIN_JSON: Sequence[Sequence[Any]] = (
    _TEXTS_OF_JSON,
    (*ODD_NUMBERS, LONG_INTEGER),
    (None, True, False),
    (1.0, -0.0, 1e308, float("nan"), float("inf"), 0.1),
    [_nested(levels) for levels in (1, 7, 8, 9, 90, 300)],
)


def _identifier(rng: random.Random) -> Any:
    if rng.random() < 0.95:
        return f"@{rng.choice(KINDS)}:{rng.choice(NUMBERS)}@"
    return rng.choice((*ODD_IDS, "\ud800", 7, 10**20, 1.5))


def _text(rng: random.Random) -> Any:
    if rng.random() < 0.8:
        return f"name-{rng.randrange(10**6)}"
    return rng.choice((*_TEXTS_OF_JSON, 3))


def _whole_number(rng: random.Random) -> Any:
    if rng.random() < 0.8:
        return rng.randint(1, 4)
    return rng.choice((*ODD_NUMBERS, 1.0, 1.5, "1", True))


def _time(rng: random.Random) -> Any:
    if rng.random() < 0.6:
        return f"2099-01-01T00:00:{rng.randrange(60):02}Z"
    return rng.choice((*ODD_TIMES, 0, 1e12))


def _object(rng: random.Random) -> Any:
    if rng.random() < 0.2:
        return odd_json(rng, depth=4)
    names = rng.sample(("a", "b", "erp", "é", "", "x" * 40, "y" * 41), rng.randint(0, 3))
    return {name: odd_json(rng, depth=1) if rng.random() < 0.2 else rng.randrange(9) for name in names}


_SCALARS: Mapping[str, Callable[[random.Random], Any]] = {
    "ID": _identifier,
    "String": _text,
    "Int": _whole_number,
    "Boolean": lambda rng: rng.choice((True, False) * 8 + (0, "true")),
    "DateTime": _time,
    "JSON": _object,
}
