"""Attacks by single operations: documents and variables that ask for much work in few bytes."""

import json
from typing import Any

from tests.attacks.attacker import Attack, Attacker, Attacks

ACCOUNT, APPLICATION, LARGE, HIDDEN, NOBODY = "account", "application", "large", "hidden", ""
OPERATIONS: Attacks = []
TOO_COMPLEX, INVALID = "QUERY_TOO_COMPLEX", "BAD_USER_INPUT GRAPHQL_PARSE_FAILED GRAPHQL_VALIDATION_FAILED"


def operation(
    name: str, caller: str, query: str, variables: dict[str, Any] | None = None, *, outcomes: str, times: int = 1
) -> None:
    """Add the attack that sends this operation, so many times one after the other."""

    async def run(attacker: Attacker) -> set[str]:
        found: set[str] = set()
        for _ in range(times):
            found |= await attacker.post(query, variables, key=attacker.key(caller))
        return found

    OPERATIONS.append(Attack(name=name, run=run, outcomes=frozenset(outcomes.split())))


def aliases(count: int, field: str) -> str:
    return " ".join(f"a{number}: {field}" for number in range(count))


def rows(inner: str, *, levels: int = 3, size: str = "") -> str:
    """Select the installations of the account of the installations, and so on."""
    return "viewer { " + f"account {{ installations{size} {{ nodes {{ " * levels + inner + " } } }" * levels + " }"


# Each row costs one, its scalars and what it embeds nothing.
_ROWS = rows(aliases(98, "statusReason { code message since }"))
operation("aliases of an embedded object", ACCOUNT, f"{{ {_ROWS} }}", outcomes=TOO_COMPLEX)
operation(
    "aliases of an embedded object beside a failing field", ACCOUNT,
    f'{{ installation(id: "none") {{ id }} {_ROWS} }}', outcomes=TOO_COMPLEX,
)  # fmt: skip
operation(
    "aliases of an embedded list", ACCOUNT,
    f"{{ {rows(aliases(98, 'sync { steps { name done total } }'))} }}", outcomes=TOO_COMPLEX,
)  # fmt: skip
operation("aliases of a scalar", ACCOUNT, f"{{ {rows(aliases(99, 'createdAt'))} }}", outcomes=TOO_COMPLEX)
operation("aliases of a list of enums", ACCOUNT, f"{{ {rows(aliases(99, 'allowedActions'))} }}", outcomes=TOO_COMPLEX)
operation("aliases of a type name", ACCOUNT, f"{{ {rows(aliases(99, '__typename'))} }}", outcomes=TOO_COMPLEX)
operation(
    "aliases of edges", ACCOUNT, f"{{ {rows(aliases(40, 'account { id name }'), levels=2, size='(first: 9)')} }}",
    outcomes=f"OK {TOO_COMPLEX}",
)  # fmt: skip
operation(
    "fields without aliases", ACCOUNT,
    "{ " + rows(
        "id status version connectionFailures authorizationExpiresAt createdAt updatedAt activatedAt allowedActions"
        " statusReason { code message since } sync { state startedAt finishedAt expiresAt message steps { name done"
        " total } } application { id slug name description categories createdAt updatedAt } account { id name }"
    ) + " }",
    outcomes=TOO_COMPLEX,
)  # fmt: skip
operation(
    "a type name everywhere", ACCOUNT,
    "{ viewer { " + "account { __typename installations { __typename nodes { __typename " * 3 + "id" + " } } }" * 3
    + " } }",
    outcomes=f"OK {TOO_COMPLEX}",
)  # fmt: skip

