"""GraphQL requests as clients send them: in a body, a URL or a WebSocket message. Every parameter is checked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.domain.errors import BadUserInput
from gateway.domain.json_text import read_json
from gateway.execution.errors import OperationTooComplex

MAX_NAME_CHARACTERS = 255
MAX_VARIABLE_VALUES = 20_000
"""In total, at any depth: more than the largest metadata has."""
MAX_VARIABLE_CHARACTERS = 100_000
"""Of one string."""


class MalformedRequest(BadUserInput):
    """The request is not a GraphQL request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphQLRequest:
    """The parameters of one request, named as in the GraphQL-over-HTTP specification."""

    query: str | None
    """None where the document is named instead: by `document_id`, or by `persistedQuery` in the extensions."""
    document_id: str | None = None
    operation_name: str | None = None
    variables: Mapping[str, Any] | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)


def parse_json(text: bytes | str) -> Any:
    """Return the value of a JSON text; numbers keep their digits. Raises MalformedRequest."""
    try:
        return read_json(text if isinstance(text, str) else text.decode())
    except UnicodeDecodeError:
        raise MalformedRequest("The request is not valid UTF-8.") from None
    except json.JSONDecodeError as error:
        raise MalformedRequest(f"The request is not valid JSON: {error}.") from None
    except RecursionError:
        raise MalformedRequest("The request is JSON that is nested too deeply.") from None


def graphql_request(parameters: Any) -> GraphQLRequest:
    """Return the request of a JSON object. Raises MalformedRequest, which names the wrong parameter."""
    if not isinstance(parameters, dict):
        raise MalformedRequest("A request is a JSON object with a query.")
    for name in ("variables", "extensions"):
        if not isinstance(parameters.get(name), dict | None):
            raise MalformedRequest(f"The parameter {name} has to be an object.")
    query, document_id = parameters.get("query"), parameters.get("documentId")
    extensions = parameters.get("extensions") or {}
    names_document = document_id is not None or "persistedQuery" in extensions
    if not isinstance(query, str) and not (names_document and query is None):
        raise MalformedRequest("The parameter query has to be a string: a GraphQL document.")
    if not isinstance(document_id, str | None):
        raise MalformedRequest("The parameter documentId has to be a string.")
    operation_name = parameters.get("operationName")
    if not isinstance(operation_name, str | None) or len(operation_name or "") > MAX_NAME_CHARACTERS:
        raise MalformedRequest(
            f"The parameter operationName has to be a string of at most {MAX_NAME_CHARACTERS} characters."
        )
    return GraphQLRequest(
        query=query,
        document_id=document_id,
        operation_name=operation_name or None,
        variables=parameters.get("variables"),
        extensions=extensions,
    )


def graphql_request_from_url(parameters: Mapping[str, str]) -> GraphQLRequest:
    """Return the request of a URL's query, where variables and extensions are JSON. Raises MalformedRequest."""
    decoded: dict[str, Any] = dict(parameters)
    for name in ("variables", "extensions"):
        if name in parameters:
            decoded[name] = parse_json(parameters[name]) if parameters[name] else None
    return graphql_request(decoded)


def check_variables(variables: Mapping[str, Any]) -> None:
    """Raise OperationTooComplex where there are too many values, or a string is too long."""
    pending: list[Any] = [variables]
    count = 0
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            if len(value) > MAX_VARIABLE_CHARACTERS:
                raise OperationTooComplex(
                    f"A string in the variables has {len(value)} characters; at most"
                    f" {MAX_VARIABLE_CHARACTERS} are allowed.",
                    limit="stringCharacters",
                    allowed=MAX_VARIABLE_CHARACTERS,
                )
        elif isinstance(value, dict | list):
            count += len(value)
            if count > MAX_VARIABLE_VALUES:
                raise OperationTooComplex(
                    f"The variables have more than {MAX_VARIABLE_VALUES} values.",
                    limit="values",
                    allowed=MAX_VARIABLE_VALUES,
                )
            pending.extend(value.values() if isinstance(value, dict) else value)
