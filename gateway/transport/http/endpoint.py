"""The GraphQL endpoint over HTTP: POST and GET, answered in JSON, as a stream, or by a page for browsers."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from graphql import OperationType
from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.auth.authentication import Authentication
from gateway.domain.errors import GatewayError, Unauthenticated
from gateway.domain.principals import Principal
from gateway.execution.errors import format_errors
from gateway.execution.subscriptions import Payload
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.requests import (
    GraphQLRequest,
    MalformedRequest,
    graphql_request,
    graphql_request_from_url,
)
from gateway.transport.connections import ConnectionRegistry
from gateway.transport.http.framing import FRAMINGS
from gateway.transport.http.http_errors import HttpError
from gateway.transport.http.negotiation import Representation, negotiate, representation_of
from gateway.transport.http.responses import error_response, errors_body, json_response
from gateway.transport.http.streaming import StreamLimits, StreamResponse, failed_stream
from gateway.transport.peers import PEER_EXTENSION, ClientGone, Peer

_JSON_TYPE = "application/json"
_LONGEST_CONTENT_TYPE = 1_000
"""Characters that are read of it."""
_MOST_URL_PARAMETERS = 20
"""A request has five at most. Reading 15,000 took 9 ms."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpLimits:
    """Limits on one request."""

    body_bytes: int = 1_000_000
    body_seconds: float = 30.0
    """Within which the whole body has to arrive."""
    batch: int = 0
    """The most operations in one request; 0: a list of operations is refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpEndpoint:
    """The endpoint as an ASGI application."""

    pipeline: OperationPipeline
    authentication: Authentication
    registry: ConnectionRegistry
    page: ASGIApp | None
    """The response to a browser that asks by GET for a page."""
    limits: HttpLimits
    stream_limits: StreamLimits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        accepted: tuple[Representation, ...] = (Representation.JSON,)
        stream: StreamResponse | None = None
        with self.registry.answering():
            try:
                accepted = negotiate(headers.get("accept"), page=self.page is not None and scope["method"] == "GET")
                response = await self._respond(scope, receive, headers, accepted)
            except ClientGone:
                return
            except asyncio.CancelledError:
                response = error_response(self.registry.cancelled_by_shutdown(), accepted[0])
            except Exception as error:  # noqa: BLE001 - any error becomes a masked response
                response = error_response(error, accepted[0])
            if isinstance(response, StreamResponse):
                stream = response
            else:
                await response(scope, receive, send)
        if stream is not None:  # a connection from here on, and not a running request
            await stream(scope, receive, send)

    async def _respond(
        self, scope: Scope, receive: Receive, headers: Headers, accepted: tuple[Representation, ...]
    ) -> ASGIApp:
        if accepted[0] is Representation.PAGE and self.page is not None:
            return self.page
        self.registry.reject_if_draining()
        caller = await self.authentication.authenticate(headers.get("authorization"))
        peer = scope.get("extensions", {}).get(PEER_EXTENSION)
        if caller is not None and peer is not None and peer.principal is not caller:
            peer.authenticated(caller)
        match scope["method"]:
            case "POST":
                limits = self.limits
                text = await _read_json_body(
                    headers, receive, peer, max_bytes=limits.body_bytes, seconds=limits.body_seconds
                )
                body = await self.pipeline.parse(text, caller)
                if isinstance(body, list):
                    return await self._respond_to_batch(body, caller, accepted[0])
                request = graphql_request(body)
            case "GET":
                if scope["query_string"].count(b"&") >= _MOST_URL_PARAMETERS:
                    raise MalformedRequest(f"A URL has at most {_MOST_URL_PARAMETERS} parameters.")
                request = graphql_request_from_url(QueryParams(scope["query_string"]))
            case _:
                raise HttpError(405, "Ask by GET or POST.", allow="GET, POST")
        return await self._respond_to_operation(request, caller, scope["method"], headers, accepted)

    async def _respond_to_operation(
        self,
        request: GraphQLRequest,
        caller: Principal | None,
        method: str,
        headers: Headers,
        accepted: tuple[Representation, ...],
    ) -> ASGIApp:
        try:
            operation = await self.pipeline.prepare(request, caller)
        except Unauthenticated:
            raise
        except GatewayError as error:
            if accepted[0] is Representation.EVENT_STREAM:  # browsers do not show the body of a failed EventSource
                return self._stream(failed_stream(error), caller, accepted[0])
            raise
        if method == "GET" and operation.type is OperationType.MUTATION:
            message = "A mutation changes something: send it by POST."
            raise HttpError(405, message, allow="POST")
        representation = representation_of(operation.type, accepted)
        if representation in FRAMINGS:
            payloads = self.pipeline.stream(operation, request, caller, last_event_id=headers.get("last-event-id"))
            return self._stream(payloads, caller, representation)
        response = await self.pipeline.execute(operation, request, caller)
        return json_response(response.body, representation)

    async def _respond_to_batch(
        self, members: list[Any], caller: Principal | None, representation: Representation
    ) -> ASGIApp:
        """Run the operations one after the other; each has a response of its own. Raises Unauthenticated for all."""
        if not self.limits.batch:
            raise MalformedRequest("Batches are not accepted: send one operation in a request.")
        if not 0 < len(members) <= self.limits.batch:
            raise MalformedRequest(f"A batch has 1 to {self.limits.batch} operations, not {len(members)}.")
        bodies = []
        for request in [graphql_request(member) for member in members]:
            try:
                operation = await self.pipeline.prepare(request, caller)
                bodies.append((await self.pipeline.execute(operation, request, caller)).body)
            except Unauthenticated:
                raise
            except Exception as error:  # noqa: BLE001 - any error becomes a masked response
                bodies.append(errors_body(format_errors(error)))
        return json_response(b"[" + b",".join(bodies) + b"]", representation)

    def _stream(
        self, payloads: AsyncIterator[Payload], caller: Principal | None, representation: Representation
    ) -> StreamResponse:
        return StreamResponse(
            payloads=payloads,
            framing=FRAMINGS[representation],
            principal=caller,
            registry=self.registry,
            limits=self.stream_limits,
        )


async def _read_json_body(
    headers: Headers, receive: Receive, peer: Peer | None, *, max_bytes: int, seconds: float
) -> bytes:
    """Return the whole body, which says that it is JSON in UTF-8. Raises HttpError 415, 413 and 408, and ClientGone."""
    _check_content_type(headers.get("content-type", "")[:_LONGEST_CONTENT_TYPE])
    too_large = f"The request's body is larger than {max_bytes} bytes."
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise HttpError(413, too_large)
    body, held = bytearray(), 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                body += message.get("body", b"")
                if len(body) > max_bytes:
                    raise HttpError(413, too_large)
                if not message.get("more_body", False):
                    return bytes(body)
                if peer is not None:
                    peer.peers.hold(peer, len(body) - held, reason="too_large")
                    held = len(body)
    except TimeoutError:
        too_slow = f"The request's body did not arrive within {seconds:g} seconds."
        raise HttpError(408, too_slow) from None
    finally:
        if peer is not None and held:
            peer.peers.release(peer, held)


@lru_cache(256)
def _check_content_type(content_type: str) -> None:
    """Raise HttpError 415 unless it is JSON in UTF-8."""
    media_type, _, parameters = content_type.partition(";")
    if media_type.strip().lower() != _JSON_TYPE:
        raise HttpError(415, f"Send the request's body as {_JSON_TYPE}.")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in {"utf-8", "utf8"}:
            raise HttpError(415, "Send the request's body in UTF-8.")
