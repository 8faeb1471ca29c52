"""How payloads follow each other in one response: as server-sent events, or as the parts of a multipart body."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from gateway.execution.encoding import encode
from gateway.execution.errors import FormattedError
from gateway.execution.subscriptions import Payload
from gateway.transport.http.responses import errors_body


class Framing(ABC):
    """The form of one kind of stream."""

    headers: Mapping[str, str]
    opening: bytes
    complete: bytes
    """Says that all has been said."""
    keep_alive: bytes
    leaving: bytes
    """Ends the response without ending the operation: its client is to come back."""

    @abstractmethod
    def payload(self, payload: Payload) -> bytes:
        """Frame what is told of one event."""

    @abstractmethod
    def errors(self, errors: Sequence[FormattedError]) -> bytes:
        """Frame what ended the stream."""


class EventStreamFraming(Framing):
    """Server-sent events as graphql-sse has them, in its distinct connections mode."""

    headers = MappingProxyType(
        {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache, no-transform",
            "x-accel-buffering": "no",  # asks nginx to pass each event on at once
        }
    )
    opening = b":\n\n"
    complete = b"event: complete\ndata:\n\n"  # browsers drop an event that has no data field
    keep_alive = b":\n\n"
    leaving = b"retry: 1000\n\n"

    def payload(self, payload: Payload) -> bytes:
        """Frame a payload; where its event has a cursor, that is what `Last-Event-ID` will be."""
        place = b"" if payload.cursor is None else b"id: " + payload.cursor.encode() + b"\n"
        return place + b"event: next\ndata: " + payload.body + b"\n\n"

    def errors(self, errors: Sequence[FormattedError]) -> bytes:
        return b"event: next\ndata: " + errors_body(errors) + b"\n\n"


class MultipartFraming(Framing):
    """Parts as Apollo's multipart subscriptions have them, version 1.0."""

    headers = MappingProxyType(
        {
            "content-type": 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0"',
            "cache-control": "no-cache, no-transform",
            "x-accel-buffering": "no",
        }
    )
    opening = b"--graphql"
    complete = b"--\r\n"
    leaving = b"--\r\n"

    def __init__(self) -> None:
        self.keep_alive = _part(b"{}")

    def payload(self, payload: Payload) -> bytes:
        return _part(b'{"payload":' + payload.body + b"}")

    def errors(self, errors: Sequence[FormattedError]) -> bytes:
        """Frame what ended the stream: no answer to an event, but errors beside it."""
        return _part(encode({"payload": None, "errors": errors}))


def _part(body: bytes) -> bytes:
    head = b"\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: " + str(len(body)).encode()
    return head + b"\r\n\r\n" + body + b"\r\n--graphql"


EVENT_STREAM = EventStreamFraming()
MULTIPART = MultipartFraming()
