"""Errors as clients read them: `format_errors` turns any exception into members of a response's `errors`.

A GatewayError has a message, a code and extensions. Of an unexpected exception the client learns nothing: the error
gets an `errorId`, and the log has the traceback under the same id. Exceptions are formatted where an answer is made,
and nowhere before.
"""

import logging
import re
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from graphql import GraphQLError

from gateway.domain.errors import BadUserInput, GatewayError

LOG = logging.getLogger("gateway.errors")

_ARGUMENT = re.compile(r"(?:Variable '\$|Argument ')(\w+)'")
"""How graphql-core's messages begin that are about a variable or an argument; nothing else of the error names it."""

FormattedError = dict[str, Any]
"""An error of a response, as the GraphQL specification defines it: message, locations, path, extensions."""


class OperationTooComplex(GatewayError):
    """The operation exceeds a limit of the gateway."""

    code = "QUERY_TOO_COMPLEX"


class ParseFailed(GatewayError):
    """The document is not written in GraphQL."""

    code = "GRAPHQL_PARSE_FAILED"


class ValidationFailed(GatewayError):
    """The document does not fit the schema."""

    code = "GRAPHQL_VALIDATION_FAILED"


class InvalidDocument(GatewayError):
    """The document does not parse or validate, or the variables do not fit it. Its code is that of the first error."""

    def __init__(self, errors: Iterable[GraphQLError], *, kind: type[GatewayError]) -> None:
        """`kind` says what the errors are, ParseFailed, ValidationFailed or BadUserInput, unless one has a cause."""
        self.graphql_errors = tuple(errors)
        super().__init__("; ".join(error.message for error in self.graphql_errors))
        self.kind = kind
        self.code = _request_error(self.graphql_errors[0], kind=kind).code


def format_errors(error: BaseException) -> list[FormattedError]:
    """Return what clients read of an exception: several errors for an invalid document, one for any other.

    Logs an unexpected exception.
    """
    match error:
        case InvalidDocument():
            return [_located(_format(_request_error(each, kind=error.kind)), each) for each in error.graphql_errors]
        case GraphQLError():
            return [_located(_format(_field_error(error)), error)]
        case _:
            return [_format(error)]


def error_code(error: BaseException) -> str:
    """Return the code of the first of the errors that `format_errors` makes of an exception."""
    match error:
        case GraphQLError():
            return error_code(_field_error(error))
        case GatewayError():
            return error.code
        case RecursionError():
            return OperationTooComplex.code
        case _:
            return "INTERNAL"


def _request_error(error: GraphQLError, *, kind: type[GatewayError]) -> GatewayError:
    """Return the error of a request that GraphQL refused: its syntax, its validity, its variables or arguments."""
    cause = error.original_error
    if isinstance(cause, GatewayError):
        return cause
    named = _ARGUMENT.match(error.message) if kind is BadUserInput else None
    return kind(error.message, argument=named.group(1)) if named else kind(error.message)


def _field_error(error: GraphQLError) -> BaseException:
    """Return the error of a field. graphql-core's own errors have no cause, and point at what the caller wrote."""
    cause = error.original_error
    if cause is None or (isinstance(cause, GraphQLError) and cause.nodes):
        return _request_error(error, kind=BadUserInput)
    return cause


def _format(error: BaseException) -> FormattedError:
    match error:
        case GatewayError():
            return {"message": error.message, "extensions": {"code": error.code, **error.extensions}}
        case RecursionError():
            LOG.warning("The operation was nested too deeply to be executed.")
            return _format(OperationTooComplex("The operation is nested too deeply."))
        case _:
            error_id = uuid4().hex
            LOG.error("Unexpected error %s", error_id, exc_info=error, extra={"error_id": error_id})
            return {"message": "Internal error.", "extensions": {"code": error_code(error), "errorId": error_id}}


def _located(formatted: FormattedError, error: GraphQLError) -> FormattedError:
    located: FormattedError = {"message": formatted["message"]}
    if error.locations:
        located["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path is not None:
        located["path"] = error.path
    located["extensions"] = formatted["extensions"]
    return located
