"""The suite, run again and again while other processes keep both cores busy: `python -m tests.under_load`.

Prints the time of each run, and exits with 1 when one of them fails.
"""

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RUNS = 5
BUSY_PROCESSES = 2
ROOT = Path(__file__).parents[1]


def pytest_arguments() -> list[str]:
    """Return what the README's test command calls pytest with."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- test command -->.*?/pytest ([^\n]*)\n", readme, re.DOTALL)
    assert found is not None
    return shlex.split(found[1])


@contextmanager
def busy_cores() -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY_PROCESSES)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main() -> int:
    failures = 0
    with busy_cores():
        for run in range(1, RUNS + 1):
            began = time.monotonic()
            command = [sys.executable, "-m", "pytest", *pytest_arguments()]
            code = subprocess.run(command, cwd=ROOT, check=False).returncode
            outcome = "passed" if code == 0 else f"failed with {code}"
            print(f"run {run} of {RUNS}: {outcome} in {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201 - its output
            failures += code != 0
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
