"""Content negotiation: the representations that a client accepts, in its order of preference."""

import enum
from functools import lru_cache

from graphql import OperationType

from gateway.transport.http.http_errors import HttpError

_CACHED_HEADERS = 256
_LONGEST_HEADER = 1_000
"""Of characters; browsers send 150. One of 60,000 took 12 ms before anything was charged."""


class Representation(enum.Enum):
    """A representation of an answer, by its media type."""

    GRAPHQL_RESPONSE = "application/graphql-response+json"
    JSON = "application/json"
    EVENT_STREAM = "text/event-stream"
    MULTIPART = "multipart/mixed"
    PAGE = "text/html"

    def __init__(self, media_type: str) -> None:
        in_json = media_type if media_type.endswith("json") else "application/json"
        self.content_type = f"{in_json}; charset=utf-8".encode()
        """Of an answer in JSON, which also stands for a stream or a page."""


JSON = (Representation.JSON, Representation.GRAPHQL_RESPONSE)
"""The representations of one answer to a query or a mutation."""
WILDCARDS = {
    "*/*": (Representation.JSON,),
    "application/*": (Representation.JSON,),
    "text/*": (Representation.PAGE,),
}
"""`*/*` is the default of clients that do not know streams: they get plain JSON."""


@lru_cache(_CACHED_HEADERS)
def negotiate(header: bytes | None, page: bool) -> tuple[Representation, ...]:
    """Return the acceptable representations, the most wanted first. `page` says whether there is an HTML page.

    Without a header it is application/graphql-response+json, as the GraphQL-over-HTTP specification says. Raises
    HttpError 406.
    """
    accept = (header or b"").decode("latin-1")
    if not accept.strip():
        return (Representation.GRAPHQL_RESPONSE,)
    if len(accept) > _LONGEST_HEADER:
        raise HttpError(406, f"Accept may have {_LONGEST_HEADER} characters, not {len(accept)}.")
    preferences: dict[Representation, tuple[float, int, int]] = {}
    for position, media_range in enumerate(accept.split(",")):
        media_type, *rest = media_range.lower().split(";")
        media_type = media_type.strip()
        parameters = dict(_parameter(parameter) for parameter in rest)
        if (quality := _quality(parameters)) <= 0:
            continue
        for representation in _representations(media_type, parameters):
            # The smaller, the better: by quality, then by specificity, then by the order in the header.
            preference = (-quality, media_type.count("*"), position)
            preferences[representation] = min(preference, preferences.get(representation, preference))
    if not preferences:
        types = ", ".join(representation.value for representation in Representation)
        message = f"The gateway answers in these media types; Accept names none of them: {types}."
        raise HttpError(406, message)
    if not page:
        preferences.pop(Representation.PAGE, None)
        if not preferences:
            message = "Only a browser that asks by GET gets a page. Accept application/json."
            raise HttpError(406, message)
    return tuple(sorted(preferences, key=preferences.__getitem__))


@lru_cache(_CACHED_HEADERS)
def representation_of(operation_type: OperationType, accepted: tuple[Representation, ...]) -> Representation:
    """Return the first representation that suits the operation; where none does, the first of all.

    A subscription is a stream, and only a subscription comes in parts.
    """
    if operation_type is OperationType.SUBSCRIPTION:
        suitable = {Representation.EVENT_STREAM, Representation.MULTIPART}
    else:
        suitable = {Representation.GRAPHQL_RESPONSE, Representation.JSON, Representation.EVENT_STREAM}
    return next((representation for representation in accepted if representation in suitable), accepted[0])


def _representations(media_type: str, parameters: dict[str, str]) -> tuple[Representation, ...]:
    if media_type in WILDCARDS:
        return WILDCARDS[media_type]
    if media_type == Representation.MULTIPART.value:
        understood = parameters.get("subscriptionspec", "").startswith("1.0")
        return (Representation.MULTIPART,) if understood else ()
    try:
        return (Representation(media_type),)
    except ValueError:
        return ()


def _parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip(), value.strip().strip("\"'")


def _quality(parameters: dict[str, str]) -> float:
    try:
        return float(parameters.get("q", "1"))
    except ValueError:
        return 0.0
