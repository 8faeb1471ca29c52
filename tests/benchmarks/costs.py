"""How true the costs are: `python -m tests.benchmarks.costs [all]` prints the CPU of a unit of cost in microseconds.

Some 250 documents are run on 2,000 installations: families that differ in one thing, and random ones. The CPU is that
of a gateway, what each request takes over HTTP included, and of all of Postgres' processes. All documents are run for
0.01 s, one after the other, and that 15 times; the least of each counts: what else a machine does only adds to what
a document takes, and for seconds at a time, so that a median still differs by a half from run to run.

`all` lists the documents, the cheapest first. The last lines are for `gateway/schema/costs.py`: the weights that fit
these figures best, where they differ by more than a fifth, and the ratio that they would have.
"""

import asyncio
import gc
import itertools
import json
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop
from strawberry import Schema

from gateway.execution.costs import CostModel
from gateway.execution.documents import Documents, Operation
from gateway.execution.limits import DocumentLimits
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.quotas import Quota
from gateway.operations.requests import GraphQLRequest
from gateway.schema.context import Context
from gateway.schema.schema import build_schema
from gateway.storage.embedded import embedded_postgres
from gateway.usecases.api_keys import ApiKeyCache
from gateway.usecases.batch_loader import BatchLoaders
from gateway.usecases.installations import replace_metadata
from gateway.wiring import build_cost_model
from tests.benchmarks.cost_documents import VALUE, VARIABLES, documents
from tests.benchmarks.cost_fit import Figure, counts, fitted, ratio, weights_of
from tests.benchmarks.feed import show
from tests.conftest import connected
from tests.live.dataset import PLATFORM, Dataset, populated
from tests.live.servers import running_gateways

LIMIT = 250_000
"""The default of GATEWAY_MAX_OPERATION_COST."""
_SECONDS = 0.01
_PASSES = 15
_CHANGED = 1.2
_CONNECTIONS, _REQUESTS = 8, 50


