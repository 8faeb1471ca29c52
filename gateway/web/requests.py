"""What a client asks, taken from a request's body, a URL or a message: read with care, as none of it can be trusted."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Receive

from gateway.domain.errors import BadUserInput
from gateway.domain.json_text import read_json
from gateway.web.outlets import ClientGone
from gateway.web.rejections import BodyTooSlow, PayloadTooLarge, UnsupportedContentType

JSON_TYPE = "application/json"
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


async def received_body(headers: Headers, receive: Receive, *, max_bytes: int, seconds: float) -> bytes:
    """Return the whole body, never holding more than `max_bytes` and one chunk of it.

    Raises PayloadTooLarge, BodyTooSlow and ClientGone.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _body(headers, receive, max_bytes=max_bytes)
    except TimeoutError:
        raise BodyTooSlow(f"The request's body did not arrive within {seconds:g} seconds.") from None


async def _body(headers: Headers, receive: Receive, *, max_bytes: int) -> bytes:
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        _refuse_size(max_bytes)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > max_bytes:
            _refuse_size(max_bytes)
        if not message.get("more_body", False):
            return bytes(body)


def _refuse_size(max_bytes: int) -> None:
    raise PayloadTooLarge(f"The request's body is larger than {max_bytes} bytes.")


def require_json(headers: Headers) -> None:
    """Raise UnsupportedContentType unless the body says that it is JSON in UTF-8."""
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != JSON_TYPE:
        raise UnsupportedContentType(f"Send the request's body as {JSON_TYPE}.")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in {"utf-8", "utf8"}:
            raise UnsupportedContentType("Send the request's body in UTF-8.")


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
