"""The messages of graphql-transport-ws: those of clients, parsed strictly, and the gateway's, as text or as frames."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gateway.domain.errors import BadUserInput
from gateway.execution.encoding import Payload, encode
from gateway.execution.errors import FormattedError
from gateway.operations.requests import GraphQLRequest, graphql_request, parse_json

SUBPROTOCOL = "graphql-transport-ws"
MAX_ID_CHARACTERS = 255
"""The id is repeated in every message about the operation."""
MAX_CHARACTERS = {"connection_init": 32_768, "ping": 1_024, "pong": 1_024, "complete": 1_024}
"""Of whole messages, by type: nobody pays for these. A ping's payload is encoded again for its pong."""

_FINAL_TEXT = b"\x81"
_SHORT, _MEDIUM = 126, 65_536
"""Smaller payloads have their length in the second byte of the frame, or in two more (RFC 6455, section 5.2)."""


class ConnectionInit(NamedTuple):
    payload: Mapping[str, Any]


class Ping(NamedTuple):
    pong: str
    """The answer."""


class Pong(NamedTuple):
    """The answer to a ping of the gateway; needs no reaction."""


class Subscribe(NamedTuple):
    id: str
    request: GraphQLRequest


class Complete(NamedTuple):
    id: str


ClientMessage = ConnectionInit | Ping | Pong | Subscribe | Complete


def client_message(text: str | None) -> ClientMessage:
    """Parse a message; None stands for a binary one.

    Raises BadUserInput for what the protocol does not have.
    """
    if text is None:
        raise BadUserInput("Messages are text.")
    message = parse_json(text)
    if not isinstance(message, dict):
        raise BadUserInput("A message is a JSON object.")
    kind = message.get("type")
    if isinstance(kind, str) and len(text) > MAX_CHARACTERS.get(kind, len(text)):
        raise BadUserInput(f"A {kind} message has at most {MAX_CHARACTERS[kind]} characters.")
    match kind:
        case "connection_init":
            return ConnectionInit(payload=_payload(message) or {})
        case "ping":
            return Ping(pong=_pong(_payload(message)))
        case "pong":
            _payload(message)
            return Pong()
        case "subscribe":
            return Subscribe(id=_id(message), request=graphql_request(message.get("payload")))
        case "complete":
            return Complete(id=_id(message))
        case _:
            raise BadUserInput("Clients send connection_init, subscribe, complete, ping and pong.")


def _payload(message: dict[str, Any]) -> Mapping[str, Any] | None:
    payload = message.get("payload")
    if not isinstance(payload, dict | None):
        raise BadUserInput("A payload is a JSON object.")
    return payload


def _pong(payload: Mapping[str, Any] | None) -> str:
    try:
        return '{"type":"pong"}' if payload is None else f'{{"type":"pong","payload":{encode(payload).decode()}}}'
    except RecursionError:
        raise BadUserInput("The payload is nested too deeply.") from None


def _id(message: dict[str, Any]) -> str:
    identifier = message.get("id")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= MAX_ID_CHARACTERS:
        raise BadUserInput(f"An operation's id is a string of 1 to {MAX_ID_CHARACTERS} characters.")
    return identifier


ACKNOWLEDGEMENT = '{"type":"connection_ack"}'
PING_FRAME = b'\x81\x0f{"type":"ping"}'


def next_head(identifier: str) -> str:
    """Return the part of a `next` message before its payload; after the payload comes a closing brace."""
    return f'{{"type":"next","id":{_text(identifier)},"payload":'


def next_frames(head: bytes, payloads: Sequence[Payload]) -> bytes:
    """Return the `next` messages of payloads as frames of a server. `head` is that of `next_head`."""
    parts: list[bytes] = []
    for payload in payloads:
        size = len(head) + len(payload.body) + 1
        if size < _SHORT:
            length = b"%c" % size
        elif size < _MEDIUM:
            length = b"\x7e" + size.to_bytes(2, "big")
        else:
            length = b"\x7f" + size.to_bytes(8, "big")
        parts += (_FINAL_TEXT, length, head, payload.body, b"}")
    return b"".join(parts)


def error(identifier: str, errors: Sequence[FormattedError]) -> str:
    return f'{{"type":"error","id":{_text(identifier)},"payload":{encode(errors).decode()}}}'


def complete(identifier: str) -> str:
    return f'{{"type":"complete","id":{_text(identifier)}}}'


def _text(value: Any) -> str:
    return encode(value).decode()