def cpu_nanoseconds(process: int) -> int:
    """Return the CPU that a running process has taken."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0])


def cpu_of_postgres(postmaster: int) -> dict[int, int]:
    """Return the CPU nanoseconds of each running process of a cluster."""
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    nanoseconds = {}
    for process in (postmaster, *map(int, children)):
        with suppress(OSError):  # it has ended
            nanoseconds[process] = cpu_nanoseconds(process)
    return nanoseconds


@dataclass(kw_only=True)
class Measured:
    """The least CPU seconds that one run of a document took, or None before the first."""

    name: str
    operation: Operation
    request: GraphQLRequest
    gateway: float | None = None
    postgres: float = 0
    settled: int = 0
    """The least units that are charged afterwards: for what was found, and else for time that others take."""

    @property
    def cost(self) -> int:
        return self.operation.cost.value(self.request.variables) + self.settled


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
        self._postmaster = postmaster
        self._pipeline, self._settling = (
            OperationPipeline(
                documents, make_context=make_context, quotas={PLATFORM.kind: Quota(operation=10**9, minute=minute)}
            )
            for minute in (None, 10**12)
        )
        self._runs = itertools.count()

    async def prepared(self, name: str, text: str) -> Measured | None:
        """Return a document to measure; None where it has errors, or is above the limit."""
        request = GraphQLRequest(query=text, variables=VARIABLES)
        operation = await self._pipeline.prepare(request, PLATFORM)
        measured = Measured(name=name, operation=operation, request=request)
        if measured.cost > LIMIT or (await self._pipeline.execute(operation, request, PLATFORM)).errors:
            return None
        measured.settled = await self._owed(measured)
        return measured

    async def _owed(self, document: Measured) -> int:
        """Run a document, and return what its caller then owes."""
        await self._settling.execute(document.operation, document.request, PLATFORM)
        rate = self._settling._rate_limiter.of(PLATFORM)
        assert rate is not None
        owed, rate.owed = rate.owed, 0
        return owed

    async def measure(self, document: Measured) -> None:
        """Run a document for some time, and keep what a run took where that is less than before."""
        document.settled = min(document.settled, await self._owed(document))
        began_postgres, runs = cpu_of_postgres(self._postmaster), 0
        started, began = time.monotonic(), time.process_time()
        while not runs or (time.process_time() - began < _SECONDS and time.monotonic() - started < 5 * _SECONDS):
            VARIABLES["metadata"]["number"] = next(self._runs)
            await self._pipeline.execute(document.operation, document.request, PLATFORM)
            runs += 1
        gateway = (time.process_time() - began) / runs
        ended = cpu_of_postgres(self._postmaster)
        postgres = sum(cpu - began_postgres.get(process, 0) for process, cpu in ended.items()) / 1e9 / runs
        if document.gateway is None:
            document.gateway, document.postgres = gateway, postgres
        document.gateway, document.postgres = min(document.gateway, gateway), min(document.postgres, postgres)


async def cpu_over_http(url: str, *, secret: str, text: str, directory: Path) -> float:
    """Return the CPU seconds that a gateway takes for one request with this document."""
    body = json.dumps({"query": text}).encode()
    async with running_gateways(url, count=1, directory=directory, GATEWAY_RATES="platform=0") as (gateway,):
        address = urlsplit(gateway.url)
        head = (
            f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {secret}\r\nContent-Length: {len(body)}\r\n\r\n"
        )

        async def client(requests: int) -> None:
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            for _ in range(requests):
                writer.write(head.encode() + body)
                length = (await reader.readuntil(b"\r\n\r\n")).lower().partition(b"content-length:")[2]
                await reader.readexactly(int(length.partition(b"\r\n")[0]))
            writer.close()

        taken = []
        for _ in range(_PASSES):
            began = cpu_nanoseconds(gateway.pid)
            await asyncio.gather(*(client(_REQUESTS) for _ in range(_CONNECTIONS)))
            taken.append((cpu_nanoseconds(gateway.pid) - began) / 1e9 / _CONNECTIONS / _REQUESTS)
        return min(taken)


def report(rows: list[tuple[Measured, float, float]]) -> None:
    """Print each document, given the microseconds of the gateway and of Postgres."""
    units = sorted(
        ((gateway + postgres) / each.cost, each.name, each.cost, gateway, postgres) for each, gateway, postgres in rows
    )
    for unit, name, cost, gateway, postgres in units if "all" in sys.argv else (units[0], units[-1]):
        show(name, f"{unit:.2f} us a unit: {cost} units, gateway {gateway:.0f} us, Postgres {postgres:.0f} us")
    least, most, median = units[0][0], units[-1][0], statistics.median(unit for unit, *_ in units)
    show(f"{len(units)} documents", f"{least:.2f} to {most:.2f}, median {median:.2f} us a unit")
    show("dearest to cheapest", f"{most / least:.1f}")
    show("the limit", f"{LIMIT * most / 1e6:.2f} s of CPU at most")


def suggest(schema: Schema, model: CostModel, rows: list[tuple[Measured, float, float]]) -> None:
    """Print the weights that a fit changes by more than a fifth, and the ratio that it reaches."""
    figures = [
        Figure(
            microseconds=gateway + postgres,
            counts=counts(schema, each.operation, model=model, variables=VARIABLES),
        )
        for each, gateway, postgres in rows
    ]
    weights = weights_of(model)
    better = fitted(figures, weights)
    for name, units in better.items():
        if not 1 / _CHANGED < units / weights[name] < _CHANGED:
            show(f"weight of {name}", f"{weights[name]:g}, fitted {units:g}")
    show("dearest to cheapest, fitted", f"{ratio(figures, better):.1f}")


async def main() -> None:
    schema = build_schema()
    model = build_cost_model(schema)
    kept = Documents(schema, costs=model, limits=DocumentLimits(aliases=100), max_count=10_000, max_source_bytes=10**8)
    with tempfile.TemporaryDirectory(prefix="gateway-") as name:
        directory = Path(name)
        async with (
            embedded_postgres(directory, exclusive=True) as url,
            populated(url, applications=40, accounts=50) as dataset,
        ):
            metadata: dict[str, Any] = {f"key{at}": VALUE for at in range(10)}
            for one in dataset.installations:
                await replace_metadata(
                    dataset.services, PLATFORM, installation_id=one.id, metadata=metadata, expected_version=None
                )
            async with connected(url) as server:
                await server.execute("vacuum analyze")  # as autovacuum does, at some time during the run
            postmaster = int((directory / "postgres" / "postmaster.pid").read_text().split()[0])
            costs = Costs(dataset, kept, postmaster=postmaster)
            prepared = [await costs.prepared(name, text) for name, text in documents(dataset).items()]
            measured = [each for each in prepared if each is not None]
            gc.set_threshold(50_000, 20, 20)  # as `gateway serve`
            gc.freeze()  # what the preparation left is not collected again in each run
            for _ in range(_PASSES):
                for document in measured:
                    await costs.measure(document)
            viewer = next(each for each in measured if each.name == "viewer")
            over_http = await cpu_over_http(
                url, secret=dataset.secret, text=viewer.operation.source, directory=directory
            )
    http = over_http - (viewer.gateway or 0)
    rows = [(each, ((each.gateway or 0) + http) * 1e6, each.postgres * 1e6) for each in measured]
    report(rows)
    show("HTTP, of each", f"{http * 1e6:.0f} us")
    suggest(schema, model, rows)


if __name__ == "__main__":
    uvloop.run(main())
