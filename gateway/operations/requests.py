"""What a client asks, taken from a request's body, a URL or a message: read with care, as none of it can be trusted."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.domain.errors import BadUserInput
from gateway.domain.json_text import read_json

MOST_NAME_CHARACTERS = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphQLRequest:
    """The parameters of one request, as the GraphQL-over-HTTP specification names them."""

    query: str | None
    """None where the document is named instead: by `document_id`, or in the extensions."""
    document_id: str | None = None
    operation_name: str | None
    variables: Mapping[str, Any] | None
    extensions: Mapping[str, Any] | None

    @property
    def asks_cost(self) -> bool:
        """Whether the answer is to say what it was estimated to cost."""
        return self.extensions is not None and self.extensions.get("cost") is True


def parsed_json(text: bytes | str) -> Any:
    """Return the value of a JSON text, with its numbers as they were written. Raises BadUserInput."""
    try:
        return read_json(text if isinstance(text, str) else text.decode())
    except UnicodeDecodeError:
        raise BadUserInput("The request is not valid UTF-8.") from None
    except json.JSONDecodeError as error:
        raise BadUserInput(f"The request is not valid JSON: {error}.") from None


def graphql_request(parameters: Any) -> GraphQLRequest:
    """Return the request that a JSON object spells. Raises BadUserInput, saying which parameter is wrong."""
    if not isinstance(parameters, dict):
        raise BadUserInput("A request is a JSON object with a query.")
    query, document_id = parameters.get("query"), parameters.get("documentId")
    extensions = _object(parameters, "extensions")
    named = document_id is not None or (extensions is not None and "persistedQuery" in extensions)
    if not isinstance(query, str) and not (named and query is None):
        raise BadUserInput("The parameter query has to be a string: a GraphQL document.")
    if not isinstance(document_id, str | None):
        raise BadUserInput("The parameter documentId has to be a string.")
    operation_name = parameters.get("operationName")
    if not isinstance(operation_name, str | None) or len(operation_name or "") > MOST_NAME_CHARACTERS:
        raise BadUserInput(
            f"The parameter operationName has to be a string of at most {MOST_NAME_CHARACTERS} characters."
        )
    return GraphQLRequest(
        query=query,
        document_id=document_id,
        operation_name=operation_name or None,
        variables=_object(parameters, "variables"),
        extensions=extensions,
    )


def graphql_request_from_url(parameters: Mapping[str, str]) -> GraphQLRequest:
    """Return the request in a URL's query, where variables and extensions are JSON. Raises BadUserInput."""
    decoded: dict[str, Any] = dict(parameters)
    for name in ("variables", "extensions"):
        if name in parameters:
            decoded[name] = parsed_json(parameters[name]) if parameters[name] else None
    return graphql_request(decoded)


def _object(parameters: dict[str, Any], name: str) -> Mapping[str, Any] | None:
    value = parameters.get(name)
    if not isinstance(value, dict | None):
        raise BadUserInput(f"The parameter {name} has to be an object.")
    return value
