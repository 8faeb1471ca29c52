"""HTTP responses in JSON."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from starlette.types import Receive, Scope, Send

from gateway.execution.encoding import encode
from gateway.execution.errors import format_errors
from gateway.transport.http.http_errors import OK, HttpError, status_of
from gateway.transport.http.negotiation import Representation

Headers = tuple[tuple[bytes, bytes], ...]

MAX_REPEATED = 100
"""Refused operations of a batch that are answered one by one. Clients send 10 at once; a body of 1 MB has 500,000."""


class JsonResponse(NamedTuple):
    """A whole response of JSON, as data, and as an ASGI application that sends it."""

    body: bytes
    content_type: bytes = Representation.JSON.content_type
    status: int = OK
    headers: Headers = ()
    """Those of this response alone."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        length = (b"content-length", b"%d" % len(self.body))
        headers = [*self.headers, length, (b"content-type", self.content_type)]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def error_response(error: BaseException, representation: Representation, *, batch: int = 0) -> JsonResponse:
    """Return the response to a request of which nothing ran.

    A batch of so many operations gets as many responses: Apollo's link hides the only one for several.
    """
    errors = format_errors(error)
    status = status_of(error, trusts_status=representation is Representation.GRAPHQL_RESPONSE)
    headers = error.headers if isinstance(error, HttpError) else _headers(errors[0]["extensions"])
    body = encode({"errors": errors})
    if 0 < batch <= MAX_REPEATED:
        body = batch_body([body] * batch)
    return JsonResponse(body, representation.content_type, status, headers)


def batch_body(bodies: Iterable[bytes]) -> bytes:
    """Return the responses of a batch as one list."""
    return b"[" + b",".join(bodies) + b"]"


def _headers(extensions: dict[str, Any]) -> Headers:
    match extensions["code"]:
        case "UNAUTHENTICATED":
            return ((b"www-authenticate", b"Bearer"),)
        case "UNAVAILABLE":
            return ((b"retry-after", b"1"),)
        case "RATE_LIMITED":
            return ((b"retry-after", b"%d" % extensions["retryAfter"]),)
        case _:
            return ()
