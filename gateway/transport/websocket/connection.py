"""GraphQL over WebSocket, by the sub-protocol graphql-transport-ws.

A connection has one task that receives, and one for each operation. An operation awaits that its message went out
before it takes its next payload: that bounds what waits here, and a slow client delays no other.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from graphql import OperationType
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from gateway.auth.authentication import Authentication, authorization_of
from gateway.domain.errors import BadUserInput, GatewayError, RateLimited
from gateway.domain.principals import Principal
from gateway.execution.documents import Operation
from gateway.execution.errors import format_errors
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.quotas import ConcurrencyLimiter
from gateway.transport.cancellation import Cancellable
from gateway.transport.connections import CloseCause, ConnectionRegistry
from gateway.transport.peers import ClientGone, MonitoredSend, abort, peer_of
from gateway.transport.websocket import close_codes, messages
from gateway.transport.websocket.close_codes import Close, CloseConnection
from gateway.transport.websocket.messages import Complete, ConnectionInit, Ping, Pong, Subscribe

MAX_PINGS = 20
"""Pings and pongs that a client may send in a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WebSocketLimits:
    """Limits of WebSockets; times are in seconds."""

    operations: int = 100
    """Concurrent operations of one connection."""
    per_caller: int = 10_000
    """Open connections of one caller."""
    initialisation: float = 10.0
    """Until the client has sent `connection_init`."""
    ping: float = 20.0
    """Between pings. A client that sends nothing until the next one is dropped."""
    close: float = 5.0
    """Within which the client has to read the close frame."""


@dataclass(kw_only=True, slots=True, eq=False)
class WebSocketEndpoint:
    """The endpoint as an ASGI application."""

    pipeline: OperationPipeline
    authentication: Authentication
    registry: ConnectionRegistry
    limits: WebSocketLimits
    concurrency: ConcurrencyLimiter = field(init=False)

    def __post_init__(self) -> None:
        self.concurrency = ConcurrencyLimiter(self.limits.per_caller, things="WebSockets")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if messages.SUBPROTOCOL in scope["subprotocols"]:
            await send({"type": "websocket.accept", "subprotocol": messages.SUBPROTOCOL})
            await WebSocketConnection(self, scope, receive, MonitoredSend(send, scope)).run()
        else:
            await send({"type": "websocket.accept"})
            code, reason = close_codes.SUBPROTOCOL_NOT_ACCEPTABLE
            await send({"type": "websocket.close", "code": code, "reason": reason})


