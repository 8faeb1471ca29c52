"""How long the gateway, and everything that is open on it, goes on: the watch over connections, and leaving well."""

import asyncio
import enum
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, ClassVar, Protocol, TypeVar

from gateway.domain.errors import GatewayError, Unavailable
from gateway.domain.principals import Principal
from gateway.periodic import run_periodically

T = TypeVar("T")

TICK_SECONDS = 1.0
"""How often connections are looked after: their limits are tens of seconds."""


class CloseCause(enum.Enum):
    """Why a connection ends that nobody said goodbye on."""

    GONE = enum.auto()
    """The client went away."""
    LOST = enum.auto()
    """The client takes nothing, or says nothing, any more."""
    LEAVING = enum.auto()
    """The gateway stops."""


class Connection(Protocol):
    """Something that stays open: a WebSocket, or a response that streams."""

    principal: Principal | None
    transport: ClassVar[str]
    """What sort of connection it is, for those who count."""

    def tend(self, now: float) -> None:
        """Look after it: end what took too long, ask whether the other side is still there. Must not block."""

    def leave(self) -> None:
        """End it, because the gateway stops; its client will come back to another one."""

    def expel(self, error: GatewayError) -> None:
        """End it, because its caller has no right to it any more."""


class ConnectionRegistry:
    """What is open and what is running; one for a gateway. Looks after it while `watching`, drains after `begin`."""

    def __init__(self) -> None:
        self.draining = False
        self._connections: set[Connection] = set()
        self._work: set[asyncio.Task[Any]] = set()
        self._requests = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def connections(self) -> frozenset[Connection]:
        """What is open now."""
        return frozenset(self._connections)

    @property
    def requests(self) -> int:
        """How many requests are being answered now."""
        return self._requests

    def admit(self) -> None:
        """Raise Unavailable where no new work is taken."""
        if self.draining:
            raise Unavailable("The gateway is stopping. Try again: another one takes over.")

    def cut_off(self) -> Unavailable:
        """Return what to tell about work that was cancelled, where that was for the end of the gateway.

        Call it where asyncio.CancelledError was caught; it goes on where it has another reason.
        """
        if not self.draining:
            raise asyncio.CancelledError
        return Unavailable(
            "The gateway stopped before this was done. Look whether it took effect before you repeat it."
        )

    def begin(self) -> None:
        """Begin to leave: no new work, streams end, what runs may finish. Await `finished` then."""
        self.draining = True
        for connection in self.connections:
            connection.leave()

    async def finished(self) -> None:
        """Wait until nothing is open and nothing runs; bound it by a timeout."""
        await self._idle.wait()

    def abandon(self) -> int:
        """Cancel the work that nobody waits for any more; answer how much that was."""
        for task in self._work:
            task.cancel()
        return len(self._work)

    def expel(self, concerns: Callable[[Principal], bool], error: GatewayError) -> None:
        """End the connections of the principals that lost their right to them."""
        for connection in self.connections:
            if connection.principal is not None and concerns(connection.principal):
                connection.expel(error)

    @contextmanager
    def open(self, connection: Connection) -> Iterator[None]:
        """Look after a connection as long as it is open."""
        self._connections.add(connection)
        self._idle.clear()
        if self.draining:
            connection.leave()
        try:
            yield
        finally:
            self._connections.discard(connection)
            self._note_idleness()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Count a request as long as it runs."""
        self._requests += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._requests -= 1
            self._note_idleness()

    async def completed(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work that is finished once begun, also where whoever awaits it is cancelled."""
        task = asyncio.create_task(work)
        self._work.add(task)
        self._idle.clear()
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def watching(self) -> AbstractAsyncContextManager[None]:
        """Look after the connections for as long as the context lasts."""
        return run_periodically(TICK_SECONDS, self._tick, name="looking after connections")

    async def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in self.connections:
            connection.tend(now)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._work.discard(task)
        self._note_idleness()

    def _note_idleness(self) -> None:
        if not (self._connections or self._requests or self._work):
            self._idle.set()
