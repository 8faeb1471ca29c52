"""A streamed response: the payloads of one operation, framed, until the source or one of the two sides ends it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar

from starlette.types import Receive, Scope, Send

from gateway.domain.errors import GatewayError
from gateway.domain.principals import Principal
from gateway.execution.encoding import Payload
from gateway.execution.errors import format_errors
from gateway.transport.cancellation import Cancellable
from gateway.transport.connections import CLOSE_SECONDS, CloseCause, ConnectionRegistry
from gateway.transport.http.framing import Framing
from gateway.transport.peers import PEER_EXTENSION, ClientGone, Peer

KEEP_ALIVE_SECONDS = 12.0
"""Between two frames, if there is no payload."""
_HEADERS = (
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),  # asks nginx to pass each payload on at once
)


@dataclass(kw_only=True, eq=False)
class StreamResponse:
    """The response as an ASGI application, and a Connection of the registry."""

    transport: ClassVar[str] = "stream"

    payloads: AsyncIterator[Payload]
    framing: Framing
    principal: Principal | None
    registry: ConnectionRegistry
    _sending: Cancellable[CloseCause | GatewayError] = field(default_factory=Cancellable, init=False)
    _keep_alive: asyncio.Task[None] | None = field(default=None, init=False)
    _started: bool = field(default=False, init=False)
    _sent_at: float = field(default=0.0, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._peer: Peer = scope["extensions"][PEER_EXTENSION]
        self._send = send
        with self.registry.registered(self):
            listener = asyncio.create_task(self._listen(receive))
            try:
                cause = await self._sending.run(self._send_all())
                self._cancel_keep_alive()
                if cause is not CloseCause.CLIENT_GONE and not await self._send_last(cause):
                    self._peer.abort("stalled")
                    await asyncio.wait([listener], timeout=1)  # uvicorn notices the abort in its next turn
            finally:
                listener.cancel()
                self._cancel_keep_alive()
                if (close := getattr(self.payloads, "aclose", None)) is not None:
                    with suppress(Exception):  # the response has ended: the error cannot be sent any more
                        await close()

    def on_tick(self, now: float) -> None:
        if self._started and now - self._sent_at >= KEEP_ALIVE_SECONDS:
            self._sent_at = now
            self._cancel_keep_alive()
            self._keep_alive = asyncio.create_task(self._send_keep_alive())

    def close_for_shutdown(self) -> None:
        self._sending.interrupt(CloseCause.SHUTDOWN)

    def close_unauthorized(self, error: GatewayError) -> None:
        self._sending.interrupt(error)

    async def _send_all(self) -> CloseCause | None:
        try:
            await self._start()
            await self._write(self.framing.opening)
            try:
                async for payload in self.payloads:
                    await self._write(self.framing.payload(payload))
            except ClientGone:
                raise
            except Exception as error:  # noqa: BLE001 - any error becomes a masked response
                await self._write(self.framing.errors(format_errors(error)))
            await self._write(self.framing.complete)
        except ClientGone:
            return CloseCause.CLIENT_GONE
        return None

    async def _send_last(self, cause: CloseCause | GatewayError | None) -> bool:
        """End the response. Return whether the client has read it in time."""
        match cause:
            case None:
                last = b""
            case GatewayError():
                last = self.framing.errors(format_errors(cause)) + self.framing.complete
            case _:
                last = self.framing.shutdown
        with suppress(ClientGone, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._start()
                await self._write(last, more=False)
                return True
        return False

    async def _send_keep_alive(self) -> None:
        with suppress(ClientGone):  # the listener notices it too
            await self._write(self.framing.keep_alive)

    async def _start(self) -> None:
        if not self._started:
            headers = [(b"content-type", self.framing.content_type.encode()), *_HEADERS]
            await self._peer.send(self._send, {"type": "http.response.start", "status": 200, "headers": headers})
            self._started = True

    async def _write(self, chunk: bytes, *, more: bool = True) -> None:
        self._sent_at = asyncio.get_running_loop().time()
        await self._peer.send(self._send, {"type": "http.response.body", "body": chunk, "more_body": more})

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._sending.interrupt(CloseCause.CLIENT_GONE)

    def _cancel_keep_alive(self) -> None:
        if self._keep_alive is not None:
            self._keep_alive.cancel()


async def failed_stream(error: GatewayError) -> AsyncIterator[Payload]:
    """Return a stream that fails before its first payload."""
    raise error
    yield  # type: ignore[unreachable]  # it makes this a generator
