"""The built files of GraphiQL's page: compressed, and named by a hash of their content."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "bundle"

_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".ttf": "font/ttf"}
"""The operating system's table may differ, and browsers refuse a module of the wrong type."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleFile:
    name: str
    compressed: bytes

    @property
    def media_type(self) -> str:
        return _MEDIA_TYPES[Path(self.name).suffix]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """The page and the files that it loads, about 2 MB, kept in memory."""

    page: bytes
    files: dict[str, BundleFile]


def load_bundle(folder: Path = FOLDER) -> Bundle | None:
    """Read the built files; None in a checkout that was never installed."""
    try:
        page = (folder / "index.html").read_bytes()
    except FileNotFoundError:
        return None
    names = {path.name.removesuffix(".gz"): path for path in folder.glob("*.gz")}
    return Bundle(
        page=page,
        files={name: BundleFile(name=name, compressed=path.read_bytes()) for name, path in names.items()},
    )
