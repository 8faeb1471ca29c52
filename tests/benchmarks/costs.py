"""How true the costs are: `python -m tests.benchmarks.costs` prints the microseconds of CPU that a unit of cost takes.

Some 200 documents are run on 2,000 installations: random ones, and families that differ in one thing. The CPU is that
of the gateway and of all of Postgres' processes. A document is run until both have taken 0.1 s.
"""

import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from gateway.domain.principals import PrincipalKind
from gateway.execution.costs import CostModel
from gateway.execution.documents import Documents
from gateway.execution.limits import DocumentLimits
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.quotas import Quota
from gateway.operations.requests import GraphQLRequest
from gateway.schema.context import Context
from gateway.schema.costs import FIELD_WEIGHTS, LOOKUPS, STATEMENTS, list_sizes
from gateway.schema.schema import build_schema
from gateway.storage.embedded import embedded_postgres
from gateway.usecases.api_keys import ApiKeyCache
from gateway.usecases.batch_loader import BatchLoaders
from gateway.usecases.installations import replace_metadata
from tests.benchmarks.feed import show
from tests.generation.documents import ANY_SCALARS, query_documents, replaced
from tests.generation.samples import sampled
from tests.live.dataset import PLATFORM, Dataset, populated

LIMIT = 250_000
"""The default of GATEWAY_MAX_OPERATION_COST."""
HTTP_SECONDS = 150e-6
"""What a request takes beside its operation: uvicorn, the endpoint, the API key."""
_SECONDS = 0.1
_ROW = """id status statusReason { code message since } version connectionFailures authorizationExpiresAt createdAt
  updatedAt activatedAt sync { state startedAt } application { id name slug categories } account { id name }"""
_INTROSPECTION = "{ __schema { types { name kind description fields { name type { name kind ofType { name } } } } } }"


