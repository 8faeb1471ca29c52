"""Graceful shutdown: what SIGINT and SIGTERM do to a gateway that serves.

The first signal begins the drain. The listener and idle connections stay open: a load balancer reads from /readyz that
the gateway is not ready, and new work is refused with 503, where a closed port would break requests that are on their
way. When the last request is answered and the last stream has ended, or the time for the drain is over, the listener
closes, then the connections to Postgres. The second signal ends the drain at once.
"""

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn

from gateway.transport.connections import ConnectionRegistry

LOG = logging.getLogger("gateway")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CANCEL_SECONDS = 2.0


class Server(uvicorn.Server):
    """A server that leaves the signals to SignalHandler."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class SignalHandler:
    """Handles the signals; called with a signal's number. While there is no server, a signal cancels the start."""

    def __init__(self, task: "asyncio.Task[object]") -> None:
        self.registry = ConnectionRegistry()
        self.server: uvicorn.Server | None = None
        self.status = 0
        """The exit status: 0 after a drain, 128 + n where signal n cancelled the start or ended the drain."""
        self.start_cancelled = False
        self._task = task
        self._second_signal = asyncio.Event()
        self._drain: asyncio.Task[None] | None = None

    def __call__(self, number: int) -> None:
        if self.server is None:
            self.status, self.start_cancelled = 128 + number, True
            self._task.cancel()
        elif self._drain is None:
            self._drain = asyncio.create_task(self._drain_and_exit(self.server))
        else:
            self.status = 128 + number
            self._second_signal.set()
            self.server.force_exit = True

    async def _drain_and_exit(self, server: uvicorn.Server) -> None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + (server.config.timeout_graceful_shutdown or 0)
        self.registry.begin_drain()
        waits = [asyncio.create_task(self.registry.until_idle()), asyncio.create_task(self._second_signal.wait())]
        await asyncio.wait(waits, timeout=max(0, deadline - clock()), return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        # The rest of the time is for answers that are being sent; uvicorn waits for them.
        server.config.timeout_graceful_shutdown = max(0, deadline - clock())  # type: ignore[assignment]  # said to be int; any number does
        server.should_exit = True

    async def cancel_remaining(self) -> None:
        """Cancel what still runs, and wait until Postgres has cancelled its statements, at most _CANCEL_SECONDS.

        uvicorn does not cancel the running requests when it has to exit at once. A statement whose task is only
        cancelled when the event loop closes goes on in Postgres: the driver's cancel request is never sent.
        """
        requests = self.server.server_state.tasks if self.server is not None else set()
        for request in requests:
            request.cancel()
        remaining = self.registry.cancel_mutations() + len(requests)
        if remaining:
            LOG.warning("Stopped with %d operations still running", remaining)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CANCEL_SECONDS):
                await self.registry.until_idle()
        if self._drain is not None:
            await self._drain


@contextmanager
def handle_signals() -> Iterator[SignalHandler]:
    """Have SIGINT and SIGTERM stop this task."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    handler = SignalHandler(task)
    for number in _SIGNALS:
        loop.add_signal_handler(number, handler, number)
    try:
        yield handler
    except asyncio.CancelledError:
        if not handler.start_cancelled:
            raise
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
