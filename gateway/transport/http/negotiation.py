"""In which form the answer goes: what the client accepts, in its order of preference."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gateway.transport.http.http_errors import NotAcceptable


class Representation(enum.Enum):
    """A form that an answer can have, by its media type."""

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
    """Less is better: by quality, then by how exactly it was named, then by the order in the header."""

    negative_quality: float
    wildcards: int
    place: int


WILDCARDS = {
    "*/*": (Representation.JSON,),
    "application/*": (Representation.JSON,),
    "text/*": (Representation.PAGE,),
}
"""What a range stands for. `*/*` is what sends who never thought of it: they want plain JSON, and no stream."""


def accepted(header: str | None) -> tuple[Representation, ...]:
    """Return the forms that an Accept header asks for, the most wanted first. Raises NotAcceptable where there is none.

    Without a header it is as if application/graphql-response+json had been asked for, as the specification has it.
    """
    if not header or not header.strip():
        return (Representation.GRAPHQL_RESPONSE,)
    preferences: dict[Representation, Preference] = {}
    for place, media_range in enumerate(_media_ranges(header)):
        if media_range.quality <= 0:
            continue
        for representation in _representations(media_range):
            preference = Preference(-media_range.quality, media_range.type.count("*"), place)
            preferences[representation] = min(preference, preferences.get(representation, preference))
    if not preferences:
        forms = ", ".join(representation.value for representation in Representation)
        raise NotAcceptable(f"The gateway answers in these forms, and the Accept header names none of them: {forms}.")
    return tuple(sorted(preferences, key=preferences.__getitem__))


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
