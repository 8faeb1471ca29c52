"""The registry of what is open and what is running: connections are checked every second, and drained at shutdown."""

import asyncio
import enum
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeVar
from uuid import UUID

from gateway.domain.errors import GatewayError, Unauthenticated
from gateway.domain.principals import Principal
from gateway.transport.peers import Peers

Result = TypeVar("Result")

TICK_SECONDS = 1.0
"""Between two checks of the connections, whose limits are tens of seconds."""
CLOSE_SECONDS = 5.0
"""Within which a client has to read the last frame."""
CHECK_SECONDS = 2.0
"""Between two checks of the credentials: a token's expiry, and a revocation whose notification was lost, take effect
within this time."""

EndedKeys = Callable[[Collection[UUID]], Awaitable[Collection[UUID]]]
"""Returns which of these API keys have been revoked or have expired."""


class CloseCause(enum.Enum):
    """Why a connection ends without a message of its own protocol."""

    CLIENT_GONE = enum.auto()
    """The client has disconnected."""
    UNRESPONSIVE = enum.auto()
    """The client sends nothing any more."""
    SHUTDOWN = enum.auto()
    """The gateway stops."""


class Connection(Protocol):
    """A connection that stays open: a WebSocket, or a streamed response."""

    principal: Principal | None
    transport: ClassVar[str]
    """The label in the metrics."""

    def on_tick(self, now: float) -> None:
        """Close what exceeds its limits; ask whether the client is still there. Must not block."""

    def close_for_shutdown(self) -> None:
        """Close because the gateway stops: the client reconnects to another one."""

    def close_unauthorized(self, error: GatewayError) -> None:
        """Close because the caller's credential is no longer valid."""


class ConnectionRegistry:
    """The connections, requests and mutations of one gateway."""

    def __init__(self) -> None:
        self.draining = False
        self.peers = Peers()
        """The peers of everything that is open, also of what is not authenticated."""
        self._connections: set[Connection] = set()
        self._mutations: set[asyncio.Task[Any]] = set()
        self.requests = 0
        """The number of running requests, counted by the endpoint."""
        self.idle: asyncio.Event | None = None
        """Set as soon as nothing is open and nothing runs; None: nobody waits for that."""

    @property
    def connections(self) -> frozenset[Connection]:
        """The open connections."""
        return frozenset(self._connections)

    @contextmanager
    def registered(self, connection: Connection) -> Iterator[None]:
        """Check a connection while it is open. Ends quietly when it is cancelled during the drain."""
        self._connections.add(connection)
        if self.draining:
            connection.close_for_shutdown()
        try:
            yield
        except asyncio.CancelledError:  # uvicorn would log its traceback
            if not self.draining:
                raise
        finally:
            self._connections.discard(connection)
            self.update_idle()

    async def until_idle(self) -> None:
        """Wait until nothing is open and nothing runs."""
        while self._connections or self.requests or self._mutations:
            self.idle = self.idle or asyncio.Event()
            await self.idle.wait()

    def update_idle(self) -> None:
        """Call this where something has ended, if anybody waits for that."""
        if self.idle is not None and not (self._connections or self.requests or self._mutations):
            self.idle.set()
            self.idle = None

    async def run_to_completion(self, mutation: Coroutine[Any, Any, Result]) -> Result:
        """Await a mutation. Cancelling the awaiter leaves it running."""
        task = asyncio.create_task(mutation)
        self._mutations.add(task)
        task.add_done_callback(self._on_mutation_done)
        return await asyncio.shield(task)

    def begin_drain(self) -> None:
        """Reject new requests, close the connections, and let what runs finish."""
        self.draining = True
        for connection in self.connections:
            connection.close_for_shutdown()

    def cancel_mutations(self) -> int:
        """Cancel the mutations that still run; return their number."""
        for task in self._mutations:
            task.cancel()
        return len(self._mutations)

    def close_unauthorized(self, concerns: Callable[[Principal], bool], error: GatewayError) -> None:
        """Close the connections of the principals that this concerns."""
        for connection in self.connections:
            if connection.principal is not None and concerns(connection.principal):
                connection.close_unauthorized(error)

    async def check_credentials(self, *, ended_keys: EndedKeys, now: Callable[[], datetime]) -> None:
        """Close the connections whose principal's credential has expired or was revoked."""
        time = now()
        self.close_unauthorized(
            lambda principal: principal.has_expired(now=time),
            Unauthenticated("The credential has expired. Connect again with a new one."),
        )
        principals = [connection.principal for connection in self._connections]
        ids = {each.api_key_id for each in principals if each is not None and each.api_key_id is not None}
        if ended := await ended_keys(ids) if ids else ():
            self.close_unauthorized(
                lambda principal: principal.api_key_id in ended,
                Unauthenticated("The API key was revoked, or has expired."),
            )

    async def check(self) -> None:
        """Check the limits of all connections. To be run every TICK_SECONDS."""
        now = asyncio.get_running_loop().time()
        for connection in self.connections:
            connection.on_tick(now)

    def _on_mutation_done(self, task: asyncio.Task[Any]) -> None:
        self._mutations.discard(task)
        self.update_idle()
