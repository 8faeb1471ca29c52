"""Random operations of the schema, drawn by hypothesis-graphql, with unusual values.

What is known at the time of the request alone (ids, cursors) stands in them as a placeholder: `@installation:3@`.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from graphql import (
    DocumentNode,
    FloatValueNode,
    GraphQLInputObjectType,
    IntValueNode,
    Node,
    NullValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    StringValueNode,
    Visitor,
    build_schema,
    print_ast,
    visit,
)
from graphql import NameNode as Name
from graphql import ValueNode as Value
from hypothesis import strategies as st
from hypothesis_graphql import Mode, mutations, nodes, queries

from gateway.schema.schema import print_sdl

SDL = print_sdl()
SCHEMA = build_schema(SDL)
MUTATIONS = sorted(SCHEMA.mutation_type.fields) if SCHEMA.mutation_type else []
_ALTERNATIVES = [
    set(kind.fields) for kind in SCHEMA.type_map.values() if isinstance(kind, GraphQLInputObjectType) and kind.is_one_of
]
NULL = "\N{NULL}"
ODD_TEXTS = (
    "", " ", NULL, "a" * 5_000, "💶", "%", "_", "\\", "'; drop table accounts; --", "\u202e", "null", "x" * 63, "a-b",
    "e\u0301" * 300, "{}", "https://example.org/logo.png", "https://user:secret@example.org", "\U0010ffff", "\r\n\t",
)  # fmt: skip
TIMES = (
    "2026-01-31T12:00:00Z", "2099-12-31T23:59:59.999999+00:00", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z",
)  # fmt: skip
ODD_TIMES = (
    *TIMES,
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-02-30T00:00:00Z",
    "2026-01-31T12:00:00", "2026-01-31", "20260131T120000Z", "2016-12-31T23:59:60Z", "now", "infinity", "",
    "2026-W05-6T12:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T12:00:00.1234567891Z", "2026-01-31T12:00:00+00:00:30",
)  # fmt: skip
ODD_NUMBERS = (0, 1, 2, -1, 20, 100, 101, 300, 86_400, 2**31 - 1, 2**31, -(2**31), 2**63, 10**30)
DIGITS = "9" * 5_000
"""An integer that Python turns into no int, and none into it."""
ODD_IDS = ("", "0", "x", "00000000-0000-0000-0000-000000000000", "{8a0f0f0e-7d9c-4c39-9a57-0d5c9f3f2f3a}", "é" * 36)
KINDS = ("application", "account", "installation", "key", "absent")
CURSORS = ("event", "end", "CREATED_AT ASC", "CREATED_AT DESC", "UPDATED_AT ASC", "UPDATED_AT DESC", "NAME ASC")
NUMBERS = range(12)
_PLACEHOLDER = re.compile(r"@([A-Za-z_ ]+):(\d+)@")

Scalars = Mapping[str, st.SearchStrategy[Value]]
Replacements = Mapping[str, Sequence[str]]
"""What a placeholder's number chooses among, by its kind."""


def placeholders(kinds: Sequence[str]) -> st.SearchStrategy[str]:
    return st.builds("@{}:{}@".format, st.sampled_from(kinds), st.sampled_from(NUMBERS))


def replaced(text: str, known: Replacements) -> str:
    """Replace each placeholder by a known value; where its kind has none, an id by an absent one, others by nothing."""

    def chosen(found: re.Match[str]) -> str:
        among = known.get(found[1], ()) or (known.get("absent", ()) if found[1] in KINDS else ())
        return among[int(found[2]) % len(among)] if among else ""

    return _PLACEHOLDER.sub(chosen, text)


