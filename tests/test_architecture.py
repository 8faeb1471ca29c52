"""The plan of the house, as failing tests."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
WRITTEN = [*PROJECT.glob("gateway/**/*.py"), *PROJECT.glob("tests/**/*.py"), *PROJECT.glob("sql/**/*.sql")]


def test_imports_point_down_the_house() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    completed = subprocess.run([linter, "--no-cache"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_file_is_longer_than_can_be_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
