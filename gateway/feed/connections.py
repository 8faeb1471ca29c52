"""The feed's own connections, outside the pool: one listens and reads, one notifies.

A statement that exceeds its timeout closes the connection: that detects a server that vanished without closing it.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from gateway.storage.database import DriverConnection

_SETTINGS = {
    "timezone": "UTC",
    "jit": "off",
    # A notification writes nothing that has to survive a crash: its commit need not wait for the disk.
    "synchronous_commit": "off",
    # The log reader repeats one statement; its plan may have been made when the table was empty.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}


class Connect(Protocol):
    """`connect` to one server, with one timeout."""

    def __call__(self, *, application_name: str) -> AbstractAsyncContextManager[DriverConnection]: ...


@asynccontextmanager
async def connect(url: str, *, application_name: str, timeout_seconds: float) -> AsyncIterator[DriverConnection]:
    """Open a connection, and terminate it at the end without waiting for the server."""
    connection: DriverConnection = await asyncpg.connect(
        url,
        timeout=timeout_seconds,
        command_timeout=timeout_seconds,
        target_session_attrs=SessionAttribute.read_write,
        server_settings={**_SETTINGS, "application_name": application_name},
    )
    try:
        yield connection
    finally:
        connection.terminate()
