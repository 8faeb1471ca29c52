"""The calls whose way through the gateway is short: what they enter is counted, so that it does not grow unnoticed."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
REACHED = {"query": (67, 25), "mutation": (84, 30), "event": (43, 20)}
"""The functions that each call enters, and the files that they stand in."""


@pytest.mark.parametrize("kind", REACHED)
def test_call_enters_no_more_functions_than_it_did(kind: str) -> None:
    walk = subprocess.run(
        [sys.executable, "-m", "tests.walk", kind], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert walk.returncode == 0, walk.stderr
    entered = walk.stdout.splitlines()[:-1]
    functions, files = REACHED[kind]
    assert len(entered) <= functions, walk.stdout
    assert len({line.split()[0] for line in entered}) <= files, walk.stdout
