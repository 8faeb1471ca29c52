"""Errors that HTTP has a status for, and the one place that gives every other error its status."""

from typing import ClassVar

from gateway.execution.errors import error_code
from gateway.operations.requests import MalformedRequest

STATUSES = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "RATE_LIMITED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "TIMEOUT": 504,
}
"""By code; every other code is the request's own fault."""
BAD_REQUEST = 400
OK = 200


class HttpError(MalformedRequest):
    """A request that HTTP refuses before there is an operation."""

    status: ClassVar[int]
    headers: ClassVar[dict[str, str]] = {}


class MethodNotAllowed(HttpError):
    """The endpoint does not have this method."""

    status = 405
    headers: ClassVar[dict[str, str]] = {"allow": "GET, POST"}


class MutationByGet(HttpError):
    """A GET request must not change anything."""

    status = 405
    headers: ClassVar[dict[str, str]] = {"allow": "POST"}


class NotAcceptable(HttpError):
    """The client accepts none of the media types that the gateway answers in."""

    status = 406


class BodyTooSlow(HttpError):
    """The body did not arrive in time."""

    status = 408
    headers: ClassVar[dict[str, str]] = {"connection": "close"}


class PayloadTooLarge(HttpError):
    """The body is larger than the gateway reads."""

    status = 413
    headers: ClassVar[dict[str, str]] = {"connection": "close"}  # the rest of the body is not read


class UnsupportedContentType(HttpError):
    """The body is not JSON in UTF-8."""

    status = 415


def status_of(error: BaseException, *, trusts_status: bool) -> int:
    """Return the status of a response to a request of which nothing ran.

    In plain JSON the GraphQL-over-HTTP specification wants 200 for a well-formed request whose operation is wrong,
    since proxies answer in plain JSON too: only application/graphql-response+json can be trusted with other statuses.
    """
    match error:
        case HttpError():
            return error.status
        case MalformedRequest():
            return BAD_REQUEST
    return STATUSES.get(error_code(error), BAD_REQUEST if trusts_status else OK)
