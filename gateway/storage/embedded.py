"""The embedded Postgres: a server in the gateway's own data directory, shared by the commands that need it at one time.

Three locks in the directory, all of them flocks, which the kernel gives up when their process dies, however it dies:
`gateway.lock` is held by the one `serve`; `postgres.users` is shared by everybody who uses the server, so that the last
to leave can tell; `postgres.lock` is held while somebody comes or goes.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import quote

from gateway.storage.cluster import Cluster, DirectoryNotUsable, EmbeddedPostgresError

__all__ = ["AlreadyServed", "EmbeddedPostgresError", "embedded_postgres", "embedded_postgres_blocking"]

_Result = TypeVar("_Result")
_DATABASE = "gateway"
_LOCK_SECONDS = 360
"""Longer than somebody else's start may take."""


class AlreadyServed(EmbeddedPostgresError):
    """Another gateway serves from this directory."""


@asynccontextmanager
async def embedded_postgres(
    directory: Path,
    *,
    exclusive: bool,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[str]:
    """Run Postgres on `directory / "postgres"` and yield its DATABASE_URL; the last user to leave stops it.

    `exclusive` is for `serve`: a second one on the same directory gets AlreadyServed. Raise EmbeddedPostgresError.
    """
    stack = ExitStack()
    try:
        yield await _to_the_end(
            lambda: stack.enter_context(
                embedded_postgres_blocking(directory, exclusive=exclusive, settings=settings),
            ),
        )
    finally:
        await _to_the_end(stack.close)


@contextmanager
def embedded_postgres_blocking(
    directory: Path,
    *,
    exclusive: bool,
    settings: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Do as embedded_postgres does, where no event loop runs."""
    place = _prepared(directory)
    cluster = Cluster(data=place / "postgres", settings=settings or {})
    with ExitStack() as stack:
        if exclusive:
            stack.enter_context(_served(place))
        users = stack.enter_context(_lock_file(place / "postgres.users"))
        try:
            with _coming_or_going(place):
                fcntl.flock(users, fcntl.LOCK_SH)
                postmaster = cluster.start(database=_DATABASE)
            yield f"postgresql://postgres@/{_DATABASE}?host={quote(postmaster.socket_directory)}&port=5432"
        finally:
            with _coming_or_going(place):
                if _locked(users, fcntl.LOCK_EX):
                    cluster.stop()


def _prepared(directory: Path) -> Path:
    try:
        directory.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        place = directory.resolve(strict=True)
        data = place / "postgres"
        if os.geteuid() != 0 and data.exists() and data.stat().st_uid != os.geteuid():
            raise DirectoryNotUsable(
                f"{data} belongs to another user ({data.owner()}). Run the gateway as the user who made {place}, "
                "or give it another directory (--data).",
            )
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "it cannot be written", str(place))
    except OSError as error:
        raise DirectoryNotUsable(
            f"The data directory {directory} cannot be used: {error}. Name another (--data)."
        ) from error
    return place


@contextmanager
def _served(place: Path) -> Iterator[None]:
    """Hold the directory for the one gateway that serves from it."""
    with _lock_file(place / "gateway.lock") as lock:
        if not _locked(lock, fcntl.LOCK_EX):
            lock.seek(0)
            raise AlreadyServed(
                f"A gateway already serves from {place} (process {lock.read().strip() or 'unknown'}). "
                "Stop it first, or give this one another directory (--data).",
            )
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextmanager
def _coming_or_going(place: Path) -> Iterator[None]:
    with _lock_file(place / "postgres.lock") as lock:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not _locked(lock, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"Another gateway command has been starting Postgres in {place} for too long."
                )
            time.sleep(0.02)
        yield


def _lock_file(path: Path) -> IO[str]:
    """Open a lock's file; whoever can open it could hold the lock, so it is its owner's alone."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, mode=0o600), "a+")


def _locked(file: IO[str], operation: int) -> bool:
    try:
        fcntl.flock(file, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _to_the_end(work: Callable[[], _Result]) -> _Result:
    """Run in a thread. A cancellation waits: half a start or half a stop must not be left behind."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        with contextlib.suppress(EmbeddedPostgresError):
            task.result()
        raise
