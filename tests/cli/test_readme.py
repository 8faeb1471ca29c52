"""The commands of the README and of the operations page, run as they are written."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli import commands
from tests.cli.processes import WITHIN_SECONDS, Serving, environment, serving

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / ".github/docs/operations.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", README + OPERATIONS, re.MULTILINE | re.DOTALL)
QUERY, MUTATION, SUBSCRIPTION = (block for block in BLOCKS if block.startswith("curl "))
ACTIVATED = '"installationId":"65816f7f-9947-513b-ad16-2bf0586ecbd4","from":"AUTHORIZED","to":"ACTIVATED"'


@pytest.fixture
def served(initialized: Path, log: Path) -> Iterator[Serving]:
    with serving("--data", initialized, log=log) as one:
        yield one


def started(served: Serving, block: str) -> "subprocess.Popen[str]":
    """Run a block as it is, except for the port."""
    address = served.url.removesuffix("/graphql")
    assert "http://127.0.0.1:8000/graphql" in block
    return subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", block.replace("http://127.0.0.1:8000", address)],
        env=environment(KEY=served.keys["platform"]),
        stdout=subprocess.PIPE,
        text=True,
    )


def output_of(served: Serving, block: str) -> str:
    with started(served, block) as process:
        return process.communicate(timeout=WITHIN_SECONDS)[0]


def test_query_mutation_and_subscription_run_as_pasted(served: Serving) -> None:
    assert '"name":"Bookwell"' in output_of(served, QUERY)
    with started(served, SUBSCRIPTION) as watching:
        assert watching.stdout is not None
        try:
            assert watching.stdout.readline() == ":\n"  # the stream has begun
            assert '"status":"ACTIVATED"' in output_of(served, MUTATION)
            assert any(ACTIVATED in line for line in watching.stdout)
        finally:
            watching.terminate()


def test_workflow_names_every_mutation_that_can_change_a_status() -> None:
    schema = (ROOT / "schema.graphql").read_text(encoding="utf-8")
    fields = schema.split("\ntype Mutation {")[1].split("\n}")[0]
    mutations = re.findall(r"^  (\w*Installation\w*)\(", fields, re.MULTILINE)
    assert len(mutations) >= 10
    assert {name for name in mutations if f"`{name}`" not in README} == {"updateInstallationMetadata"}


def test_every_gateway_command_is_parsed() -> None:
    """Only parses them: other tests run the commands."""
    lines = [line for block in BLOCKS for line in block.splitlines()]
    calls = [found[1] for line in lines if (found := re.match(r"(?:[A-Z_]+=\S+ )?gateway ([^#]+)", line))]
    assert len(calls) >= 6
    for call in calls:
        assert commands.command_line().parse_args(shlex.split(call)).command
