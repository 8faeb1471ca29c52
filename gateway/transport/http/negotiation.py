"""Content negotiation: the representations that a client accepts, in its order of preference."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from gateway.execution.documents import OperationType
from gateway.transport.http.http_errors import HttpError

_CACHED_HEADERS = 256


class Representation(enum.Enum):
    """A representation of an answer, by its media type."""

    GRAPHQL_RESPONSE = "application/graphql-response+json"
    JSON = "application/json"
    EVENT_STREAM = "text/event-stream"
    MULTIPART = "multipart/mixed"
    PAGE = "text/html"


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaRange:
    """One element of an Accept header."""

    type: str
    quality: float
    parameters: dict[str, str]


class Preference(NamedTuple):
    """The smaller, the better: by quality, then by specificity, then by the order in the header."""

    negative_quality: float
    wildcards: int
    position: int


WILDCARDS = {
    "*/*": (Representation.JSON,),
    "application/*": (Representation.JSON,),
    "text/*": (Representation.PAGE,),
}
"""`*/*` is the default of clients that do not know streams: they get plain JSON."""


@lru_cache(_CACHED_HEADERS)
def negotiate(accept: str | None, *, page: bool) -> tuple[Representation, ...]:
    """Return the acceptable representations, the most wanted first. `page` tells whether there is an HTML page.

    Without a header it is application/graphql-response+json, as the GraphQL-over-HTTP specification says. Raises
    HttpError 406.
    """
    if not accept or not accept.strip():
        return (Representation.GRAPHQL_RESPONSE,)
    preferences: dict[Representation, Preference] = {}
    for position, media_range in enumerate(_media_ranges(accept)):
        if media_range.quality <= 0:
            continue
        for representation in _representations(media_range):
            preference = Preference(-media_range.quality, media_range.type.count("*"), position)
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


def _representations(media_range: MediaRange) -> tuple[Representation, ...]:
    if media_range.type in WILDCARDS:
        return WILDCARDS[media_range.type]
    if media_range.type == Representation.MULTIPART.value:
        understood = media_range.parameters.get("subscriptionspec", "").startswith("1.0")
        return (Representation.MULTIPART,) if understood else ()
    try:
        return (Representation(media_range.type),)
    except ValueError:
        return ()


def _media_ranges(header: str) -> Iterator[MediaRange]:
    for element in header.split(","):
        media_type, *rest = element.split(";")
        parameters = dict(_parameter(parameter) for parameter in rest)
        yield MediaRange(type=media_type.strip().lower(), quality=_quality(parameters), parameters=parameters)


def _parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip().strip("\"'")


def _quality(parameters: dict[str, str]) -> float:
    try:
        return float(parameters.get("q", "1"))
    except ValueError:
        return 0.0
