"""Errors that HTTP has a status for, and the one place that gives every other error its status."""

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
    """A request that HTTP refuses with a status of its own, before there is an operation."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = tuple((name.encode(), value.encode()) for name, value in headers.items())


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
