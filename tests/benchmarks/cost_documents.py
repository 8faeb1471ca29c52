"""Documents whose cost is compared with the CPU that they take: families that differ in one thing, and random ones."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

from tests.generation.documents import ANY_SCALARS, query_documents, replaced
from tests.generation.samples import sampled
from tests.live.dataset import Dataset

_ROW = """id status statusReason { code message since } version connectionFailures authorizationExpiresAt createdAt
  updatedAt activatedAt sync { state startedAt } application { id name slug categories } account { id name }"""
_INTROSPECTION = "{ __schema { types { name kind description fields { name type { name kind ofType { name } } } } } }"

VALUE = "x" * 40
"""Ten of them are the metadata of each installation, by the names `key0` to `key9`."""
VARIABLES = {"metadata": {"number": 0}}
"""Given with each document; the number is another one each time, so that each write changes something."""


def documents(dataset: Dataset) -> dict[str, str]:
    """Return the text of each document by its name."""
    named = itertools.chain(written_documents(dataset), random_documents(dataset))
    return {name: text for text, name in {text: name for name, text in named if "[]" not in text}.items()}


def written_documents(dataset: Dataset) -> Iterator[tuple[str, str]]:
    written = (families, filters, combined_filters, event_filters, nested_filters, repeated, mutations)
    return itertools.chain(*(each(dataset) for each in written))


def families(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of documents that differ in a size, a count, or a depth."""
    application, accounts = dataset.applications[0].id, dataset.accounts[:30]
    for size in (0, 1, 5, 20, 40):
        page = f"installations(first: {size})"
        yield f"page of {size}: ids", f"{{ {page} {{ nodes {{ id }} }} }}"
        yield f"page of {size}: edges", f"{{ {page} {{ edges {{ cursor node {{ id status }} }} }} }}"
        yield f"page of {size}: rows", f"{{ {page} {{ nodes {{ {_ROW} }} }} }}"
        yield f"page of {size}: metadata", f"{{ {page} {{ nodes {{ id metadata }} }} }}"
        yield f"page of {size}: actions", f"{{ {page} {{ nodes {{ id allowedActions }} }} }}"
        yield f"page of {size}: history", f"{{ {page} {{ nodes {{ history(first: 2) {{ nodes {{ id }} }} }} }} }}"
        yield f"applications, {size}", f"{{ applications(first: {size}) {{ nodes {{ id name slug listed }} }} }}"
        yield (
            f"nested page of {size}",
            f"{{ applications(first: {size}) {{ nodes {{ installations(first: 5) {{ nodes {{ id }} }} }} }} }}",
        )
        yield f"events, {size}", f"{{ installationEvents(first: {size}) {{ nodes {{ id cursor actor {{ kind }} }} }} }}"
        yield (
            f"events, {size}: installations",
            f"{{ installationEvents(first: {size}) {{ nodes {{ id installation {{ id status }} }} }} }}",
        )
    for count in (1, 10, 30, 98):
        for field in ("statusReason { code }", "updatedAt", "metadata", "status", "application { name }"):
            aliases = " ".join(f"a{at}: {field}" for at in range(count))
            yield f"{count} aliases of {field}", f"{{ installations(first: 50) {{ nodes {{ {aliases} }} }} }}"
        aliases = " ".join(
            f'a{at}: installations(first: 1, filter: {{applicationIds: ["{one.id}"]}}) {{ totalCount }}'
            for at, one in enumerate(dataset.applications[: min(count, 30)])
        )
        yield f"{count} counts", f"{{ {aliases} }}"
        aliases = " ".join(
            f'a{at}: installations(first: 1, filter: {{metadata: {{key{at}: "x"}}}}) {{ nodes {{ id }} }}'
            for at in range(min(count, 30))
        )
        yield f"{count} metadata filters", f"{{ {aliases} }}"
        aliases = " ".join(f'a{at}: account(id: "{one.id}") {{ name }}' for at, one in enumerate(accounts[:count]))
        yield f"{count} lookups", f"{{ {aliases} }}"
        ids = ", ".join(f'"{one.id}"' for one in dataset.installations[:count])
        yield (
            f"events of {count} installations, newest first",
            f"{{ installationEvents(filter: {{installationIds: [{ids}]}}, direction: DESC) {{ nodes {{ id }} }} }}",
        )
        yield f"{count} nodes", f"{{ nodes(ids: [{ids}]) {{ id ... on Installation {{ status }} }} }}"
    nested = "account { installations(first: 5) { nodes { id %s } } }"
    for depth in (1, 2):
        text = "status"
        for _ in range(depth):
            text = nested % text
        yield f"account's pages, {depth} deep", f"{{ installations(first: 5) {{ nodes {{ {text} }} }} }}"
    yield "viewer", "{ viewer { kind } }"
    yield "one application", f'{{ application(by: {{id: "{application}"}}) {{ id name }} }}'
    yield "status counts", "{ installations(first: 1) { statusCounts { status count } } }"
    yield "introspection", _INTROSPECTION
    yield "one type", '{ __type(name: "Installation") { name fields { name } } }'


