"""The GraphQL endpoint over HTTP: POST and GET, answered in JSON, as a stream, or by a page for browsers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from graphql import OperationType
from starlette.datastructures import QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.auth.authentication import Authentication
from gateway.domain.errors import GatewayError, Unauthenticated, Unavailable
from gateway.domain.principals import Principal
from gateway.execution.encoding import Payload, encode
from gateway.execution.errors import format_errors
from gateway.operations.pipeline import FREE_BYTES, OperationPipeline
from gateway.operations.requests import (
    GraphQLRequest,
    MalformedRequest,
    graphql_request,
    graphql_request_from_url,
    parse_json,
)
from gateway.transport.connections import ConnectionRegistry
from gateway.transport.http.framing import FRAMINGS
from gateway.transport.http.http_errors import HttpError
from gateway.transport.http.negotiation import JSON, Representation, negotiate, representation_of
from gateway.transport.http.responses import JsonResponse, batch_body, error_response
from gateway.transport.http.streaming import StreamResponse, failed_stream
from gateway.transport.peers import PEER_EXTENSION, ClientGone, Peer

_BEARER = b"Bearer "
_JSON_TYPE = "application/json"
_STOPPED = "The gateway stopped before this was done. Check whether it took effect before you repeat it."
_LONGEST_CONTENT_TYPE = 1_000
"""Bytes that are read of it."""
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


class HttpRequest(Protocol):
    """A request, as far as the endpoint reads it, and the way of its answer in JSON."""

    method: str
    headers: dict[bytes, bytes]
    """The first value of each name, which is in lower case."""
    query_string: bytes
    """Of the URL."""
    peer: Peer
    stays: bool
    """Whether its task goes on when the client leaves, and is cancelled only when the gateway stops."""

    def receive(self) -> Awaitable[Any]:
        """ASGI's receive."""

    def take_body(self) -> bytes | None:
        """Return the whole body; None where some of it has to be received."""

    def send_json(self, response: JsonResponse) -> Coroutine[Any, Any, None] | None:
        """Send the whole response; return what to await until it is sent, if that takes time."""