@dataclass(slots=True, weakref_slot=True, eq=False)
class WebSocketConnection:
    """One client's WebSocket, and a Connection of the registry."""

    transport: ClassVar[str] = "websocket"

    endpoint: WebSocketEndpoint
    scope: Scope
    receive: Receive
    send: MonitoredSend
    principal: Principal | None = None
    _receiving: Cancellable[Close | CloseCause] = field(default_factory=Cancellable, init=False)
    _operations: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _executing: set[asyncio.Task[Any]] = field(default_factory=set, init=False)
    """The tasks of queries and mutations."""
    _initialised: bool = field(default=False, init=False)
    _pinged_at: float = field(default_factory=lambda: asyncio.get_running_loop().time(), init=False)
    """When the last ping was sent; before the initialisation, when the connection was opened."""
    _pings: float = field(default=0.0, init=False)
    """Pings and pongs that were received; one is forgotten each twentieth of a second."""
    _pings_at: float = field(default=0.0, init=False)
    _ping: asyncio.Task[None] | None = field(default=None, init=False)
    """The last ping, until the client sends something."""

    async def run(self) -> None:
        """Receive messages until one of the two sides closes."""
        with self.endpoint.registry.registered(self):
            try:
                await self._close(await self._receiving.run(self._receive_messages()))
            finally:
                if self.principal is not None:
                    self.endpoint.concurrency.release(self.principal)
                for task in self._operations.values():
                    task.cancel()
                self._cancel_ping()

    def on_tick(self, now: float) -> None:
        limits = self.endpoint.limits
        if self.principal is None:
            if now - self._pinged_at > limits.initialisation:
                self._receiving.interrupt(close_codes.INITIALISATION_TIMEOUT)
        elif now - self._pinged_at >= limits.ping:
            self._pinged_at = now
            if self._ping is None:
                self._ping = asyncio.create_task(self._send_ping())
            else:
                self._receiving.interrupt(CloseCause.UNRESPONSIVE)

    def close_for_shutdown(self) -> None:
        self._receiving.interrupt(close_codes.SERVICE_RESTART)

    def close_unauthorized(self, error: GatewayError) -> None:  # noqa: ARG002 - the close code says it
        self._receiving.interrupt(close_codes.FORBIDDEN)

    async def _receive_messages(self) -> Close | CloseCause:
        try:
            while True:
                event = await self.receive()
                if event["type"] == "websocket.disconnect":
                    return CloseCause.CLIENT_GONE
                self._cancel_ping()
                await self._handle(event.get("text"))
        except CloseConnection as closing:
            return closing.close
        except ClientGone:
            return CloseCause.CLIENT_GONE

    async def _handle(self, text: str | None) -> None:
        try:
            message = messages.client_message(text)
        except BadUserInput as error:
            raise CloseConnection(Close(4400, f"Invalid message received: {error.message}")) from None
        match message:
            case ConnectionInit():
                await self._initialise(message)
            case Subscribe():
                await self._start_operation(message)
            case Complete():
                if self.principal is None:
                    raise CloseConnection(close_codes.UNAUTHORIZED)
                task = self._operations.pop(message.id, None)
                if task is not None:
                    task.cancel()
            case Ping():
                self._count_ping()
                await self._send_text(message.pong)
            case Pong():
                self._count_ping()

    def _count_ping(self) -> None:
        now = asyncio.get_running_loop().time()
        self._pings = max(self._pings - (now - self._pings_at) * MAX_PINGS, 0) + 1
        self._pings_at = now
        if self._pings > MAX_PINGS:
            raise CloseConnection(Close(4400, f"More than {MAX_PINGS} pings and pongs in a second"))

    async def _initialise(self, message: ConnectionInit) -> None:
        if self._initialised:
            raise CloseConnection(close_codes.TOO_MANY_INITIALISATIONS)
        self._initialised = True
        try:
            authorization = authorization_of(message.payload) or Headers(scope=self.scope).get("authorization")
            principal = await self.endpoint.authentication.authenticate(authorization)
        except Exception as error:  # noqa: BLE001 - any error closes the connection
            raise CloseConnection(close_codes.close_of(error)) from None
        if principal is None:  # anonymous callers introspect over HTTP
            raise CloseConnection(close_codes.UNAUTHORIZED)
        try:
            self.endpoint.concurrency.acquire(principal)
        except RateLimited as error:
            raise CloseConnection(close_codes.close_of(error)) from None
        self.principal = principal
        if (peer := peer_of(self.scope)) is not None:
            peer.authenticated(principal)
        self._pinged_at = asyncio.get_running_loop().time()
        await self._send_text(messages.ACKNOWLEDGEMENT)

    async def _start_operation(self, message: Subscribe) -> None:
        if self.principal is None:
            raise CloseConnection(close_codes.UNAUTHORIZED)
        if message.id in self._operations:
            raise CloseConnection(Close(4409, f"Subscriber for {message.id} already exists"))
        limit = self.endpoint.limits.operations
        if len(self._operations) >= limit:
            excess = RateLimited(
                f"At most {limit} operations run on one socket. Complete one, or open another socket.", retryAfter=1
            )
            await self._send_text(messages.error(message.id, format_errors(excess)))
            return
        self._operations[message.id] = asyncio.create_task(self._run_operation(message))

    async def _run_operation(self, message: Subscribe) -> None:
        try:
            operation = await self.endpoint.pipeline.prepare(message.request, self.principal)
            if operation.type is OperationType.SUBSCRIPTION:
                await self._send_payloads(message, operation)
            else:
                await self._send_response(message, operation)
            last = messages.complete(message.id)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - any error becomes a masked response
            last = messages.error(message.id, format_errors(error))
        if self._operations.get(message.id) is asyncio.current_task():
            del self._operations[message.id]  # before the last message: after it, the client may use the id again
        with suppress(ClientGone):
            await self._send_text(last)

    async def _send_payloads(self, message: Subscribe, operation: Operation) -> None:
        head = messages.next_head(message.id)
        stream = await self.endpoint.pipeline.subscribe(operation, message.request, self.principal)
        try:
            async for payload in stream:
                await self.send.send({"type": "websocket.send", "text": f"{head}{payload.text}}}"})
        finally:
            await stream.aclose()

    async def _send_response(self, message: Subscribe, operation: Operation) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - operations are tasks
        self._executing.add(task)
        try:
            response = await self.endpoint.pipeline.execute(operation, message.request, self.principal)
            await self._send_text(f"{messages.next_head(message.id)}{response.body.decode()}}}")
        finally:
            self._executing.discard(task)

    async def _send_text(self, text: str) -> None:
        await self.send.send({"type": "websocket.send", "text": text})

    async def _send_ping(self) -> None:
        with suppress(ClientGone):
            await self._send_text(messages.PING)

    def _cancel_ping(self) -> None:
        if self._ping is not None:
            self._ping.cancel()
            self._ping = None

    async def _close(self, cause: Close | CloseCause | None) -> None:
        if cause is close_codes.SERVICE_RESTART:
            # The subscriptions end, and the queries and mutations send their responses first.
            for task in set(self._operations.values()) - self._executing:
                task.cancel()
            if self._executing:
                await asyncio.wait(self._executing)
        for task in self._operations.values():
            task.cancel()
        if cause is CloseCause.UNRESPONSIVE:
            abort(self.scope, "unresponsive")
        elif isinstance(cause, Close):
            with suppress(ClientGone):
                try:
                    async with asyncio.timeout(self.endpoint.limits.close):
                        await self.send.send({"type": "websocket.close", "code": cause.code, "reason": cause.reason})
                except TimeoutError:
                    abort(self.scope, "stalled")
