"""Close codes: those of graphql-transport-ws and of WebSocket itself.

Clients reconnect after 1012, 1013 and a connection that broke. The codes from 4400 on tell them not to, and so does
1011, which is therefore never sent.
"""

from typing import NamedTuple

from starlette.types import Message

from gateway.execution.errors import format_errors

REASON_BYTES = 123
"""The payload of a close frame after its code (RFC 6455, section 5.5)."""


class Close(NamedTuple):
    """A close code and its reason."""

    code: int
    reason: str

    @property
    def message(self) -> Message:
        """The ASGI message, with as much of the reason as fits."""
        reason = self.reason.encode(errors="replace")[:REASON_BYTES].decode(errors="ignore")
        return {"type": "websocket.close", "code": self.code, "reason": reason}


class CloseConnection(Exception):
    """The connection has to be closed with this code."""

    def __init__(self, close: Close) -> None:
        super().__init__(close)
        self.close = close


SERVICE_RESTART = Close(1012, "Service restart")
NO_CREDENTIAL = Close(4401, "Unauthorized: A credential is missing. Send Authorization: Bearer and a key.")
NOT_INITIALISED = Close(4401, "Unauthorized: send connection_init first")
SUBPROTOCOL_NOT_ACCEPTABLE = Close(4406, "Subprotocol not acceptable: offer graphql-transport-ws")
INITIALISATION_TIMEOUT = Close(4408, "Connection initialisation timeout")
TOO_MUCH_UNFINISHED = Close(1013, "Too many bytes of unfinished messages: send fewer at a time")
TOO_MANY_INITIALISATIONS = Close(4429, "Too many initialisation requests")


def close_of(error: Exception) -> Close:
    """Return the close code for an error of the initialisation. Only a credential that is refused closes for good.

    The reason has the error's message: of a closed connection, most clients show nothing else.
    """
    (formatted,) = format_errors(error)
    match formatted:
        case {"message": message, "extensions": {"code": "UNAUTHENTICATED"}}:
            return Close(4401, f"Unauthorized: {message}")
        case {"message": message, "extensions": {"errorId": error_id}}:
            return Close(1013, f"Try again later: {message} {error_id}")
    return Close(1013, formatted["message"])
