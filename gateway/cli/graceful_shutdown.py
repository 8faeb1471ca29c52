"""Leaving well: what the signals to stop do to a gateway that serves.

The first one begins the drain. The listener stays, and so do idle connections: whoever balances the load gets its "not
ready" from /readyz, and whoever comes with work is told to go elsewhere, where a closed port would break requests that
are on their way. When the last request is answered and the last stream has ended, or the time for that is over, the
listener closes, then the connections to Postgres. The second signal ends the drain at once.
"""

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.transport.connections import ConnectionRegistry

LOG = logging.getLogger("gateway")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CANCEL_SECONDS = 2.0


class Server(uvicorn.Server):
    """A server that leaves signals to whoever started it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def cut_quietly(app: ASGIApp, registry: ConnectionRegistry) -> ASGIApp:
    """Have what is cancelled at the end of the drain end without a traceback in the log: nothing went wrong there."""

    async def cut(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:
            if not registry.draining:
                raise

    return cut


class SignalHandler:
    """What a signal does, called with its number."""

    def __init__(self, work: "asyncio.Task[object]") -> None:
        self.registry = ConnectionRegistry()
        self.status = 0
        """What to exit with: 0 after a drain, 128 + n where the second signal n ended it."""
        self._work = work
        self._server: uvicorn.Server | None = None
        self._hurry = asyncio.Event()
        self._drain: asyncio.Task[None] | None = None
        self.ended_start = False

    def serve_with(self, server: uvicorn.Server) -> None:
        self._server = server

    def __call__(self, number: int) -> None:
        if self._server is None:
            self.status, self.ended_start = 128 + number, True
            self._work.cancel()
        elif self._drain is None:
            self._drain = asyncio.create_task(self._leave(self._server))
        else:
            self.status = 128 + number
            self._hurry.set()
            self._server.force_exit = True

    async def abandon(self) -> None:
        """Cancel what still runs, and wait until Postgres has cancelled its statements, at most _CANCEL_SECONDS.

        uvicorn does not cancel the requests that run when it is told to exit at once. A statement whose task is only
        cancelled when the event loop closes goes on in Postgres: the driver's cancel request is never sent.
        """
        requests = self._server.server_state.tasks if self._server is not None else set()
        for request in requests:
            request.cancel()
        left = self.registry.abandon() + len(requests)
        if left:
            LOG.warning("Stopped with %d operations still running", left)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CANCEL_SECONDS):
                await self.registry.finished()
        if self._drain is not None:
            await self._drain

    async def _leave(self, server: uvicorn.Server) -> None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + (server.config.timeout_graceful_shutdown or 0)
        self.registry.begin()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._finished_or_hurried()
        # What is left of the time is for answers that are on their way; uvicorn waits for them.
        server.config.timeout_graceful_shutdown = max(0, deadline - clock())  # type: ignore[assignment]  # said to be int; any number does
        server.should_exit = True

    async def _finished_or_hurried(self) -> None:
        waits = [asyncio.create_task(self.registry.finished()), asyncio.create_task(self._hurry.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


@contextmanager
def handle_signals() -> Iterator[SignalHandler]:
    """Have the signals stop this task: before there is a server its start is given up."""
    loop, work = asyncio.get_running_loop(), asyncio.current_task()
    assert work is not None  # noqa: S101 - a coroutine runs in a task
    stop = SignalHandler(work)
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        yield stop
    except asyncio.CancelledError:
        if not stop.ended_start:
            raise
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
