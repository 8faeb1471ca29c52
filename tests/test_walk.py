"""The calls whose way through the gateway is short: what they enter is counted, so that it does not grow unnoticed."""

import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent
REACHED = {"query": (67, 25), "mutation": (84, 30), "event": (43, 19)}
"""The functions that each call enters, and the files that they stand in."""


def test_calls_enter_no_more_functions_than_they_did() -> None:
    walk = subprocess.run(
        [sys.executable, "-m", "tests.walk"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert walk.returncode == 0, walk.stderr
    counted = re.findall(r"^(\w+): (\d+) functions in (\d+) files$", walk.stdout, re.MULTILINE)
    assert [kind for kind, _, _ in counted] == list(REACHED)
    for kind, functions, files in counted:
        assert int(functions) <= REACHED[kind][0], walk.stdout
        assert int(files) <= REACHED[kind][1], walk.stdout