# A variable is converted wherever it is used.
_LISTS = "account { installations(first: 0, filter: $f) { pageInfo { hasNextPage } } }"
operation(
    "a long list in a variable for each row and alias", ACCOUNT,
    "query ($f: InstallationFilter) { viewer { account { installations(first: 100) { nodes { "
    + aliases(40, _LISTS) + " } } } } }",
    {"f": {"statuses": ["ACTIVATED"] * 19_960}}, outcomes=f"OK {TOO_COMPLEX}",
)  # fmt: skip
operation(
    "a long list in a variable's list of statuses", ACCOUNT,
    "query ($s: [InstallationStatus!]) { viewer { account { installations(first: 100) { nodes { "
    + aliases(40, _LISTS.replace("$f", "{statuses: $s}")) + " } } } } }",
    {"s": ["ACTIVATED"] * 19_960}, outcomes=f"OK {TOO_COMPLEX}",
)  # fmt: skip
operation(
    "a large metadata filter in a variable for each row and alias", APPLICATION,
    "query ($m: JSON) { installations(first: 100) { nodes { "
    + aliases(40, "account { installations(first: 0, filter: {metadata: $m}) { pageInfo { hasNextPage } } }")
    + " } } }",
    {"m": {f"key {number}": [number] * 300 for number in range(40)}}, outcomes=f"OK {TOO_COMPLEX} {INVALID}",
)  # fmt: skip
operation(
    "a long string in a variable for each row and alias", ACCOUNT,
    "query ($a: String) { viewer { account { installations(first: 100) { nodes { "
    + aliases(40, "account { installations(first: 0, after: $a) { pageInfo { hasNextPage } } }") + " } } } } }",
    {"a": "A" * 99_000}, outcomes=f"{INVALID} {TOO_COMPLEX}",
)  # fmt: skip
operation(
    "many ids in a variable for many fields", ACCOUNT,
    "query ($i: [ID!]!) { " + aliases(30, "nodes(ids: $i) { id }") + " }",
    {"i": [f"018f0000-0000-4000-8000-{number:012}" for number in range(100)]}, outcomes=f"OK {TOO_COMPLEX}",
)  # fmt: skip
operation(
    "many ids in many literals", ACCOUNT,
    "{ " + " ".join(
        f"a{place}: nodes(ids: [" + " ".join(f'"018f0000-0000-4000-{place:04}-{number:012}"' for number in range(100))
        + "]) { id }"
        for place in range(30)
    ) + " }",
    outcomes=f"OK {TOO_COMPLEX}",
)  # fmt: skip

# What is not compiled runs in graphql-core, at ten times the cost.
_PAGE = rows("id status createdAt updatedAt application { name } account { name }", levels=2, size="(first: 40)")
operation(
    "introspection beside a large page", ACCOUNT, f'{{ __type(name: "Query") {{ name }} {_PAGE} }}',
    outcomes=f"OK {TOO_COMPLEX}",
)  # fmt: skip
operation(
    "a failing field beside a large page", ACCOUNT, f'{{ installation(id: "none") {{ id }} {_PAGE} }}',
    outcomes=f"{INVALID} {TOO_COMPLEX}",
)  # fmt: skip
operation(
    "a failing field in each row", APPLICATION,
    "{ installations(first: 100) { nodes { " + aliases(40, "application { installation { id } }") + " } } }",
    outcomes=f"{INVALID} {TOO_COMPLEX}",
)  # fmt: skip
operation(
    "a failing list in each row", ACCOUNT,
    "{ viewer { account { installations(first: 100) { nodes { "
    + aliases(40, "account { installations(first: -1) { pageInfo { hasNextPage } } }") + " } } } } }",
    outcomes=f"{INVALID} {TOO_COMPLEX}",
)  # fmt: skip
operation(
    "more fields than are compiled", ACCOUNT,
    f"{{ {rows('...F0', levels=2, size='(first: 20)')} }}"
    + "".join(f"fragment F{n} on Installation {{ a{n}: account {{ ...G{n} }} ...F{n + 1} }}" for n in range(12))
    + "".join(f"fragment G{n} on Account {{ id name __typename }}" for n in range(12))
    + "fragment F12 on Installation { id }",
    outcomes=f"OK {TOO_COMPLEX}",
)  # fmt: skip

