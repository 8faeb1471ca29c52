"""A response that goes on: the payloads of one operation, framed, until one of the two sides has had enough."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Self

from starlette.types import Receive, Scope, Send

from gateway.domain.errors import GatewayError
from gateway.domain.principals import Principal
from gateway.execution.errors import format_errors
from gateway.execution.subscriptions import Payload
from gateway.transport.cancellation import Cancellable
from gateway.transport.connections import CloseCause, ConnectionRegistry
from gateway.transport.http.framing import Framing
from gateway.transport.stalled_send import ClientGone, MonitoredSend, abort

_HEADERS = (
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),  # asks nginx to pass each payload on at once
)


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamLimits:
    """How long a stream may be quiet, in seconds."""

    keep_alive: float = 12.0
    """Between signs of life to the client, where there is nothing else to tell."""
    stuck: float = 30.0
    """For which the client may take nothing before it is dropped."""
    goodbye: float = 5.0
    """For which the client may keep the stream's last words waiting."""


class StreamResponse:
    """The response as an ASGI application; it is a connection to be looked after."""

    transport: ClassVar[str] = "stream"

    def __init__(
        self,
        payloads: AsyncIterator[Payload],
        *,
        framing: Framing,
        principal: Principal | None,
        registry: ConnectionRegistry,
        limits: StreamLimits,
    ) -> None:
        self.principal = principal
        self._payloads = payloads
        self._framing = framing
        self._lifetime = registry
        self._limits = limits
        self._pump: Cancellable[CloseCause | GatewayError] = Cancellable()
        self._sign_of_life: asyncio.Task[None] | None = None
        self._started = False
        self._spoken_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._outlet = MonitoredSend(send)
        with self._lifetime.open(self):
            listener = asyncio.create_task(self._listen(receive))
            try:
                ending = await self._pump.run(self._say_all())
                self._stop_signs_of_life()
                if ending is CloseCause.LOST or (
                    ending is not CloseCause.GONE and not await self._said_goodbye(ending)
                ):
                    abort(scope)
                    await asyncio.wait([listener], timeout=1)  # the server takes note in its next turn
            finally:
                listener.cancel()
                self._stop_signs_of_life()
                await _close(self._payloads)

    def tend(self, now: float) -> None:
        if self._outlet.stuck_seconds(now) > self._limits.stuck:
            self._pump.interrupt(CloseCause.LOST)
        elif self._started and now - self._spoken_at >= self._limits.keep_alive:
            self._spoken_at = now
            self._stop_signs_of_life()
            self._sign_of_life = asyncio.create_task(self._give_sign_of_life())

    def leave(self) -> None:
        self._pump.interrupt(CloseCause.LEAVING)

    def expel(self, error: GatewayError) -> None:
        self._pump.interrupt(error)

    async def _say_all(self) -> CloseCause | None:
        try:
            await self._start()
            await self._write(self._framing.opening)
            await self._say_payloads()
            await self._write(self._framing.complete)
        except ClientGone:
            return CloseCause.GONE
        return None

    async def _say_payloads(self) -> None:
        try:
            async for payload in self._payloads:
                await self._write(self._framing.payload(payload))
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - any error becomes a masked response
            await self._write(self._framing.errors(format_errors(error)))

    async def _said_goodbye(self, ending: CloseCause | GatewayError | None) -> bool:
        match ending:
            case None:
                last = b""
            case GatewayError():
                last = self._framing.errors(format_errors(ending)) + self._framing.complete
            case _:
                last = self._framing.shutdown
        with suppress(ClientGone, TimeoutError):
            async with asyncio.timeout(self._limits.goodbye):
                await self._start()
                await self._write(last, more=False)
                return True
        return False

    async def _give_sign_of_life(self) -> None:
        with suppress(ClientGone):  # it is told that to the listener, too
            await self._write(self._framing.keep_alive)

    async def _start(self) -> None:
        if not self._started:
            headers = [(b"content-type", self._framing.content_type.encode()), *_HEADERS]
            await self._outlet.send({"type": "http.response.start", "status": 200, "headers": headers})
            self._started = True

    async def _write(self, chunk: bytes, *, more: bool = True) -> None:
        self._spoken_at = asyncio.get_running_loop().time()
        await self._outlet.send({"type": "http.response.body", "body": chunk, "more_body": more})

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._pump.interrupt(CloseCause.GONE)

    def _stop_signs_of_life(self) -> None:
        if self._sign_of_life is not None:
            self._sign_of_life.cancel()


class FailedStream:
    """A stream that fails before its first payload."""

    def __init__(self, error: GatewayError) -> None:
        self._error = error

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Payload:
        raise self._error


async def _close(payloads: AsyncIterator[Payload]) -> None:
    close = getattr(payloads, "aclose", None)
    if close is not None:
        with suppress(Exception):  # the stream is over; what its source says to that concerns nobody
            await close()
