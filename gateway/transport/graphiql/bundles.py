"""The files of GraphiQL's page, as the build left them: compressed, under names that carry a hash of the content."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "bundle"

_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".ttf": "font/ttf"}
"""Written out: the machine's own table may know them otherwise, and browsers refuse a module of the wrong type."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleFile:
    name: str
    compressed: bytes

    @property
    def media_type(self) -> str:
        return _MEDIA_TYPES[Path(self.name).suffix]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """The page and the files it loads, some 2 MB, kept in memory."""

    page: bytes
    files: dict[str, BundleFile]


def load_bundle(folder: Path = FOLDER) -> Bundle | None:
    """Read what the build left; None in a checkout that was never installed."""
    try:
        page = (folder / "index.html").read_bytes()
    except FileNotFoundError:
        return None
    names = {path.name.removesuffix(".gz"): path for path in folder.glob("*.gz")}
    return Bundle(
        page=page,
        files={name: BundleFile(name=name, compressed=path.read_bytes()) for name, path in names.items()},
    )
