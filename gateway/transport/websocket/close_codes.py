"""Close codes: those of graphql-transport-ws and of WebSocket itself.

Clients reconnect after 1012, 1013 and a connection that broke. The codes from 4400 on tell them not to, and so does
1011, which is therefore never sent.
"""

from typing import NamedTuple

from gateway.domain.errors import RateLimited
from gateway.execution.errors import error_code, format_errors

REASON_BYTES = 123
"""The payload of a close frame after its code (RFC 6455, section 5.5)."""


class Close(NamedTuple):
    """A close code and its reason."""

    code: int
    reason: str


class CloseConnection(Exception):
    """The connection has to be closed with this code, and as much of the reason as fits."""

    def __init__(self, close: Close) -> None:
        super().__init__(close)
        shortened = close.reason.encode(errors="replace")[:REASON_BYTES].decode(errors="ignore")
        self.close = close._replace(reason=shortened) if shortened != close.reason else close


SERVICE_RESTART = Close(1012, "Service restart")
TRY_AGAIN_LATER = Close(1013, "Try again later")
UNAUTHORIZED = Close(4401, "Unauthorized")
FORBIDDEN = Close(4403, "Forbidden")
SUBPROTOCOL_NOT_ACCEPTABLE = Close(4406, "Subprotocol not acceptable")
INITIALISATION_TIMEOUT = Close(4408, "Connection initialisation timeout")
TOO_MANY_INITIALISATIONS = Close(4429, "Too many initialisation requests")


def close_of(error: Exception) -> Close:
    """Return the close code for an error of the initialisation. Only a credential that is refused closes for good."""
    if isinstance(error, RateLimited):
        return Close(TRY_AGAIN_LATER.code, error.message)
    match error_code(error):
        case "UNAUTHENTICATED":
            return UNAUTHORIZED
        case "FORBIDDEN":
            return FORBIDDEN
        case "INTERNAL":
            format_errors(error)  # logs it
    return TRY_AGAIN_LATER