IDS = placeholders(KINDS)
ANY_IDS = st.one_of(*[IDS] * 12, st.sampled_from(ODD_IDS))
ANY_TEXTS = st.one_of(
    placeholders(CURSORS), *[placeholders(("slug", "word"))] * 4, st.sampled_from(ODD_TEXTS), st.text(max_size=30)
)
ANY_NUMBERS = st.one_of(*[st.integers(1, 30)] * 6, st.sampled_from((0, 100, 101, -1, 86_400, 2**31 - 1, -(2**31))))
_LEAVES: st.SearchStrategy[Value] = (
    ANY_TEXTS.map(nodes.String)
    | st.sampled_from(ODD_NUMBERS).map(nodes.Int)
    | st.just(DIGITS).map(lambda digits: IntValueNode(value=digits))
    | st.sampled_from(("1e400", "-0.0", "1.0", "1e99999", "1E-20000", "0.1")).map(
        lambda text: FloatValueNode(value=text)
    )
    | st.just(nodes.Null)
    | st.booleans().map(nodes.Boolean)
)
_NAMES = st.sampled_from(("a", "b", "secret", "erp", "customerId", "x" * 41, "_"))


def json_object(values: dict[str, Value]) -> Value:
    return nodes.Object([ObjectFieldNode(name=Name(value=name), value=value) for name, value in values.items()])


JSON: st.SearchStrategy[Value] = st.dictionaries(_NAMES, _LEAVES, max_size=4).map(json_object) | st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4).map(nodes.List) | st.dictionaries(_NAMES, inner, max_size=4).map(json_object)
    ),
    max_leaves=8,
)
ANY_SCALARS: Scalars = {
    "ID": ANY_IDS.map(nodes.String),
    "String": ANY_TEXTS.map(nodes.String),
    "Int": ANY_NUMBERS.map(nodes.Int),
    "DateTime": st.sampled_from(TIMES).map(nodes.String),
    "JSON": JSON,
}


@cache
def _subscription_sdl() -> str:
    """Print a schema with the subscriptions as queries: hypothesis-graphql draws no subscriptions."""
    return f"schema {{ query: Subscription mutation: Mutation }}\n{SDL}"


def subscription_documents(*, scalars: Scalars) -> st.SearchStrategy[str]:
    """Draw subscriptions, each with its one field."""
    fields = ("installationEvents", "installationStatusChanged")
    fitting = (queries(_subscription_sdl(), fields=[name], custom_scalars=scalars) for name in fields)
    return st.one_of(*fitting).map("subscription {}".format)


def query_documents(*, scalars: Scalars, mode: Mode = Mode.POSITIVE) -> st.SearchStrategy[str]:
    return queries(SDL, custom_scalars=scalars, mode=mode, print_ast=_printed)


def mutation_documents(*, scalars: Scalars) -> st.SearchStrategy[str]:
    """Draw mutations, each with one field."""
    return st.one_of(*(mutations(SDL, fields=[name], custom_scalars=scalars, print_ast=_printed) for name in MUTATIONS))


def any_documents() -> st.SearchStrategy[str]:
    """Draw queries, mutations and subscriptions, valid ones and some with one violation of the schema."""
    fitting = [
        query_documents(scalars=ANY_SCALARS),
        mutation_documents(scalars=ANY_SCALARS),
        subscription_documents(scalars=ANY_SCALARS),
    ]
    return st.one_of(*fitting, *fitting, query_documents(scalars=ANY_SCALARS, mode=Mode.NEGATIVE))


class _OneOf(Visitor):
    """Leaves one field of the inputs that take exactly one, as hypothesis-graphql does not know of these."""

    def enter_object_value(self, node: ObjectValueNode, *_rest: object) -> Node | None:
        names = {field.name.value for field in node.fields}
        if not names or not any(names <= alternatives for alternatives in _ALTERNATIVES):
            return None
        first = node.fields[0]
        value = StringValueNode(value="x") if isinstance(first.value, NullValueNode) else first.value
        return ObjectValueNode(fields=(ObjectFieldNode(name=first.name, value=value),))


def _printed(document: DocumentNode) -> str:
    return print_ast(visit(document, _OneOf()))
