"""GraphQL over WebSocket, by the sub-protocol graphql-transport-ws.

A connection has one task that receives, and one for each operation that is not a live subscription. An operation awaits
that its message went out before it takes its next payload: that bounds what waits here, and a slow client delays no
other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from graphql import OperationType
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from gateway.auth.authentication import Authentication, authorization_of
from gateway.domain.errors import BadUserInput, GatewayError, RateLimited
from gateway.domain.principals import Principal
from gateway.execution.encoding import Payload
from gateway.execution.errors import format_errors
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.quotas import ConcurrencyLimiter
from gateway.operations.requests import GraphQLRequest
from gateway.operations.subscriptions import Batch, PayloadStream
from gateway.transport.cancellation import Cancellable
from gateway.transport.connections import CLOSE_SECONDS, CloseCause, ConnectionRegistry
from gateway.transport.peers import PEER_EXTENSION, ClientGone, Peer
from gateway.transport.websocket import close_codes, messages
from gateway.transport.websocket.close_codes import Close, CloseConnection
from gateway.transport.websocket.messages import Complete, ConnectionInit, Ping, Pong, Subscribe

MAX_PINGS = 20
"""Pings and pongs that a client may send in a second."""
MAX_RUNNING = 3
"""Queries and mutations of one connection that run at a time, up to the sending of their responses; others wait. So
many responses may wait for a client that does not read."""


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


@dataclass(kw_only=True, slots=True, eq=False)
class WebSocketEndpoint:
    """The endpoint as an ASGI application."""

    pipeline: OperationPipeline
    authentication: Authentication
    registry: ConnectionRegistry
    limits: WebSocketLimits = WebSocketLimits()
    concurrency: ConcurrencyLimiter = field(init=False)

    def __post_init__(self) -> None:
        self.concurrency = ConcurrencyLimiter(self.limits.per_caller, things="WebSockets")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if messages.SUBPROTOCOL in scope["subprotocols"]:
            await send({"type": "websocket.accept", "subprotocol": messages.SUBPROTOCOL})
            await WebSocketConnection(self, scope, receive, send, scope["extensions"][PEER_EXTENSION]).run()
        else:
            await send({"type": "websocket.accept"})
            await send(close_codes.SUBPROTOCOL_NOT_ACCEPTABLE.message)


@dataclass(slots=True, weakref_slot=True, eq=False)
class WebSocketConnection:
    """One client's WebSocket, and a Connection of the registry."""

    transport: ClassVar[str] = "websocket"

    endpoint: WebSocketEndpoint
    scope: Scope
    receive: Receive
    send: Send
    peer: Peer
    principal: Principal | None = None
    _receiving: Cancellable[Close | CloseCause] = field(default_factory=Cancellable, init=False)
    _operations: dict[str, "Operation"] = field(default_factory=dict, init=False)
    free: asyncio.Semaphore = field(default_factory=partial(asyncio.Semaphore, MAX_RUNNING), init=False)
    _pinged_at: float = field(default_factory=lambda: asyncio.get_running_loop().time(), init=False)
    """When the last ping was sent; before the initialisation, when the connection was opened."""
    _pings: float = field(default=0.0, init=False)
    """Pings and pongs that were received; one is forgotten each twentieth of a second."""
    _pings_at: float = field(default=0.0, init=False)
    _awaits_pong: bool = field(default=False, init=False)
    """Whether the client has sent nothing since the last ping."""

    async def run(self) -> None:
        """Receive messages until one of the two sides closes."""
        with self.endpoint.registry.registered(self):
            try:
                await self._close(await self._receiving.run(self._receive_messages()))
            finally:
                if self.principal is not None:
                    self.endpoint.concurrency.release(self.principal)
                self._cancel(self._operations.values())

    def on_tick(self, now: float) -> None:
        limits = self.endpoint.limits
        if self.principal is None:
            if now - self._pinged_at > limits.initialisation:
                self._receiving.interrupt(close_codes.INITIALISATION_TIMEOUT)
        elif now - self._pinged_at >= limits.ping:
            self._pinged_at = now
            if self._awaits_pong:
                self._receiving.interrupt(CloseCause.UNRESPONSIVE)
            else:
                self._awaits_pong = True
                self.peer.transport.write(messages.PING_FRAME)

    def close_for_shutdown(self) -> None:
        self._receiving.interrupt(close_codes.SERVICE_RESTART)

    def close_unauthorized(self, error: GatewayError) -> None:
        self._receiving.interrupt(Close(4403, f"Forbidden: {error.message}"))

    async def _receive_messages(self) -> Close | CloseCause:
        try:
            while True:
                event = await self.receive()
                if event["type"] == "websocket.disconnect":
                    return CloseCause.CLIENT_GONE
                self._awaits_pong = False
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
                    raise CloseConnection(close_codes.NOT_INITIALISED)
                operation = self._operations.pop(message.id, None)
                if operation is not None:
                    operation.cancel()
            case Ping():
                self._count_ping()
                await self.send_text(message.pong)
            case Pong():
                self._count_ping()

    def _count_ping(self) -> None:
        now = asyncio.get_running_loop().time()
        self._pings = max(self._pings - (now - self._pings_at) * MAX_PINGS, 0) + 1
        self._pings_at = now
        if self._pings > MAX_PINGS:
            raise CloseConnection(Close(4400, f"More than {MAX_PINGS} pings and pongs in a second"))

    async def _initialise(self, message: ConnectionInit) -> None:
        if self.principal is not None:
            raise CloseConnection(close_codes.TOO_MANY_INITIALISATIONS)
        try:
            authorization = authorization_of(message.payload) or Headers(scope=self.scope).get("authorization")
            principal = await self.endpoint.authentication.authenticate(authorization)
            if principal is not None:
                self.endpoint.concurrency.acquire(principal)
        except Exception as error:  # noqa: BLE001 - any error closes the connection
            raise CloseConnection(close_codes.close_of(error)) from None
        if principal is None:  # anonymous callers introspect over HTTP
            raise CloseConnection(close_codes.NO_CREDENTIAL)
        self.principal = principal
        self.peer.authenticated(principal)
        self.scope["headers"] = ()  # 1.1 KB, as long as the connection
        self._pinged_at = asyncio.get_running_loop().time()
        await self.send_text(messages.ACKNOWLEDGEMENT)

    async def _start_operation(self, message: Subscribe) -> None:
        if self.principal is None:
            raise CloseConnection(close_codes.NOT_INITIALISED)
        if message.id in self._operations:
            raise CloseConnection(Close(4409, f"Subscriber for {message.id} already exists"))
        limit = self.endpoint.limits.operations
        if len(self._operations) >= limit:
            excess = RateLimited(
                f"At most {limit} operations run on one socket. Complete one, or open another socket.", retryAfter=1
            )
            await self.send_text(messages.error(message.id, format_errors(excess)))
            return
        operation = self._operations[message.id] = Operation(self, message.id)
        operation.start(message.request)

    def forget(self, operation: "Operation") -> None:
        """Let the client use the operation's id again."""
        if self._operations.get(operation.id) is operation:
            del self._operations[operation.id]

    async def send_text(self, text: str) -> None:
        await self.peer.send(self.send, {"type": "websocket.send", "text": text})

    @staticmethod
    def _cancel(operations: Iterable["Operation"]) -> None:
        for operation in operations:
            operation.cancel()

    async def _close(self, cause: Close | CloseCause | None) -> None:
        if cause is close_codes.SERVICE_RESTART:
            # The subscriptions end, and the queries and mutations send their responses first.
            operations = self._operations.values()
            self._cancel(each for each in operations if not each.executes)
            if running := [each.task for each in operations if each.executes and each.task is not None]:
                await asyncio.wait(running)
        self._cancel(self._operations.values())
        if cause is CloseCause.UNRESPONSIVE:
            self.peer.abort("unresponsive")
        elif isinstance(cause, Close):
            with suppress(ClientGone):
                try:
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await self.peer.send(self.send, cause.message)
                except TimeoutError:
                    self.peer.abort("stalled")


