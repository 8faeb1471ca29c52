"""Apollo Client, urql and Relay as their pages show them: the code in the pages runs on a gateway process.

Whatever a build or a client writes to its console fails the test.
"""

import asyncio
import fcntl
import json
import os
import re
import shutil
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from gateway.usecases.installations import delete_installation
from tests.clients.pages import ROOT, files_of_pages
from tests.clients.scenario import MISSING, Row, change, list_of
from tests.live.dataset import PLATFORM, Dataset
from tests.live.servers import GatewayProcess, Postgres, running_gateways
from tests.npm import node, workspace

pytestmark = pytest.mark.long

CLIENTS = ("apollo", "urql", "relay")
STEP_SECONDS = 30
BUILD_SECONDS = 120
PROGRESS = ("\N{HEAVY RIGHT-POINTING ANGLE QUOTATION MARK ORNAMENT}", "\N{HEAVY CHECK MARK}", "[INFO] ")
"""How lines of graphql-codegen and relay-compiler begin that tell their progress."""
COLOUR = re.compile(r"\x1b\[\d*m")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Of several processes of the tests, let one at a time go on."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the npm project with the files of the pages in it, the same one for all processes of the tests."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "clients"
    with locked(shared / "clients.lock"):
        if not folder.is_dir():
            unfinished = workspace(Path(__file__).parent / "npm", tmp_path_factory.mktemp("npm") / "clients")
            for path, content in files_of_pages().items():
                (unfinished / path).parent.mkdir(parents=True, exist_ok=True)
                (unfinished / path).write_text(content)
            shutil.copy(ROOT / "schema.graphql", unfinished)
            unfinished.rename(folder)
    return folder


async def run(project: Path, *command: str) -> str:
    """Run a Node script that has to succeed; return the lines of its console that tell no progress."""
    process = await asyncio.create_subprocess_exec(node(), *command, cwd=project, stdout=PIPE, stderr=STDOUT)
    async with asyncio.timeout(BUILD_SECONDS):
        output, _ = await process.communicate()
    written = COLOUR.sub("", output.decode())
    assert process.returncode == 0, written
    return "".join(line for line in written.splitlines(keepends=True) if not line.startswith(PROGRESS))


@pytest.fixture(scope="module")
async def built(project: Path) -> Path:
    """Return the project with its generated and bundled files."""
    finished = project.with_name("clients.built")
    commands = [
        ("node_modules/@graphql-codegen/cli/cjs/bin.js",),
        ("node_modules/relay-compiler/cli.js",),  # "quiet" would hide its warnings
        ("node_modules/typescript/bin/tsc",),
        ("build.mjs",),
    ]
    with locked(project.with_name("clients.lock")):
        if not finished.exists():
            (project / "src/relay/__generated__").mkdir(exist_ok=True)
            assert [await run(project, *command) for command in commands] == ["", "", "", ""]
            finished.touch()
    return project


class NpmClient:
    """A running client: it is given commands, and prints their results and the events of its subscription."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def __call__(self, command: str, argument: Any = None) -> Any:
        """Give a command, and return its result."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({command: argument}).encode() + b"\n")
        return await self.next(command)

    async def next(self, kind: str) -> Any:
        """Return the next message, which is of this kind."""
        assert self._process.stdout is not None
        async with asyncio.timeout(STEP_SECONDS):
            line = await self._process.stdout.readline()
        assert line.startswith(f'{{"{kind}":'.encode()), line
        return json.loads(line)[kind]

    async def end(self) -> bytes:
        """Let it end, and return what else it has printed."""
        async with asyncio.timeout(STEP_SECONDS):
            output, _ = await self._process.communicate(b"")
        return output


@asynccontextmanager
async def npm_client(name: str, project: Path, *, url: str, secret: str) -> AsyncIterator[NpmClient]:
    """Run a client; whatever it prints beside its messages, to either stream, fails the test."""
    process = await asyncio.create_subprocess_exec(
        node(), f"built/{name}.mjs", url, secret, cwd=project, stdin=PIPE, stdout=PIPE, stderr=STDOUT
    )
    client = NpmClient(process)
    try:
        yield client
        assert await client.end() == b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("name", CLIENTS)
async def test_pages_results_and_deletions_are_kept_in_the_cache(
    name: str, built: Path, dataset: Dataset, gateway: GatewayProcess
) -> None:
    condition, rows = list_of(dataset, name)
    changed, deleted = rows[0][0], rows[1][0]
    async with npm_client(name, built, url=gateway.url, secret=dataset.secret) as client:
        assert await client("first", condition) == rows[:2]
        assert await client("more") == rows[:4]
        assert await client("more") == rows

        inactive = await client("deactivate", {"id": changed, "expectedVersion": 1})
        assert inactive == {"__typename": "Installation", "id": changed, "status": "INACTIVE", "version": 2}
        assert await client("rows") == [[changed, "INACTIVE", 2], *rows[1:]]
        conflict = await client("deactivate", {"id": deleted, "expectedVersion": 7})
        assert conflict == {"__typename": "VersionConflict", "message": conflict["message"]}
        invalid = await client("deactivate", {"id": deleted, "message": "x" * 5000})
        assert [(problem["path"], problem["code"]) for problem in invalid["problems"]] == [(["message"], "TOO_LONG")]
        assert (await client("delete", MISSING))["__typename"] == "InstallationNotFound"

        assert (await client("delete", deleted))["__typename"] == "DeletedInstallation"
        assert await client("rows") == [[changed, "INACTIVE", 2], *rows[2:]]