operation(
    "a list of another type in each row", ACCOUNT,
    "{ applications(first: 100) { nodes { " + aliases(12, "installation { history { nodes { id } } }") + " } } }",
    outcomes=TOO_COMPLEX,
)  # fmt: skip

# The database.
operation(
    "pages of a log that hides its beginning", HIDDEN,
    "{ " + aliases(30, "installationEvents(first: 0) { pageInfo { hasNextPage } }") + " }",
    outcomes=f"OK {TOO_COMPLEX}", times=3,
)  # fmt: skip
operation(
    "histories that hide their beginning", HIDDEN,
    "{ viewer { account { installations(first: 100) { nodes { "
    + " ".join(f"a{n}: history(first: {n}) {{ nodes {{ id }} }}" for n in range(9)) + " } } } } }",
    outcomes=f"OK {TOO_COMPLEX}", times=3,
)  # fmt: skip
operation(
    "many counts", ACCOUNT,
    "{ " + " ".join(
        f'a{n}: installations(first: 0, filter: {{updatedSince: "2026-01-01T00:00:{n:02}Z"}}) {{ totalCount'
        " statusCounts { count } }" for n in range(30)
    ) + " }",
    outcomes=f"OK {TOO_COMPLEX}", times=3,
)  # fmt: skip
operation(
    "many counts by metadata", LARGE,
    "{ " + " ".join(
        f"a{n}: installations(first: 0, filter: {{metadata: {{number: {90 + n}}}}}) {{ totalCount }}" for n in range(30)
    ) + " }",
    outcomes=f"OK {TOO_COMPLEX}", times=3,
)  # fmt: skip
operation(
    "counts by metadata that all have", LARGE,
    "{ " + " ".join(
        f"a{n}: installations(first: {n}, filter: {{metadata: {{}}}}) {{ totalCount }}" for n in range(30)
    ) + " }",
    outcomes=f"OK {TOO_COMPLEX}", times=3,
)  # fmt: skip
operation(
    "searches for names of installations", LARGE,
    "{ " + " ".join(
        f'a{n}: installations(first: {n}, filter: {{search: "{n % 10}"}}) {{ totalCount nodes {{ id }} }}'
        for n in range(30)
    ) + " }",
    outcomes=f"OK {INVALID} {TOO_COMPLEX}", times=3,
)  # fmt: skip
operation(
    "searches for long texts", ACCOUNT,
    "query ($s: String) { " + " ".join(
        f"a{n}: applications(first: {n}, filter: {{search: $s}}) {{ totalCount }}" for n in range(30)
    ) + " }",
    {"s": "%a" * 45_000}, outcomes=f"OK {INVALID} {TOO_COMPLEX}",
)  # fmt: skip
operation(
    "many histories", ACCOUNT,
    "{ viewer { account { installations(first: 100) { nodes { "
    + " ".join(f"a{n}: history(last: {n}) {{ nodes {{ id }} }}" for n in range(12)) + " } } } } }",
    outcomes=f"OK {TOO_COMPLEX}",
)  # fmt: skip

operation(
    "many pages of events with their installations", LARGE,
    "{ " + " ".join(
        f"a{n}: installationEvents(first: {70 + n}) {{ nodes {{ installation {{ metadata version }} }} }}"
        for n in range(30)
    ) + " }",
    outcomes=TOO_COMPLEX,
)  # fmt: skip

# Sizes of answers.
operation(
    "aliases of large metadata", LARGE, f"{{ installations(first: 64) {{ nodes {{ {aliases(95, 'metadata')} }} }} }}",
    outcomes=TOO_COMPLEX,
)  # fmt: skip
operation(
    "long keys in each row", ACCOUNT,
    "{ viewer { account { installations(first: 100) { nodes { "
    + " ".join(f"{'a' * 1900}{n}: id" for n in range(90)) + " } } } } }",
    outcomes=TOO_COMPLEX,
)  # fmt: skip