@dataclass(slots=True, eq=False)
class Operation:
    """One operation, from `subscribe` to `complete`, as the sink of its payloads.

    A query or mutation has a task. A subscription has one while it is opened, reads its backlog, or waits for its
    client to read; as a live subscriber it has none, and its frames are written to the socket directly.
    """

    connection: WebSocketConnection
    id: str
    executes: bool = field(default=False, init=False)
    """Whether it is a query or mutation that has begun."""
    task: asyncio.Task[None] | None = field(default=None, init=False)
    _stream: PayloadStream | None = field(default=None, init=False)
    _head: bytes = field(default=b"", init=False)

    def start(self, request: GraphQLRequest) -> None:
        self._run(partial(self._begin, request))

    def cancel(self) -> None:
        """End it without a message."""
        if self.task is not None:
            self.task.cancel()
        if self._stream is not None:  # a task that has not begun would not close it
            self._stream.leave()

    def take(self, batch: Batch) -> bool:
        peer = self.connection.peer
        if peer.stalled:
            return False
        if batch.encoded_for != self._head:
            batch.encoded_for, batch.encoded = self._head, messages.next_frames(self._head, batch.payloads)
        peer.transport.write(batch.encoded)
        return True

    def fall_behind(self, payload: Payload) -> None:
        self._run(partial(self._send_payloads, payload))

    def end(self, error: Exception | None) -> None:
        async def finish() -> bool:
            if error is not None:
                raise error
            return True

        self._run(finish)

    def _run(self, work: Callable[[], Awaitable[bool]]) -> None:
        self.task = asyncio.create_task(self._send_messages(work))

    async def _send_messages(self, work: Callable[[], Awaitable[bool]]) -> None:
        """Do the work, which sends messages and returns whether all were sent; then send the last one."""
        try:
            if not await work():
                self.task = None
                return
            last = messages.complete(self.id)
        except (ClientGone, asyncio.CancelledError):  # a task that keeps its cancellation keeps what its frames hold
            return
        except Exception as error:  # noqa: BLE001 - any error becomes a masked response
            last = messages.error(self.id, format_errors(error))
        self.connection.forget(self)  # before the last message: after it, the client may use the id again
        with suppress(ClientGone):
            await self.connection.send_text(last)

    async def _begin(self, request: GraphQLRequest) -> bool:
        connection = self.connection
        pipeline, caller = connection.endpoint.pipeline, connection.principal
        operation = await pipeline.prepare(request, caller)
        if operation.type is OperationType.SUBSCRIPTION:
            self._head = messages.next_head(self.id).encode()
            self._stream = await pipeline.subscribe(operation, request, caller)
            return await self._send_payloads(None)
        self.executes = True
        async with connection.free:
            body = (await pipeline.execute(operation, request, caller)).body
            text = f"{messages.next_head(self.id)}{body.decode()}}}"
            del body  # the text may wait for long
            await connection.send_text(text)
        return True

    async def _send_payloads(self, payload: Payload | None) -> bool:
        """Send this payload and those of the stream. Return whether it has ended; it may be live instead."""
        stream, connection, head = self._stream, self.connection, self._head.decode()
        assert stream is not None  # noqa: S101 - subscriptions have one
        try:
            while True:
                if payload is not None:
                    await connection.send_text(f"{head}{payload.text}}}")
                payload = await stream.next_or_join(self)
                if payload is None:
                    return False
        except StopAsyncIteration:
            return True
        except BaseException:
            await stream.aclose()
            raise
