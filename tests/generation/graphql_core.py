"""Execution by graphql-core, which compiled execution is compared with."""

from collections.abc import Mapping
from typing import Any, cast

from graphql import DocumentNode, ExecutionResult, GraphQLSchema
from graphql.execution import Executor
from strawberry.execution import optimized_is_awaitable

from gateway.domain.errors import BadUserInput
from gateway.execution.encoding import Response, encode_response
from gateway.execution.errors import InvalidDocument


async def execute_by_graphql_core(
    schema: GraphQLSchema, document: DocumentNode, *, context: Any, variables: Mapping[str, Any] | None
) -> Response:
    """Execute a document with one operation, and encode its response. Raises InvalidDocument for wrong variables."""
    executor = Executor.build(
        schema,
        document,
        context_value=context,
        raw_variable_values=cast("dict[str, Any]", variables),
        is_awaitable=cast("Any", optimized_is_awaitable),
    )
    if isinstance(executor, list):
        raise InvalidDocument(executor, kind=BadUserInput)
    result = executor.execute_operation()
    done = result if isinstance(result, ExecutionResult) else await cast("Any", result)
    return encode_response(done.data, errors=done.errors or ())
