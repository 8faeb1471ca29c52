"""The SQL files: inside the installed package, or at the top of a checkout."""

from pathlib import Path


def sql_directory() -> Path:
    """Return the directory of `migrations` and `queries`."""
    package = Path(__file__).parent.parent
    packaged = package / "sql"
    return packaged if packaged.is_dir() else package.parent / "sql"