async def test_relay_finds_an_object_by_its_id(built: Path, dataset: Dataset, gateway: GatewayProcess) -> None:
    _, rows = list_of(dataset, "live")
    async with npm_client("relay", built, url=gateway.url, secret=dataset.secret) as client:
        assert await client("node", rows[2][0]) == {"id": rows[2][0], "status": "ACTIVATED"}
        assert await client("node", MISSING) is None


async def test_apollo_has_one_viewer_and_warns_of_no_field(
    built: Path, dataset: Dataset, gateway: GatewayProcess
) -> None:
    condition, rows = list_of(dataset, "live")
    async with npm_client("apollo", built, url=gateway.url, secret=dataset.secret) as client:
        await client("first", condition)
        viewer = (await client("others", rows[0][0]))["viewer"]
    assert (viewer["kind"], viewer["apiKey"]["__typename"]) == ("PLATFORM", "ApiKey")


@pytest.mark.parametrize(
    ("automatic", "first", "later"),
    [("100", [["hash"], ["hash", "text"]], [["hash"]]), ("0", [["hash"], ["text"]], [["text"]])],
)
async def test_apollo_sends_the_hash_of_a_document_that_the_gateway_keeps(
    automatic: str,
    first: list[list[str]],
    later: list[list[str]],
    built: Path,
    dataset: Dataset,
    postgres: Postgres,
    tmp_path: Path,
) -> None:
    condition, _ = list_of(dataset, "live")
    settings = {"GATEWAY_AUTOMATIC_DOCUMENTS": automatic}
    async with (
        running_gateways(postgres.url, count=1, directory=tmp_path, **settings) as (gateway,),
        npm_client("apollo", built, url=gateway.url, secret=dataset.secret) as client,
    ):
        await client("first", condition)
        assert await client("sent") == first
        await client("more")
        assert await client("sent") == later


async def test_subscriptions_deliver_each_event_once_through_two_restarts(
    built: Path, dataset: Dataset, gateway: GatewayProcess
) -> None:
    condition, rows = list_of(dataset, "live")
    shown, deleted = rows[0][0], rows[1][0]
    hidden = list_of(dataset, "gql")[1][0][0]  # by the filter
    async with AsyncExitStack() as stack:
        running = [
            await stack.enter_async_context(npm_client(name, built, url=gateway.url, secret=dataset.secret))
            for name in CLIENTS
        ]
        assert [await client("first", condition) for client in running] == [rows[:2]] * len(CLIENTS)

        async def expect(events: list[Row]) -> None:
            received = [[await client.next("event") for _ in events] for client in running]
            assert received == [events] * len(CLIENTS)

        between = await change(dataset, shown, 1)  # between the list and the subscription
        await change(dataset, hidden, 1)
        assert [await client("follow", {"filter": condition}) for client in running] == [None] * len(CLIENTS)
        await expect(between)
        for end in (GatewayProcess.kill, GatewayProcess.terminate):
            await expect(await change(dataset, shown, 5))
            await end(gateway)
            missed = await change(dataset, shown, 5)
            await gateway.start()
            await expect(missed)
        await delete_installation(dataset.services, PLATFORM, installation_id=UUID(deleted), expected_version=None)
        await expect([[deleted, 2]])
        for client in running:
            first, *others = await client("rows")
            assert first == [shown, "ACTIVATED", 22]
            assert deleted not in [row[0] for row in others]  # urql has fetched the page again, so that it is full


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("apollo", "Socket closed with event 4401 Unauthorized: "),
        ("urql", "[Network] The gateway refuses the key."),
        ("relay", "Unauthorized: "),
    ],
)
async def test_subscription_ends_with_what_no_further_attempt_mends(
    name: str, reason: str, built: Path, dataset: Dataset, gateway: GatewayProcess
) -> None:
    async with npm_client(name, built, url=gateway.url, secret=dataset.secret) as client:
        await client("follow", {"after": "no cursor"})
        assert await client.next("error") == "BAD_USER_INPUT"
    async with npm_client(name, built, url=gateway.url, secret="igw_wrong") as client:
        await client("follow", {"after": "no cursor"})
        assert (await client.next("error")).startswith(reason)


async def test_apollo_says_of_each_operation_of_a_batch_why_it_is_refused(
    project: Path, dataset: Dataset, gateway: GatewayProcess
) -> None:
    said = await run(project, "batch.mjs", gateway.url, dataset.secret)
    assert said.splitlines() == ["Batches are not accepted: send one operation in a request."] * 2


async def test_graphql_eslint_finds_nothing_but_what_is_meant(project: Path) -> None:
    findings = await run(project, "lint.mjs")
    assert findings.splitlines() == [
        # Strawberry prints the specified directive for tools that do not know it, without a description.
        'require-description: Description is required for directive "oneOf"',
        # Relay's convention for what @deleteRecord removes; `id` would be the id of an object.
        'no-typename-prefix: Field "deletedInstallationId" starts with the name of the parent type "DeletedInstallation"',  # noqa: E501 - as printed
    ]
