"""HTTP responses in JSON."""

from typing import Any

from starlette.responses import Response

from gateway.execution.encoding import encode
from gateway.execution.errors import FormattedError, format_errors
from gateway.transport.http.http_errors import OK, HttpError, status_of
from gateway.transport.http.negotiation import Representation


def json_response(
    body: bytes, representation: Representation, *, status: int = OK, headers: dict[str, str] | None = None
) -> Response:
    """Return a response of JSON. The representations of streams and pages stand for plain JSON here."""
    is_graphql = representation is Representation.GRAPHQL_RESPONSE
    media_type = (Representation.GRAPHQL_RESPONSE if is_graphql else Representation.JSON).value
    return Response(body, status_code=status, headers=headers, media_type=f"{media_type}; charset=utf-8")


def error_response(error: BaseException, representation: Representation) -> Response:
    """Return the response to a request of which nothing ran."""
    errors = format_errors(error)
    status = status_of(error, trusts_status=representation is Representation.GRAPHQL_RESPONSE)
    headers = error.headers if isinstance(error, HttpError) else _headers(errors[0]["extensions"])
    return json_response(errors_body(errors), representation, status=status, headers=headers)


def errors_body(errors: list[FormattedError]) -> bytes:
    """Encode a response that has errors and no data."""
    return encode({"errors": errors})


def _headers(extensions: dict[str, Any]) -> dict[str, str] | None:
    match extensions["code"]:
        case "UNAUTHENTICATED":
            return {"www-authenticate": "Bearer"}
        case "UNAVAILABLE":
            return {"retry-after": "1"}
        case "RATE_LIMITED":
            return {"retry-after": str(extensions["retryAfter"])}
        case _:
            return None
