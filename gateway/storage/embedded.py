"""The embedded Postgres: a server in the gateway's data directory, shared by all commands that run at the same time.

Three files in the directory are locked by flock, which the kernel releases when a process ends, however it ends:
`gateway.lock` by the one `serve`; `postgres.users`, shared, by each user of the server, so that the last one knows that
it is the last; `postgres.lock` while a user starts or stops the server.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import quote

from gateway.storage.cluster import Cluster
from gateway.storage.postgres_user import EmbeddedPostgresError, require_reachable

_Result = TypeVar("_Result")
_DATABASE = "gateway"
_LOCK_SECONDS = 360
"""Longer than the start by another command may take."""


@asynccontextmanager
async def embedded_postgres(
    directory: Path,
    *,
    exclusive: bool,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[str]:
    """Run Postgres on `directory / "postgres"` and yield its DATABASE_URL; its last user stops it.

    `exclusive` is for `serve`: a second one on the same directory is refused. Raise EmbeddedPostgresError.
    """
    stack = ExitStack()
    try:
        yield await _uninterrupted(
            lambda: stack.enter_context(
                embedded_postgres_blocking(directory, exclusive=exclusive, settings=settings),
            ),
        )
    finally:
        await _uninterrupted(stack.close)


@contextmanager
def embedded_postgres_blocking(
    directory: Path,
    *,
    exclusive: bool,
    settings: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """The same as embedded_postgres, for where no event loop runs."""
    place = _prepare(directory)
    cluster = Cluster(data=place / "postgres", settings=settings or {})
    with ExitStack() as stack:
        if exclusive:
            stack.enter_context(_only_server(place))
        users = stack.enter_context(_lock_file(place / "postgres.users"))
        try:
            with _starting_or_stopping(place):
                fcntl.flock(users, fcntl.LOCK_SH)
                postmaster = cluster.start(database=_DATABASE)
            yield f"postgresql://postgres@/{_DATABASE}?host={quote(postmaster.socket_directory)}&port=5432"
        finally:
            with _starting_or_stopping(place):
                if _try_lock(users, fcntl.LOCK_EX):
                    cluster.stop()


def _prepare(directory: Path) -> Path:
    try:
        place = directory.resolve()
        data = place / "postgres"
        require_reachable(data)
        _make(place)
        if os.geteuid() != 0 and data.exists() and data.stat().st_uid != os.geteuid():
            raise EmbeddedPostgresError(
                f"{data} belongs to another user ({data.owner()}). Run the gateway as the user who made {place}, "
                "or give it another directory (--data).",
            )
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "it cannot be written", str(place))
    except OSError as error:
        raise EmbeddedPostgresError(
            f"The data directory {directory} cannot be used: {error}. Name another (--data)."
        ) from error
    return place


def _make(directory: Path) -> None:
    """Make a directory and those above it. Where the gateway is root, let Postgres' user pass through those made."""
    if os.geteuid() != 0:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
    for each in (*reversed(directory.parents), directory):
        if not each.is_dir():
            each.mkdir(exist_ok=True)
            each.chmod(0o711)  # not by mkdir, whose mode the umask narrows
    directory.chmod(stat.S_IMODE(directory.stat().st_mode) | stat.S_IXOTH)


@contextmanager
def _only_server(place: Path) -> Iterator[None]:
    """Hold the lock of the one gateway that serves from the directory. Raise EmbeddedPostgresError."""
    with _lock_file(place / "gateway.lock") as lock:
        if not _try_lock(lock, fcntl.LOCK_EX):
            lock.seek(0)
            raise EmbeddedPostgresError(
                f"A gateway already serves from {place} (process {lock.read().strip() or 'unknown'}). "
                "Stop it first, or give this one another directory (--data).",
            )
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextmanager
def _starting_or_stopping(place: Path) -> Iterator[None]:
    with _lock_file(place / "postgres.lock") as lock:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not _try_lock(lock, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"Another gateway command has been starting Postgres in {place} for too long."
                )
            time.sleep(0.02)
        yield


def _lock_file(path: Path) -> IO[str]:
    """Open a lock file, readable by its owner alone: a user that can open it can hold the lock."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, mode=0o600), "a+")


def _try_lock(file: IO[str], operation: int) -> bool:
    try:
        fcntl.flock(file, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _uninterrupted(work: Callable[[], _Result]) -> _Result:
    """Run in a thread to its end; a cancellation waits, so that a start or a stop is never left half done."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        with contextlib.suppress(EmbeddedPostgresError):
            task.result()
        raise
