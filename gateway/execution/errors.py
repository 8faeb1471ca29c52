"""Errors as clients read them: made here, and nowhere else.

An error says what its caller needs: a message, a code, where it happened. What was not foreseen says none of its cause;
it gets an `errorId`, and the log has the traceback under the same one.
"""

import logging
from collections.abc import Iterable
from typing import Any, NoReturn
from uuid import uuid4

from graphql import GraphQLError

from gateway.domain.errors import BadUserInput, GatewayError

LOG = logging.getLogger("gateway.errors")

FormattedError = dict[str, Any]
"""An error as the GraphQL specification has it in a response: message, locations, path, extensions."""


class OperationTooComplex(GatewayError):
    """The operation is more than the gateway is ready to do at once."""

    code = "QUERY_TOO_COMPLEX"


class RateLimited(GatewayError):
    """The caller has had what it may have for now; `retryAfter` says for how many seconds."""

    code = "RATE_LIMITED"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message, retryAfter=retry_after)


class Refusal(Exception):
    """Nothing was done, or nothing more will be: the answer has errors, and no data."""

    def __init__(self, errors: Iterable[FormattedError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(error["message"] for error in self.errors))

    @property
    def code(self) -> str:
        """What went wrong first."""
        return str(self.errors[0]["extensions"]["code"])


def refuse(error: Exception) -> NoReturn:
    """Raise the refusal that an error outside of any field amounts to."""
    raise Refusal([formatted(error)]) from error


def request_error(error: GraphQLError) -> FormattedError:
    """Format an error in the request itself: its syntax, its sense, its variables."""
    cause = error.original_error
    if isinstance(cause, GatewayError):
        return _located(formatted(cause), error)
    return _located(_formatted(error.message, BadUserInput.code), error)


def field_error(error: GraphQLError) -> FormattedError:
    """Format an error that happened while the operation ran."""
    cause = error.original_error
    if cause is None or (isinstance(cause, GraphQLError) and cause.nodes):
        # of graphql-core's own making, and it points at what the caller wrote
        return request_error(error)
    return _located(formatted(cause), error)


def formatted(error: BaseException) -> FormattedError:
    """Format any error, without a place; masks and logs what its caller must not read."""
    match error:
        case GatewayError():
            return _formatted(error.message, error.code, **error.extensions)
        case RecursionError():
            LOG.warning("An operation was nested too deeply to be run.")
            return formatted(OperationTooComplex("The operation is nested too deeply."))
        case _:
            return _masked(error)


def _masked(error: BaseException) -> FormattedError:
    error_id = uuid4().hex
    LOG.error("Unforeseen error %s", error_id, exc_info=error, extra={"error_id": error_id})
    return _formatted("Internal error.", "INTERNAL", errorId=error_id)


def _formatted(message: str, code: str, **extensions: Any) -> FormattedError:
    return {"message": message, "extensions": {"code": code, **extensions}}


def _located(formatted_error: FormattedError, error: GraphQLError) -> FormattedError:
    located: FormattedError = {"message": formatted_error["message"]}
    if error.locations:
        located["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path is not None:
        located["path"] = error.path
    located["extensions"] = formatted_error["extensions"]
    return located
