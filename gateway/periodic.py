"""Periodic jobs: one helper for everything that the gateway does at intervals."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from gateway.domain.errors import GatewayError

_logger = logging.getLogger(__name__)

Job = Callable[[], Awaitable[object]]


@asynccontextmanager
async def run_periodically(
    seconds: float, job: Job, *, name: str, wake: asyncio.Event | None = None
) -> AsyncIterator[None]:
    """Run a job now, then at this interval, and whenever `wake` is set, until the context ends.

    An error is logged, and the next interval retries.
    """

    async def repeat(wake: asyncio.Event) -> None:
        while True:
            wake.clear()
            await run_logging_errors(job, name=name)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await wake.wait()

    task = asyncio.create_task(repeat(wake or asyncio.Event()), name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def run_logging_errors(job: Job, *, name: str) -> None:
    """Run a job that can be retried later; log its error."""
    try:
        await job()
    except GatewayError as error:
        _logger.warning("Postponed: %s: %s", name, error.message)
    except Exception:
        _logger.exception("Failed: %s", name)
