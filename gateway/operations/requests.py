"""GraphQL requests as clients send them: in a body, a URL or a WebSocket message. Every parameter is checked."""

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from gateway.domain.errors import BadUserInput
from gateway.domain.json_text import read_json
from gateway.domain.records import record

MAX_NAME_CHARACTERS = 255


class MalformedRequest(BadUserInput):
    """The request is not a GraphQL request."""


@record
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
    variables, extensions = parameters.get("variables"), parameters.get("extensions")
    for name, value in (("variables", variables), ("extensions", extensions)):
        if value is not None and not isinstance(value, dict):
            raise MalformedRequest(f"The parameter {name} has to be an object.")
    query, document_id = parameters.get("query"), parameters.get("documentId")
    extensions = extensions or {}
    names_document = document_id is not None or "persistedQuery" in extensions
    if not isinstance(query, str) and not (names_document and query is None):
        raise MalformedRequest("The parameter query has to be a string: a GraphQL document.")
    if document_id is not None and not isinstance(document_id, str):
        raise MalformedRequest("The parameter documentId has to be a string.")
    operation_name = parameters.get("operationName")
    if operation_name is not None and not _is_name(operation_name):
        raise MalformedRequest(
            f"The parameter operationName has to be a string of at most {MAX_NAME_CHARACTERS} characters."
        )
    return GraphQLRequest(
        query=query,
        document_id=document_id,
        operation_name=operation_name or None,
        variables=variables,
        extensions=extensions,
    )


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_NAME_CHARACTERS


def graphql_request_from_url(parameters: Mapping[str, str]) -> GraphQLRequest:
    """Return the request of a URL's query, where variables and extensions are JSON. Raises MalformedRequest."""
    decoded: dict[str, Any] = dict(parameters)
    for name in ("variables", "extensions"):
        if name in parameters:
            decoded[name] = parse_json(parameters[name]) if parameters[name] else None
    return graphql_request(decoded)