class AsgiRequest:
    """An HttpRequest that reached the endpoint by ASGI."""

    stays = False

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        self.query_string: bytes = scope["query_string"]
        self.peer: Peer = scope["extensions"][PEER_EXTENSION]
        self.receive = receive
        self._scope, self._send = scope, send

    def take_body(self) -> None:
        """Return None: ASGI gives the body in messages."""

    def send_json(self, response: JsonResponse) -> Coroutine[Any, Any, None]:
        """Send the response in ASGI's messages."""
        return response(self._scope, self.receive, self._send)


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpEndpoint:
    """The endpoint as an ASGI application; `answer` is its way without ASGI."""

    pipeline: OperationPipeline
    authentication: Authentication
    registry: ConnectionRegistry
    page: ASGIApp | None = None
    """The response to a browser that asks by GET for a page."""
    limits: HttpLimits = HttpLimits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        streaming = await self.answer(AsgiRequest(scope, receive, send))
        if streaming is not None:
            await streaming(scope, receive, send)

    async def answer(self, request: HttpRequest) -> ASGIApp | None:
        """Send the answer in JSON, or return the application that sends another one."""
        registry = self.registry
        accepted: tuple[Representation, ...] = (Representation.JSON,)
        registry.requests += 1
        try:
            try:
                page = request.method == "GET" and self.page is not None
                accepted = negotiate(request.headers.get(b"accept"), page)
                response = await self._respond(request, accepted)
            except ClientGone:
                return None
            except asyncio.CancelledError:
                if not registry.draining:
                    raise
                response = error_response(Unavailable(_STOPPED), accepted[0])
            except Exception as error:  # noqa: BLE001 - any error becomes a masked response
                response = error_response(error, accepted[0])
            if not isinstance(response, JsonResponse):
                return response  # a connection from here on, and not a running request
            if (sending := request.send_json(response)) is not None:
                await sending
        except asyncio.CancelledError:  # uvicorn would log its traceback
            if not registry.draining:
                raise
        finally:
            registry.requests -= 1
            if registry.idle is not None:
                registry.update_idle()
        return None

    async def _respond(self, request: HttpRequest, accepted: tuple[Representation, ...]) -> JsonResponse | ASGIApp:
        if accepted[0] is Representation.PAGE and self.page is not None:
            return self.page
        if self.registry.draining:
            raise Unavailable("The gateway is stopping. Try again: another one takes over.")
        authorization, caller = request.headers.get(b"authorization"), None
        if authorization is not None and authorization.startswith(_BEARER):
            caller = self.authentication.known_key(authorization[len(_BEARER) :])
        if caller is None:
            caller = await self.authentication.authenticate(_text(authorization))
        if caller is not None and request.peer.principal is not caller:
            request.peer.authenticated(caller)
        if request.method != "POST":
            return await self._respond_to_operation(_parameters_of_url(request), caller, request, accepted)
        _check_content_type(request.headers.get(b"content-type", b"")[:_LONGEST_CONTENT_TYPE])
        taken = request.take_body()
        text = await self._received_body(request) if taken is None else taken
        if len(text) > self.limits.body_bytes:
            raise self._too_large()
        body = parse_json(text) if len(text) <= FREE_BYTES else await self.pipeline.parse(text, caller)
        if isinstance(body, list):
            return await self._respond_to_batch(body, caller, accepted[0])
        parameters = graphql_request(body)
        operation = self.pipeline.kept(parameters, caller)
        if operation is None or accepted[0] not in JSON or operation.type is OperationType.SUBSCRIPTION:
            return await self._respond_to_operation(parameters, caller, request, accepted)
        answer = await self.pipeline.execute(operation, parameters, caller, awaiter_stays=request.stays)
        return JsonResponse(answer.body, accepted[0].content_type)

    async def _respond_to_operation(
        self,
        request: GraphQLRequest,
        caller: Principal | None,
        http: HttpRequest,
        accepted: tuple[Representation, ...],
    ) -> JsonResponse | ASGIApp:
        try:
            operation = await self.pipeline.prepare(request, caller)
        except Unauthenticated:
            raise
        except GatewayError as error:
            if accepted[0] is Representation.EVENT_STREAM:  # browsers do not show the body of a failed EventSource
                return self._stream(failed_stream(error), caller, accepted[0])
            raise
        if http.method == "GET" and operation.type is OperationType.MUTATION:
            message = "A mutation changes something: send it by POST."
            raise HttpError(405, message, allow="POST")
        representation = representation_of(operation.type, accepted)
        if representation in FRAMINGS:
            last_event_id = _text(http.headers.get(b"last-event-id"))
            payloads = self.pipeline.stream(operation, request, caller, last_event_id=last_event_id)
            return self._stream(payloads, caller, representation)
        response = await self.pipeline.execute(operation, request, caller)
        return JsonResponse(response.body, representation.content_type)

    async def _respond_to_batch(
        self, members: list[Any], caller: Principal | None, representation: Representation
    ) -> JsonResponse:
        """Return one response for each operation, also where the whole batch is refused."""
        try:
            bodies = await self._run_batch(members, caller)
        except GatewayError as error:
            return error_response(error, representation, batch=len(members))
        return JsonResponse(batch_body(bodies), representation.content_type)

    async def _run_batch(self, members: list[Any], caller: Principal | None) -> list[bytes]:
        """Run the operations one after the other. Raises MalformedRequest and Unauthenticated for all of them."""
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
                bodies.append(encode({"errors": format_errors(error)}))
        return bodies

    async def _received_body(self, request: HttpRequest) -> bytes:
        """Return the body, whose rest is still to come. Raises HttpError 413 and 408, and ClientGone."""
        limits = self.limits
        announced = request.headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > limits.body_bytes:
            raise self._too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(limits.body_seconds):
                while True:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    body += message.get("body", b"")
                    if len(body) > limits.body_bytes:
                        raise self._too_large()
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            too_slow = f"The request's body did not arrive within {limits.body_seconds:g} seconds."
            raise HttpError(408, too_slow) from None

    def _too_large(self) -> HttpError:
        return HttpError(413, f"The request's body is larger than {self.limits.body_bytes} bytes.")

    def _stream(
        self, payloads: AsyncIterator[Payload], caller: Principal | None, representation: Representation
    ) -> StreamResponse:
        return StreamResponse(
            payloads=payloads, framing=FRAMINGS[representation], principal=caller, registry=self.registry
        )


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")


def _parameters_of_url(request: HttpRequest) -> GraphQLRequest:
    if request.method != "GET":
        raise HttpError(405, "Ask by GET or POST.", allow="GET, POST")
    if request.query_string.count(b"&") >= _MOST_URL_PARAMETERS:
        raise MalformedRequest(f"A URL has at most {_MOST_URL_PARAMETERS} parameters.")
    return graphql_request_from_url(QueryParams(request.query_string))


@lru_cache(256)
def _check_content_type(written: bytes) -> None:
    """Raise HttpError 415 unless it is JSON in UTF-8."""
    media_type, _, parameters = written.decode("latin-1").partition(";")
    if media_type.strip().lower() != _JSON_TYPE:
        raise HttpError(415, f"Send the request's body as {_JSON_TYPE}.")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in {"utf-8", "utf8"}:
            raise HttpError(415, "Send the request's body in UTF-8.")
