"""The built files of GraphiQL's page: compressed, and named by a hash of their content."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER = Path(__file__).parent / "bundle"
NOT_BUILT: Final = (
    "GraphiQL is not part of this installation: npm's registry could not be reached when it was built. Install it again"
    " where it can be (`pip install .` in a checkout), or install a wheel that was built there."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """The page and the files that it loads, about 2 MB, kept in memory."""

    page: bytes
    files: dict[str, bytes]
    """By name; compressed."""


def load_bundle() -> Bundle | None:
    """Read the built files; None where npm's registry could not be reached, or the checkout was never installed."""
    try:
        page = (FOLDER / "index.html").read_bytes()
    except FileNotFoundError:
        return None
    return Bundle(page=page, files={path.name.removesuffix(".gz"): path.read_bytes() for path in FOLDER.glob("*.gz")})