# Documents.
operation(
    "fragments that double at each level", NOBODY,
    "{ ...F0 }" + "".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(60))
    + "fragment F60 on Query { __typename }",
    outcomes=f"OK {TOO_COMPLEX}", times=20,
)  # fmt: skip
operation(
    "inline fragments in each other", NOBODY, "{" + "...{" * 1_200 + "__typename" + "}" * 1_201, outcomes=TOO_COMPLEX,
    times=20,
)  # fmt: skip
operation(
    "inline fragments in each other in a row", ACCOUNT,
    "{ viewer {" + "...{" * 150 + "kind" + "}" * 152, outcomes=f"OK {TOO_COMPLEX}", times=20,
)  # fmt: skip
operation(
    "one field written often", NOBODY, "{" + "__typename " * 499 + "}",
    outcomes=f"OK {TOO_COMPLEX}", times=20,
)  # fmt: skip
operation(
    "fields that conflict", ACCOUNT,
    "{ viewer {" + " ".join(f"a: account {{ b{n}: id }}" for n in range(99)) + "} }", outcomes=f"OK {TOO_COMPLEX}",
    times=5,
)  # fmt: skip
operation(
    "fragments that conflict", ACCOUNT,
    "{ viewer { ...F0 ...F1 } }" + "".join(
        f"fragment F{n} on Viewer {{ account {{ installations(first: {n}) {{ totalCount }} }}"
        f" ...F{(n + 1) % 100} ...F{(n + 2) % 100} }}" for n in range(100)
    ),
    outcomes=f"{INVALID} {TOO_COMPLEX}", times=10,
)  # fmt: skip
operation(
    "directives by the hundred", NOBODY, "{ __typename " + "@include(if: true) " * 600 + "}",
    outcomes=TOO_COMPLEX, times=20,
)  # fmt: skip
operation(
    "unknown fields by the hundred", NOBODY, "{" + " ".join(f"unknownInstallationsField{n}" for n in range(490)) + "}",
    outcomes=f"{INVALID} {TOO_COMPLEX}", times=20,
)  # fmt: skip
operation(
    "unknown arguments by the hundred", ACCOUNT,
    "{ installations(" + " ".join(f"firstt{n}: 1" for n in range(900)) + ") { totalCount } }",
    outcomes=INVALID, times=20,
)  # fmt: skip
operation(
    "huge numbers", ACCOUNT, "{ installations(first: " + "9" * 190_000 + ") { totalCount } }",
    outcomes=f"{INVALID} {TOO_COMPLEX}", times=10,
)  # fmt: skip
operation(
    "a huge number in metadata", APPLICATION,
    "{ installations(filter: {metadata: {a: " + "9" * 190_000 + "}}) { totalCount } }",
    outcomes=f"OK {INVALID} {TOO_COMPLEX}", times=10,
)  # fmt: skip
operation(
    "huge strings", ACCOUNT, '{ installation(id: "' + "a" * 190_000 + '") { id } }',
    outcomes=f"{INVALID} {TOO_COMPLEX}", times=20,
)  # fmt: skip
operation(
    "block strings of empty lines", NOBODY, '{ __type(name: """' + "\n \n" * 60_000 + '""") { name } }',
    outcomes=f"OK {INVALID} {TOO_COMPLEX}", times=10,
)  # fmt: skip
operation(
    "comments and commas", NOBODY, "#\n," * 60_000 + "{ __typename }", outcomes=f"OK {TOO_COMPLEX}", times=10,
)  # fmt: skip
operation(
    "escapes in a document", NOBODY, '{ __type(name: "' + "\\u{0001F600}" * 16_000 + '") { name } }',
    outcomes=f"OK {INVALID} {TOO_COMPLEX}", times=10,
)  # fmt: skip
operation(
    "values nested in each other", NOBODY, "{ __type(name: " + "[" * 1_900 + "]" * 1_900 + ") { name } }",
    outcomes=f"{INVALID} {TOO_COMPLEX}", times=10,
)  # fmt: skip
operation(
    "many variables", NOBODY, "query (" + " ".join(f"$v{n}: Int = 1" for n in range(600)) + ") { __typename }",
    outcomes=f"{INVALID} {TOO_COMPLEX}", times=10,
)  # fmt: skip
operation(
    "many operations", ACCOUNT, " ".join(f"query Q{n} {{ viewer {{ kind }} }}" for n in range(400)),
    outcomes=f"{INVALID} {TOO_COMPLEX}", times=10,
)  # fmt: skip

