"""A process that uses a data directory until it is stopped; on its own, so that the process imports nothing else."""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

from gateway.storage.embedded import embedded_postgres


def use(arguments: Sequence[str]) -> None:
    """Print the address of the directory's server, and use it until a signal comes."""
    directory, role = arguments
    asyncio.run(_use(Path(directory), exclusive=role == "serve"))


async def _use(directory: Path, *, exclusive: bool) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with embedded_postgres(directory, exclusive=exclusive) as url:
        print(url, flush=True)  # noqa: T201 - the test reads it
        await stopped.wait()
