"""The clients' pages have no code but files, which the tests run; the npm packages of the tests are locked."""

import json
from pathlib import Path

import pytest

from tests.clients.pages import FILE, PAGES, ROOT


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_all_code_of_a_page_is_in_files(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("\n```\n") == len(FILE.findall(text))


@pytest.mark.parametrize("lock", sorted(ROOT.glob("tests/*/*/package-lock.json")), ids=lambda lock: lock.parts[-3])
def test_lock_file_has_digests_and_no_registry(lock: Path) -> None:
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    del packages[""]
    assert packages
    for package in packages.values():
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package
