"""The answer to one request, with the status that the GraphQL-over-HTTP specification gives it."""

from typing import Any

from starlette.responses import Response

from gateway.domain.errors import GatewayError
from gateway.execution.encoding import encode
from gateway.execution.errors import FormattedError, Refusal, formatted
from gateway.transport.http.http_errors import Rejection
from gateway.transport.http.negotiation import Representation

STATUSES = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "RATE_LIMITED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "TIMEOUT": 504,
}
"""Of a request that was refused as a whole; any other code is the request's own fault."""
BAD_REQUEST = 400
OK = 200


def answer(body: bytes, *, form: Representation, status: int = OK, headers: dict[str, str] | None = None) -> Response:
    """Return `body`, which is JSON, in the form of that name; the streams' names stand for plain JSON here."""
    name = form if form is Representation.GRAPHQL_RESPONSE else Representation.JSON
    return Response(body, status_code=status, headers=headers, media_type=f"{name.value}; charset=utf-8")


def refusal(error: Exception, *, form: Representation) -> Response:
    """Return the answer to a request of which nothing ran."""
    match error:
        case Refusal():
            return _of_operation(error, form=form)
        case Rejection():
            return answer(errors_body([formatted(error)]), form=form, status=error.status, headers=error.headers)
        case GatewayError():
            return _of_code(error.code, [formatted(error)], form=form)
        case _:
            return _of_code("INTERNAL", [formatted(error)], form=form)


def errors_body(errors: Any) -> bytes:
    """Return a response that has errors and no data."""
    return encode({"errors": errors})


def _of_operation(error: Refusal, *, form: Representation) -> Response:
    status = STATUSES.get(error.code, BAD_REQUEST)
    if status == BAD_REQUEST and form is not Representation.GRAPHQL_RESPONSE:
        # a well-formed request whose operation is wrong: plain JSON can be trusted with status 200 alone
        return answer(errors_body(error.errors), form=form)
    return _of_code(error.code, error.errors, form=form)


def _of_code(code: str, errors: list[FormattedError] | tuple[FormattedError, ...], *, form: Representation) -> Response:
    status = STATUSES.get(code, BAD_REQUEST)
    headers = {
        "UNAUTHENTICATED": {"www-authenticate": "Bearer"},
        "UNAVAILABLE": {"retry-after": "1"},
        "RATE_LIMITED": {"retry-after": str(errors[0]["extensions"].get("retryAfter", 1))},
    }.get(code)
    return answer(errors_body(errors), form=form, status=status, headers=headers)
