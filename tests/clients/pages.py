"""The files in the clients' pages: code blocks after a comment with the file's path."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ROOT / ".github/clients"
FILE = re.compile(r"<!-- ([\w./]+) -->\n```\w+\n(.*?)```\n", re.DOTALL)


def files_of_pages() -> dict[str, str]:
    """Return the contents of all files, by path."""
    found = [each for page in sorted(PAGES.glob("*.md")) for each in FILE.findall(page.read_text(encoding="utf-8"))]
    files = dict(found)
    assert len(files) == len(found)
    return files
