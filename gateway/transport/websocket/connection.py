"""GraphQL over WebSocket, by the sub-protocol graphql-transport-ws.

A socket is one task that listens, and one for each operation that runs on it. Each operation awaits that its message
went out before it takes its next event, so that what waits here is bounded; a slow reader slows down nobody else.
"""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from gateway.auth.authentication import Authentication, authorization_of
from gateway.domain.errors import BadUserInput, GatewayError
from gateway.domain.principals import Principal
from gateway.execution.documents import Operation, OperationType
from gateway.execution.errors import RateLimited, format_errors
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.quotas import ConcurrencyLimiter
from gateway.transport.cancellation import Cancellable
from gateway.transport.connections import CloseCause, ConnectionRegistry
from gateway.transport.stalled_send import ClientGone, MonitoredSend, abort
from gateway.transport.websocket import close_codes, messages
from gateway.transport.websocket.close_codes import Close, CloseConnection
from gateway.transport.websocket.messages import Complete, ConnectionInit, Ping, Pong, Subscribe


@dataclass(frozen=True, kw_only=True, slots=True)
class WebSocketLimits:
    """How much one socket may do, and how long it may be quiet, in seconds."""

    operations: int = 100
    """Running at the same time."""
    per_caller: int = 10_000
    """Sockets that one caller may have open at a time."""
    initialisation: float = 10.0
    """Until the client has said who it is."""
    ping: float = 20.0
    """Between pings. A client that says nothing until the next one is gone."""
    stuck: float = 30.0
    """For which the client may take nothing before it is dropped."""
    goodbye: float = 5.0
    """For which the client may keep its close frame waiting."""


class WebSocketEndpoint:
    """The endpoint as an ASGI application."""

    def __init__(
        self,
        *,
        pipeline: OperationPipeline,
        authentication: Authentication,
        registry: ConnectionRegistry,
        limits: WebSocketLimits,
    ) -> None:
        self.pipeline = pipeline
        self.authentication = authentication
        self.registry = registry
        self.limits = limits
        self.concurrency = ConcurrencyLimiter(limits.per_caller, things="WebSockets")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if messages.SUBPROTOCOL in scope["subprotocols"]:
            await send({"type": "websocket.accept", "subprotocol": messages.SUBPROTOCOL})
            await WebSocketConnection(self, scope, receive, send).run()
        else:
            await send({"type": "websocket.accept"})
            code, reason = close_codes.SUBPROTOCOL_NOT_ACCEPTABLE
            await send({"type": "websocket.close", "code": code, "reason": reason})


