"""The locked requirements: they fit pyproject.toml and each other, with hashes and without a host or a path."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.cli.processes import environment

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / ".github/requirements"
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
ENTRY = re.compile(
    r"(?P<name>[a-z0-9-]+)(?:\[[a-z,]+\])?==(?P<version>[\w.]+)(?: ; [\w .='!<>()]+)?"
    r"(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
)
INSTALL_SECONDS = 600


def locked(name: str) -> dict[str, str]:
    """Return the locked versions by name. The file consists of versions with hashes, and of nothing else."""
    text = (LOCKS / name).read_text(encoding="utf-8")
    entries = [*ENTRY.finditer(text)]
    assert "".join(entry[0] for entry in entries) == text
    return {entry["name"]: entry["version"] for entry in entries}


def applicable(requirements: Iterable[str]) -> Iterator[Requirement]:
    """Return those that apply to this Python and platform, without extras."""
    for each in map(Requirement, requirements):
        if each.marker is None or each.marker.evaluate({"extra": ""}):
            yield each


def closure(requirements: Iterable[str]) -> dict[str, list[Requirement]]:
    """Return what the requirements need, as installed here, by name: all that is demanded of each package."""
    demanded: dict[str, list[Requirement]] = {}
    waiting = [*applicable(requirements)]
    while waiting:
        each = waiting.pop()
        name = canonicalize_name(each.name)
        if name not in demanded:
            with suppress(PackageNotFoundError):  # an environment from before a requirement was added
                waiting += applicable(requires(name) or ())
        demanded.setdefault(name, []).append(each)
    return demanded


@pytest.mark.parametrize(
    ("lock", "requirements"),
    [
        ("gateway.txt", PROJECT["dependencies"]),
        ("tests.txt", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]),
        ("tests.txt", PYPROJECT["build-system"]["requires"]),
    ],
)
def test_lock_has_a_fitting_version_of_everything_that_is_needed(lock: str, requirements: list[str]) -> None:
    versions = locked(lock)
    for name, demands in closure(requirements).items():
        assert name in versions
        assert [demand for demand in demands if versions[name] not in demand.specifier] == []


def test_gateway_is_locked_as_the_tests_are_and_without_their_tools() -> None:
    gateway, tests = locked("gateway.txt"), locked("tests.txt")
    assert gateway.items() <= tests.items()
    tools = {canonicalize_name(Requirement(each).name) for each in PROJECT["optional-dependencies"]["test"]}
    assert gateway.keys() & (tools | {"watchfiles", "pyyaml"}) == set()


def test_build_requirements_are_exact_and_complete() -> None:
    pinned = [Requirement(each) for each in PYPROJECT["build-system"]["requires"]]
    versions = locked("tests.txt")
    assert {str(each) for each in pinned} == {f"{each.name}=={versions[each.name]}" for each in pinned}
    assert {each.name for each in pinned} == closure(map(str, pinned)).keys()


@pytest.mark.long
def test_deployment_command_of_the_readme_installs_the_lock_alone(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"<!-- deployment command -->\n```bash\n(.*?)```", readme, re.DOTALL)
    checkout = tmp_path / "checkout"
    for part in ("gateway", "sql", ".github"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / part, checkout)
    checks = ".venv/bin/pip check && .venv/bin/gateway --version && .venv/bin/pip freeze --all >installed"
    script = f"{command.strip()} && {checks}"
    subprocess.run(script, shell=True, cwd=checkout, env=environment(), check=True, timeout=INSTALL_SECONDS)
    lines = (checkout / "installed").read_text().splitlines()
    installed = {canonicalize_name(name) for line in lines if (name := re.split("==| @ ", line)[0])}
    assert installed - locked("gateway.txt").keys() <= {"installations-gateway", "pip", "setuptools"}