def families(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each written document."""
    application, accounts = dataset.applications[0].id, dataset.accounts[:30]
    for size in (0, 1, 5, 20, 40):
        page = f"installations(first: {size})"
        yield f"page of {size}: ids", f"{{ {page} {{ nodes {{ id }} }} }}"
        yield f"page of {size}: edges", f"{{ {page} {{ edges {{ cursor node {{ id status }} }} }} }}"
        yield f"page of {size}: rows", f"{{ {page} {{ nodes {{ {_ROW} }} }} }}"
        yield f"page of {size}: metadata", f"{{ {page} {{ nodes {{ id metadata }} }} }}"
        yield f"page of {size}: actions", f"{{ {page} {{ nodes {{ id allowedActions }} }} }}"
        yield f"page of {size}: history", f"{{ {page} {{ nodes {{ history(first: 2) {{ nodes {{ id }} }} }} }} }}"
        yield f"events, {size}", f"{{ installationEvents(first: {size}) {{ nodes {{ id cursor actor {{ kind }} }} }} }}"
        yield (
            f"events, {size}: installations",
            f"{{ installationEvents(first: {size}) {{ nodes {{ id installation {{ id status }} }} }} }}",
        )
        yield f"applications, {size}", f"{{ applications(first: {size}) {{ nodes {{ id name slug listed }} }} }}"
        yield (
            f"nested page of {size}",
            f"{{ applications(first: {size}) {{ nodes {{ installations(first: 5) {{ nodes {{ id }} }} }} }} }}",
        )
    for count in (1, 10, 30, 98):
        for field in ("statusReason { code }", "updatedAt", "metadata", "status", "application { name }"):
            aliases = " ".join(f"a{at}: {field}" for at in range(count))
            yield f"{count} aliases of {field}", f"{{ installations(first: 50) {{ nodes {{ {aliases} }} }} }}"
        aliases = " ".join(
            f'a{at}: installations(first: 1, filter: {{applicationId: "{one.id}"}}) {{ totalCount }}'
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


def cpu_of_postgres(postmaster: int) -> float:
    """Return the CPU seconds that a cluster's running processes have taken."""
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    nanoseconds = 0
    for process in (str(postmaster), *children):
        with suppress(OSError):  # it has ended
            nanoseconds += int(Path(f"/proc/{process}/schedstat").read_text().split()[0])
    return nanoseconds / 1e9


class Costs:
    """Runs documents and measures their CPU."""

    def __init__(self, dataset: Dataset, documents: Documents, *, postmaster: int) -> None:
        make_context = partial(
            Context,
            services=dataset.services,
            feed=dataset.feed,
            api_key_cache=ApiKeyCache(dataset.services),
            batch_loaders=BatchLoaders(dataset.services.database),
        )
        unlimited: dict[PrincipalKind | None, Quota] = dict.fromkeys(PrincipalKind, Quota(operation=10**9))
        self.postmaster = postmaster
        self.pipeline = OperationPipeline(documents, make_context=make_context, quotas=unlimited)

    async def seconds(self, text: str) -> tuple[float, float] | None:
        """Return the CPU seconds of one run, the gateway's and Postgres'; None where it has errors."""
        request = GraphQLRequest(query=text)
        operation = await self.pipeline.prepare(request, PLATFORM)
        if (await self.pipeline.execute(operation, request, PLATFORM)).errors:  # compiles it, too
            return None
        runs, started = 0, time.monotonic()
        began, began_postgres = time.process_time(), cpu_of_postgres(self.postmaster)
        while time.process_time() - began < _SECONDS and time.monotonic() - started < 10 * _SECONDS:
            await self.pipeline.execute(operation, request, PLATFORM)
            runs += 1
        return (time.process_time() - began) / runs, (cpu_of_postgres(self.postmaster) - began_postgres) / runs


async def main() -> None:
    schema = build_schema()
    model = CostModel(weights=FIELD_WEIGHTS, statements=STATEMENTS, lookups=LOOKUPS, list_sizes=list_sizes(schema))
    documents = Documents(schema, costs=model, limits=DocumentLimits(aliases=100))
    rows: list[tuple[float, float, float, int, str]] = []
    with tempfile.TemporaryDirectory(prefix="gateway-") as directory:
        async with (
            embedded_postgres(Path(directory), exclusive=True) as url,
            populated(url, applications=40, accounts=50) as dataset,
        ):
            metadata: dict[str, Any] = {f"key{at}": "x" * 40 for at in range(10)}
            for one in dataset.installations:
                await replace_metadata(
                    dataset.services, PLATFORM, installation_id=one.id, metadata=metadata, expected_version=None
                )
            postmaster = int((Path(directory) / "postgres" / "postmaster.pid").read_text().split()[0])
            costs = Costs(dataset, documents, postmaster=postmaster)
            gc.set_threshold(50_000, 20, 20)  # as `gateway serve`
            gc.freeze()  # what the preparation left is not collected again in each run
            documented = (*families(dataset), *random_documents(dataset))
            texts = {text: name for name, text in documented if "[]" not in text}
            for text, name in texts.items():
                cost = documents.prepare(text).cost.value({})
                seconds = await costs.seconds(text) if cost <= LIMIT else None
                if seconds is None:
                    continue
                gateway, postgres = seconds[0] + HTTP_SECONDS, seconds[1]
                rows.append(((gateway + postgres) * 1e6 / cost, gateway * 1e6, postgres * 1e6, cost, name))
    for unit, gateway, postgres, cost, name in sorted(rows):
        if len(sys.argv) > 1 or unit in (min(rows)[0], max(rows)[0]):
            show(name, f"{unit:.2f} us a unit: {cost} units, gateway {gateway:.0f} us, Postgres {postgres:.0f} us")
    units = sorted(row[0] for row in rows)
    show(
        f"{len(units)} documents", f"{units[0]:.2f} to {units[-1]:.2f}, median {statistics.median(units):.2f} us a unit"
    )
    show("dearest to cheapest", f"{units[-1] / units[0]:.1f}")
    show("the limit", f"{LIMIT * units[-1] / 1e6:.2f} s of CPU at most")


if __name__ == "__main__":
    uvloop.run(main())
