"""The GraphQL endpoint over HTTP: POST and GET, one answer or a stream of them, a page for browsers.

The request walks from top to bottom of `_answer`: what form is wanted, who asks, what is asked, may it be, run it.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.auth.authentication import Authentication
from gateway.domain.errors import BadUserInput
from gateway.domain.principals import Principal
from gateway.execution.context import ExecutionContext
from gateway.execution.documents import Operation, OperationType
from gateway.execution.encoding import Response
from gateway.execution.errors import Refusal
from gateway.execution.subscriptions import Payload
from gateway.operations.persisted_operations import OperationResolver
from gateway.operations.pipeline import Engine
from gateway.operations.requests import (
    GraphQLRequest,
    graphql_request,
    graphql_request_from_url,
    parsed_json,
)
from gateway.transport.connections import ConnectionRegistry
from gateway.transport.http.framing import EVENT_STREAM, MULTIPART, Framing
from gateway.transport.http.http_errors import MethodNotAllowed, MutationByGet, NotAcceptable
from gateway.transport.http.negotiation import Representation, accepted
from gateway.transport.http.request_body import received_body, require_json
from gateway.transport.http.responses import answer, errors_body, refusal
from gateway.transport.http.streaming import Refused, StreamLimits, StreamResponse
from gateway.transport.stalled_send import ClientGone

STREAMS: dict[Representation, Framing] = {
    Representation.EVENT_STREAM: EVENT_STREAM,
    Representation.MULTIPART: MULTIPART,
}


class MakeContext(Protocol):
    """Makes the surroundings of one operation of a caller; None is nobody, who may but look at the schema."""

    def __call__(self, principal: Principal | None, *, last_event_id: str | None = None) -> ExecutionContext: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpLimits:
    """How much one request may be."""

    body_bytes: int = 1_000_000
    body_seconds: float = 30.0
    """In which the whole body has to arrive."""
    batch: int = 0
    """Operations in one request; 0: a request is one operation, and a list of them is refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpEndpoint:
    """The endpoint as an ASGI application."""

    engine: Engine
    intake: OperationResolver
    authentication: Authentication
    make_context: MakeContext
    registry: ConnectionRegistry
    limits: HttpLimits
    stream_limits: StreamLimits
    page: ASGIApp | None
    """What a browser gets that asks by GET for a page."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        form = Representation.JSON
        with self.registry.answering():
            try:
                forms = self._forms(scope, headers)
                form = forms[0]
                response = await self._answer(scope, receive, headers=headers, forms=forms)
            except ClientGone:
                return
            except asyncio.CancelledError:
                response = refusal(self.registry.cut_off(), form=form)
            except Exception as error:  # noqa: BLE001 - whatever it is, it becomes a masked answer
                response = refusal(error, form=form)
            if not isinstance(response, StreamResponse):
                await response(scope, receive, send)
                return
        await response(scope, receive, send)  # a connection from here on, and no running request

    def _forms(self, scope: Scope, headers: Headers) -> tuple[Representation, ...]:
        forms = accepted(headers.get("accept"))
        if self.page is None or scope["method"] != "GET":
            forms = tuple(form for form in forms if form is not Representation.PAGE)
        if not forms:
            raise NotAcceptable("Only a browser that asks by GET gets a page. Accept application/json.")
        return forms

    async def _answer(
        self, scope: Scope, receive: Receive, *, headers: Headers, forms: tuple[Representation, ...]
    ) -> ASGIApp:
        if forms[0] is Representation.PAGE and self.page is not None:
            return self.page
        self.registry.admit()
        principal = await self.authentication.principal(headers.get("authorization"))
        match scope["method"]:
            case "POST":
                require_json(headers)
                body = parsed_json(await self._body(headers, receive))
                if isinstance(body, list):
                    return await self._batch_answer(body, principal, form=forms[0])
                request = graphql_request(body)
            case "GET":
                request = graphql_request_from_url(QueryParams(scope["query_string"]))
            case _:
                raise MethodNotAllowed("Ask by GET or POST.")
        return await self._operation_answer(request, principal, scope=scope, headers=headers, forms=forms)

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        limits = self.limits
        return await received_body(headers, receive, max_bytes=limits.body_bytes, seconds=limits.body_seconds)

    async def _operation_answer(
        self,
        request: GraphQLRequest,
        principal: Principal | None,
        *,
        scope: Scope,
        headers: Headers,
        forms: tuple[Representation, ...],
    ) -> ASGIApp:
        try:
            operation = await self._operation(request, principal)
        except Refusal as error:
            if forms[0] is Representation.EVENT_STREAM:  # whoever asked for events is told by an event
                return self._stream(Refused(error), principal, form=forms[0])
            raise
        if scope["method"] == "GET" and operation.type is OperationType.MUTATION:
            raise MutationByGet("A mutation changes something: send it by POST.")
        form = _form_of(operation, forms)
        context = self.make_context(principal, last_event_id=headers.get("last-event-id"))
        if form in STREAMS:
            return self._stream(self._payloads(operation, request, context), principal, form=form)
        response = await self._executed(operation, request, context)
        return answer(response.body, form=form)

    async def _operation(self, request: GraphQLRequest, principal: Principal | None) -> Operation:
        operation = await self.intake.operation(request, principal)
        self.authentication.allow(principal, operation)
        return operation

    async def _batch_answer(self, requests: list[Any], principal: Principal | None, *, form: Representation) -> ASGIApp:
        if not self.limits.batch:
            raise BadUserInput("Batches are not accepted: send one operation in a request.")
        if not 0 < len(requests) <= self.limits.batch:
            raise BadUserInput(f"A batch has 1 to {self.limits.batch} operations, not {len(requests)}.")
        parsed = [graphql_request(request) for request in requests]
        bodies = [await self._member_body(request, principal) for request in parsed]
        return answer(b"[" + b",".join(bodies) + b"]", form=form)

    async def _member_body(self, request: GraphQLRequest, principal: Principal | None) -> bytes:
        try:
            operation = await self._operation(request, principal)
            response = await self._executed(operation, request, self.make_context(principal))
        except Refusal as error:
            return errors_body(error.errors)
        return response.body

    def _stream(
        self, payloads: AsyncIterator[Payload], principal: Principal | None, *, form: Representation
    ) -> StreamResponse:
        return StreamResponse(
            payloads, framing=STREAMS[form], principal=principal, registry=self.registry, limits=self.stream_limits
        )

    def _executed(
        self, operation: Operation, request: GraphQLRequest, context: ExecutionContext
    ) -> Coroutine[Any, Any, Response]:
        return self.engine.execute(operation, request.variables, context, tells_cost=request.asks_cost)

    async def _payloads(
        self, operation: Operation, request: GraphQLRequest, context: ExecutionContext
    ) -> AsyncIterator[Payload]:
        match operation.type:
            case OperationType.SUBSCRIPTION:
                stream = await self.engine.subscribe(operation, request.variables, context)
                try:
                    async for payload in stream:
                        yield payload
                finally:
                    await stream.aclose()
            case OperationType.QUERY:
                response = await self._executed(operation, request, context)
                yield Payload(body=response.body, text=response.body.decode(), cursor=None)
            case OperationType.MUTATION:  # what has begun to change is not left half-way when its caller leaves
                response = await self.registry.completed(self._executed(operation, request, context))
                yield Payload(body=response.body, text=response.body.decode(), cursor=None)


def _form_of(operation: Operation, forms: tuple[Representation, ...]) -> Representation:
    """Return the first form that an operation of this type can be answered in."""
    fitting = (form for form in forms if form is not Representation.PAGE and _fits(operation, form))
    return next(fitting, forms[0])


def _fits(operation: Operation, form: Representation) -> bool:
    if operation.type is OperationType.SUBSCRIPTION:
        return form in STREAMS
    return form is not Representation.MULTIPART