def filters(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Yield documents for each filter of a list, used once and ten times."""
    parents: dict[str, list[Any]] = {"application": [*dataset.applications], "account": [*dataset.accounts]}
    given = {
        f"{count} {noun}s": f"{noun}Ids: {json.dumps([str(one.id) for one in rows[:count]])}"
        for noun, rows in parents.items()
        for count in (2, 10, 40)
    } | {
        "one status": "statuses: [INACTIVE]",
        "all statuses": "statuses: [AUTHORIZED, ACTIVATED, INACTIVE, PENDING_INTEGRATION]",
        "one reason": "reasons: [NOT_ENTITLED]",
        "names": 'search: "1"',
        "names, in vain": 'search: "none such"',
        "names and a status": 'search: "1", statuses: [ACTIVATED]',
        "metadata, in vain": 'metadata: {key1: "x"}',
        "metadata that all have": f'metadata: {{key1: "{VALUE}"}}',
        "a time": 'updatedBefore: "2099-01-01T00:00:00Z"',
        "an end of authorization": 'authorizationExpiresBefore: "2099-01-01T00:00:00Z"',
    }
    given["a status of 40 applications"] = f"{given['40 applications']}, statuses: [ACTIVATED]"
    for (name, text), selected in itertools.product(given.items(), ("nodes { id }", "totalCount")):
        pages = [f"installations(first: {size}, filter: {{{text}}}) {{ {selected} }}" for size in range(5, 15)]
        yield f"{selected} by {name}", f"{{ {pages[0]} }}"
        yield f"{selected} by {name}, 10", f"{{ {' '.join(f'a{at}: {page}' for at, page in enumerate(pages))} }}"
    for listed, size in itertools.product(("accounts", "apiKeys"), (1, 40)):
        yield f"{listed}, {size}", f"{{ {listed}(first: {size}) {{ nodes {{ id }} }} }}"
        yield f"{listed}, {size} and counted", f"{{ {listed}(first: {size}) {{ totalCount nodes {{ id }} }} }}"
    for search in ("com", "none such", "1"):
        yield f"accounts by {search}", f'{{ accounts(first: 5, filter: {{search: "{search}"}}) {{ nodes {{ id }} }} }}'


def combined_filters(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Yield documents with filters by several lists: a page merges a range of an index for each combination."""
    applications, accounts = (
        f"{noun}Ids: {json.dumps([str(one.id) for one in rows[:40]])}"
        for noun, rows in (("application", dataset.applications), ("account", dataset.accounts))
    )
    statuses = "statuses: [AUTHORIZED, ACTIVATED, INACTIVE, PENDING_INTEGRATION]"
    reasons = "reasons: [AUTHORIZATION_COMPLETED, CONFIGURATION_COMPLETED, API_KEY_CONNECTED, NOT_ENTITLED, DELETED]"
    given = {
        "applications and accounts": f"{applications}, {accounts}",
        "applications and all statuses": f"{applications}, {statuses}",
        "accounts and all statuses": f"{accounts}, {statuses}",
        "statuses and reasons": f"{statuses}, {reasons}",
        "applications, statuses and reasons": f"{applications}, {statuses}, {reasons}",
        "names and applications": f'{applications}, search: "1"',
        "names and all statuses": f'{statuses}, search: "1"',
        "metadata and a status": 'metadata: {key1: "x"}, statuses: [ACTIVATED]',
    }
    for (name, text), size in itertools.product(given.items(), (1, 100)):
        page = f"installations(first: {size}, filter: {{{text}}})"
        yield f"page of {size} by {name}", f"{{ {page} {{ nodes {{ id }} }} }}"
        yield f"page of {size} by {name}, counted", f"{{ {page} {{ totalCount nodes {{ id }} }} }}"


def event_filters(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Yield documents for each filter of events."""
    kinds = "STATUS_CHANGED, METADATA_UPDATED, SYNC_PROGRESSED, CONNECTION_REPORTED"
    given = {
        "since a time": 'occurredSince: "2026-01-01T00:00:00Z"',
        "before a time": 'occurredBefore: "2026-01-01T00:00:00Z"',
        "a kind": "kinds: [METADATA_UPDATED]",
        "kinds": f"kinds: [{kinds}]",
        "a status": "to: [ACTIVATED]",
    }
    owners: dict[str, list[Any]] = {"application": [*dataset.applications], "account": [*dataset.accounts]}
    for (noun, rows), count in itertools.product(owners.items(), (1, 10, 40)):
        ids = f"{noun}Ids: {json.dumps([str(one.id) for one in rows[:count]])}"
        given[f"{count} {noun}s"] = ids
        given[f"kinds of {count} {noun}s"] = f"{ids}, kinds: [{kinds}]"
    for name, text in given.items():
        yield f"events by {name}", f"{{ installationEvents(filter: {{{text}}}) {{ nodes {{ id }} }} }}"


def nested_filters(_dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Yield documents with the filtered list of many parents, which one statement reads."""
    given = {
        "a status": "statuses: [ACTIVATED]",
        "names": 'search: "1"',
        "metadata": 'metadata: {key1: "x"}',
        "a time": 'updatedSince: "2020-01-01T00:00:00Z"',
    }
    for (name, text), noun in itertools.product(given.items(), ("applications", "accounts")):
        page = f"installations(first: 5, filter: {{{text}}}) {{ nodes {{ id }} }}"
        yield f"{noun}' pages by {name}", f"{{ {noun}(first: 20) {{ nodes {{ {page} }} }} }}"
        count = f"installations(first: 0, filter: {{{text}}}) {{ totalCount }}"
        yield f"{noun}' counts by {name}", f"{{ {noun}(first: 20) {{ nodes {{ {count} }} }} }}"


def repeated(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Yield documents whose statements are repeated, or never run."""
    aliases = " ".join(f'a{at}: account(id: "{one.id}") {{ ...P }}' for at, one in enumerate(dataset.accounts[:20]))
    yield "a page in a fragment, 20", f"{{ {aliases} }} fragment P on Account {{ installations {{ nodes {{ id }} }} }}"
    aliases = " ".join(
        f'a{at}: installations(first: 0, filter: {{applicationIds: ["{one.id}"]}}) {{ pageInfo {{ hasNextPage }} }}'
        for at, one in enumerate(dataset.applications[:20])
    )
    yield "pages of 0, 20", f"{{ {aliases} }}"
    nested = "id"
    for depth in range(1, 6):
        nested = f"installations(first: {0 if depth == 1 else 2}) {{ nodes {{ application {{ {nested} }} }} }}"
        yield f"pages of 0, {depth} deep", f"{{ {nested.replace('first: 2', 'first: 0')} }}"
        yield f"pages of 2, {depth} deep", f"{{ {nested.replace('first: 0', 'first: 2')} }}"
    for size in (0, 20):
        history = f"history(first: {size}) {{ nodes {{ id }} pageInfo {{ hasNextPage }} }}"
        yield f"histories of {size}", f"{{ installations(first: 20) {{ nodes {{ {history} }} }} }}"


def mutations(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Yield writes: some that change a row, and some that change nothing."""
    one, other = (row.id for row in dataset.installations[-2:])
    for name, selected in {"a write": "__typename", "a write and its row": f"... on Installation {{ {_ROW} }}"}.items():
        change = f'updateInstallationMetadata(input: {{id: "{one}", change: {{replace: $metadata}}}})'
        yield name, f"mutation ($metadata: JSON!) {{ {change} {{ {selected} }} }}"
    for name in ("activateInstallation", "startInstallationSync"):
        yield f"{name}, again", f'mutation {{ {name}(input: {{id: "{other}"}}) {{ __typename }} }}'


def random_documents(dataset: Dataset) -> Iterator[tuple[str, str]]:
    known = {
        "application": [str(one.id) for one in dataset.applications],
        "account": [str(one.id) for one in dataset.accounts],
        "installation": [str(one.id) for one in dataset.installations],
        "absent": ["8a0f0f0e-7d9c-4c39-9a57-0d5c9f3f2f3a"],
        "slug": ["application-1"],
        "word": ["app"],
    }
    for at, text in enumerate(sampled(query_documents(scalars=ANY_SCALARS), count=110)):
        yield f"random {at}: {replaced(text, known)}"[:110].replace("\n", " "), replaced(text, known)
