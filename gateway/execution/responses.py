"""The end of an operation: its result, as the bytes of an answer."""

from collections.abc import Awaitable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, cast

from graphql import ExecutionResult
from graphql.execution import Executor

from gateway.execution.encoding import encode
from gateway.execution.errors import FormattedError, field_error, formatted


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """The answer to an operation that ran."""

    body: bytes
    """The whole response of the GraphQL specification, as JSON."""
    errors: tuple[FormattedError, ...]


async def respond(executor: Executor[Any], *, extensions: dict[str, Any] | None = None) -> Response:
    """Run what the executor was built for. Never raises: what goes wrong is part of the answer.

    `extensions` stand in the answer of an operation that came to its end.
    """
    try:
        result = executor.execute_operation()
        if isawaitable(result):
            result = await cast("Awaitable[ExecutionResult]", result)
        return _response(cast("ExecutionResult", result), extensions)
    except Exception as error:  # noqa: BLE001 - whatever it is, it becomes a masked answer
        return refusal_of(error)


def completed(data: dict[str, Any], *, extensions: dict[str, Any] | None = None) -> Response:
    """Return the answer in which all is well; like `respond`, it never raises."""
    try:
        return _encoded(data, (), extensions)
    except Exception as error:  # noqa: BLE001 - as above
        return refusal_of(error)


def refusal_of(error: Exception) -> Response:
    """Return the answer of which nothing came to be but this error."""
    errors = (formatted(error),)
    return Response(body=encode({"data": None, "errors": errors}), errors=errors)


def _response(result: ExecutionResult, extensions: dict[str, Any] | None) -> Response:
    return _encoded(result.data, tuple(map(field_error, result.errors or ())), extensions)


def _encoded(data: Any, errors: tuple[FormattedError, ...], extensions: dict[str, Any] | None) -> Response:
    members: dict[str, Any] = {"data": data}
    if errors:
        members["errors"] = errors
    if extensions:
        members["extensions"] = extensions
    return Response(body=encode(members), errors=errors)