# Introspection, which needs no key.
_SCHEMA = "types { name fields { name type { name ofType { name ofType { name } } } args { name type { name } } } }"
operation(
    "introspection of everything, many times", NOBODY, f"{{ {aliases(30, f'__schema {{ {_SCHEMA} }}')} }}",
    outcomes=f"OK {TOO_COMPLEX}", times=3,
)  # fmt: skip
operation(
    "introspection of all types by many aliases", NOBODY,
    "{ __schema { " + aliases(95, "types { name fields { name args { name } } }") + " } }",
    outcomes=TOO_COMPLEX, times=3,
)  # fmt: skip
operation(
    "introspection of the type of everything", NOBODY,
    "{ __schema { types " + "{ fields { type " * 6 + "{ name }" + "} }" * 6 + " } }",
    outcomes=f"{TOO_COMPLEX} {INVALID}",
)  # fmt: skip
operation(
    "introspection sixteen types deep", NOBODY,
    "{ __schema { types { fields { type " + "{ ofType " * 11 + "{ name }" + "}" * 11 + " } } } }",
    outcomes=f"OK {TOO_COMPLEX} {INVALID}", times=10,
)  # fmt: skip
operation(
    "introspection of the possible types of everything", NOBODY,
    "{ __schema { types { possibleTypes { interfaces { possibleTypes { interfaces { name } } } } } } }",
    outcomes=f"OK {TOO_COMPLEX} {INVALID}",
)  # fmt: skip
operation(
    "introspection of one type with long aliases", NOBODY,
    "{ __schema { types { " + " ".join(f"{'a' * 1900}{n}: description" for n in range(90)) + " } } }",
    outcomes=TOO_COMPLEX, times=3,
)  # fmt: skip

# Variables.
_PAGED = (
    "query ($first: Int, $filter: InstallationFilter) { installations(first: $first, filter: $filter) { totalCount } }"
)
operation(
    "variables nested in each other", APPLICATION, _PAGED,
    {"filter": {"metadata": json.loads('{"a":' * 450 + "1" + "}" * 450)}},
    outcomes=f"OK {INVALID} {TOO_COMPLEX}", times=10,
)  # fmt: skip
operation(
    "unknown variables", ACCOUNT, _PAGED, {f"unknown{n}": n for n in range(19_000)},
    outcomes=f"OK {TOO_COMPLEX} {INVALID}", times=10,
)  # fmt: skip
operation(
    "wrong values in a long list", ACCOUNT, _PAGED, {"filter": {"statuses": ["NONE"] * 19_000}},
    outcomes=f"{INVALID} {TOO_COMPLEX}", times=10,
)  # fmt: skip
operation(
    "unknown fields of an input", ACCOUNT, _PAGED, {"filter": {f"statusess{n}": n for n in range(19_000)}},
    outcomes=f"{INVALID} {TOO_COMPLEX}", times=5,
)  # fmt: skip
operation(
    "many long strings in variables", APPLICATION, _PAGED,
    {"filter": {"metadata": {f"k{n}": "e" * 90_000 for n in range(9)}}},
    outcomes=f"OK {INVALID} {TOO_COMPLEX}", times=10,
)  # fmt: skip