class WebSocketConnection:
    """One client's socket; it is a connection to be looked after."""

    transport: ClassVar[str] = "websocket"

    __slots__ = (
        "__weakref__",
        "_answering",
        "_conversation",
        "_endpoint",
        "_initialised",
        "_opened_at",
        "_operations",
        "_outlet",
        "_ping",
        "_pinged_at",
        "_receive",
        "_scope",
        "principal",
    )

    def __init__(self, endpoint: WebSocketEndpoint, scope: Scope, receive: Receive, send: Send) -> None:
        self.principal: Principal | None = None
        self._endpoint = endpoint
        self._scope = scope
        self._receive = receive
        self._outlet = MonitoredSend(send)
        self._conversation: Cancellable[Close | CloseCause] = Cancellable()
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._answering: set[asyncio.Task[None] | None] = set()
        self._initialised = False
        self._opened_at = self._pinged_at = asyncio.get_running_loop().time()
        self._ping: asyncio.Task[None] | None = None
        """The ping that the client has not been heard since."""

    async def run(self) -> None:
        """Talk with the client until one of the two sides has had enough."""
        with self._endpoint.registry.open(self):
            try:
                ending = await self._conversation.run(self._converse())
                await self._finish(ending)
            finally:
                if self.principal is not None:
                    self._endpoint.concurrency.release(self.principal)
                for task in self._operations.values():
                    task.cancel()
                self._hear()

    def tend(self, now: float) -> None:
        limits = self._endpoint.limits
        if self._outlet.stuck_seconds(now) > limits.stuck:
            self._conversation.interrupt(CloseCause.LOST)
        elif self.principal is None:
            if now - self._opened_at > limits.initialisation:
                self._conversation.interrupt(close_codes.INITIALISATION_TIMEOUT)
        elif now - self._pinged_at >= limits.ping:
            self._pinged_at = now
            if self._ping is None:
                self._ping = asyncio.create_task(self._say_ping())
            else:
                self._conversation.interrupt(CloseCause.LOST)

    def leave(self) -> None:
        self._conversation.interrupt(close_codes.SERVICE_RESTART)

    def expel(self, error: GatewayError) -> None:  # noqa: ARG002 - a close frame has no room for more than its code
        self._conversation.interrupt(close_codes.FORBIDDEN)

    async def _converse(self) -> Close | CloseCause:
        try:
            while True:
                event = await self._receive()
                if event["type"] == "websocket.disconnect":
                    return CloseCause.GONE
                self._hear()
                await self._obey(event.get("text"))
        except CloseConnection as closing:
            return closing.close
        except ClientGone:
            return CloseCause.GONE

    def _hear(self) -> None:
        if self._ping is not None:
            self._ping.cancel()
            self._ping = None

    async def _obey(self, text: str | None) -> None:
        try:
            if text is None:
                raise BadUserInput("Messages are text.")  # noqa: TRY301 - so that there is one place for the answer
            message = messages.client_message(text)
        except BadUserInput as error:
            raise CloseConnection(close_codes.invalid_message(error)) from None
        match message:
            case ConnectionInit():
                await self._initialise(message)
            case Subscribe():
                await self._subscribe(message)
            case Complete():
                self._complete(message)
            case Ping():
                await self._say(messages.pong(message.payload))
            case Pong():
                pass

    async def _initialise(self, message: ConnectionInit) -> None:
        if self._initialised:
            raise CloseConnection(close_codes.TOO_MANY_INITIALISATIONS)
        self._initialised = True
        try:
            authorization = authorization_of(message.payload) or Headers(scope=self._scope).get("authorization")
            principal = await self._endpoint.authentication.authenticate(authorization)
        except Exception as error:  # noqa: BLE001 - whatever it is, the socket ends well
            raise CloseConnection(close_codes.refused_caller(error)) from None
        if principal is None:  # a socket is for somebody: the schema is to be had by less
            raise CloseConnection(close_codes.UNAUTHORIZED)
        try:
            self._endpoint.concurrency.acquire(principal)
        except RateLimited as error:
            raise CloseConnection(close_codes.refused_caller(error)) from None
        self.principal = principal
        self._pinged_at = asyncio.get_running_loop().time()
        await self._say(messages.ACKNOWLEDGEMENT)

    async def _subscribe(self, message: Subscribe) -> None:
        if self.principal is None:
            raise CloseConnection(close_codes.UNAUTHORIZED)
        if message.id in self._operations:
            raise CloseConnection(close_codes.subscriber_exists(message.id))
        limit = self._endpoint.limits.operations
        if len(self._operations) >= limit:
            excess = RateLimited(
                f"At most {limit} operations run on one socket. Complete one, or open another socket.", retry_after=1
            )
            await self._say(messages.error(message.id, format_errors(excess)))
            return
        self._operations[message.id] = asyncio.create_task(self._operate(message))

    def _complete(self, message: Complete) -> None:
        task = self._operations.pop(message.id, None)
        if task is not None:
            task.cancel()

    async def _operate(self, message: Subscribe) -> None:
        try:
            await self._tell(message)
            last = messages.complete(message.id)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - any error becomes a masked response
            last = messages.error(message.id, format_errors(error))
        if self._operations.get(message.id) is asyncio.current_task():
            del self._operations[message.id]  # before its end is told: from then on the client may use the id again
        try:
            await self._say(last)
        except ClientGone:
            return

    async def _tell(self, message: Subscribe) -> None:
        operation = await self._endpoint.pipeline.prepare(message.request, self.principal)
        if operation.type is OperationType.SUBSCRIPTION:
            await self._tell_events(message, operation)
        else:
            await self._tell_answer(message, operation)

    async def _tell_events(self, message: Subscribe, operation: Operation) -> None:
        head = messages.next_head(message.id)
        stream = await self._endpoint.pipeline.subscribe(operation, message.request, self.principal)
        try:
            async for payload in stream:
                await self._say(f"{head}{payload.text}}}")
        finally:
            await stream.aclose()

    async def _tell_answer(self, message: Subscribe, operation: Operation) -> None:
        task = asyncio.current_task()
        self._answering.add(task)
        try:
            response = await self._endpoint.pipeline.execute(operation, message.request, self.principal)
            await self._say(f"{messages.next_head(message.id)}{response.body.decode()}}}")
        finally:
            self._answering.discard(task)

    async def _say(self, text: str) -> None:
        await self._outlet.send({"type": "websocket.send", "text": text})

    async def _say_ping(self) -> None:
        try:
            await self._say(messages.PING)
        except ClientGone:
            return

    async def _finish(self, ending: Close | CloseCause | None) -> None:
        if ending is close_codes.SERVICE_RESTART:
            await self._answer_the_rest()
        for task in self._operations.values():
            task.cancel()
        if isinstance(ending, Close):
            await self._say_goodbye(ending)
        elif ending is CloseCause.LOST:
            abort(self._scope)

    async def _answer_the_rest(self) -> None:
        """Let queries and mutations come to their end, while subscriptions are told nothing more."""
        for task in self._operations.values():
            if task not in self._answering:
                task.cancel()
        rest = [task for task in self._answering if task is not None]
        if rest:
            await asyncio.wait(rest)

    async def _say_goodbye(self, close: Close) -> None:
        try:
            async with asyncio.timeout(self._endpoint.limits.goodbye):
                await self._outlet.send({"type": "websocket.close", "code": close.code, "reason": close.reason})
        except TimeoutError:
            abort(self._scope)
        except ClientGone:
            return
