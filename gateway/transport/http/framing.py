"""How the payloads of a stream are framed in one response: as server-sent events, or as parts of a multipart body."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.execution.encoding import Payload, encode
from gateway.execution.errors import FormattedError
from gateway.transport.http.negotiation import Representation


@dataclass(frozen=True, kw_only=True, slots=True)
class Framing:
    """The format of one kind of stream."""

    content_type: str
    opening: bytes
    complete: bytes
    """The completion frame."""
    keep_alive: bytes
    shutdown: bytes
    """Ends the response without completing the operation: its client reconnects."""
    payload: Callable[[Payload], bytes]
    """Frames a payload."""
    errors: Callable[[list[FormattedError]], bytes]
    """Frames the errors that end the stream."""


def _event(payload: Payload) -> bytes:
    """Frame a payload. Its cursor becomes the client's `Last-Event-ID`."""
    event_id = b"" if payload.cursor is None else b"id: " + payload.cursor.encode() + b"\n"
    return event_id + b"event: next\ndata: " + payload.body + b"\n\n"


def _part(body: bytes) -> bytes:
    head = b"\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: " + str(len(body)).encode()
    return head + b"\r\n\r\n" + body + b"\r\n--graphql"


FRAMINGS = {
    # graphql-sse in its distinct connections mode
    Representation.EVENT_STREAM: Framing(
        content_type="text/event-stream; charset=utf-8",
        opening=b":\n\n",
        complete=b"event: complete\ndata:\n\n",  # browsers drop an event without a data field
        keep_alive=b":\n\n",
        shutdown=b"retry: 1000\n\n",
        payload=_event,
        errors=lambda errors: b"event: next\ndata: " + encode({"errors": errors}) + b"\n\n",
    ),
    # Apollo's multipart subscriptions, version 1.0: errors that end the stream stand beside a payload of null
    Representation.MULTIPART: Framing(
        content_type='multipart/mixed;boundary="graphql";subscriptionSpec="1.0"',
        opening=b"--graphql",
        complete=b"--\r\n",
        keep_alive=_part(b"{}"),
        shutdown=b"--\r\n",
        payload=lambda payload: _part(b'{"payload":' + payload.body + b"}"),
        errors=lambda errors: _part(encode({"payload": None, "errors": errors})),
    ),
}
