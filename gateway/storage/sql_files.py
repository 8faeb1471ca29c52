"""Where the SQL files lie: inside the package where it is installed, at the top of the project in a checkout."""

from pathlib import Path


def sql_directory() -> Path:
    """Find the directory that holds `migrations` and `queries`."""
    package = Path(__file__).parent.parent
    packaged = package / "sql"
    return packaged if packaged.is_dir() else package.parent / "sql"
