"""How the gateway ends a WebSocket: the codes that graphql-transport-ws has, and those of WebSocket itself.

Clients try again after 1012 and 1013, and after a connection that broke. The codes from 4400 on tell them that this
would not help, and so does 1011, which is never sent for that reason.
"""

from typing import NamedTuple

from gateway.domain.errors import BadUserInput, GatewayError
from gateway.execution.errors import RateLimited, format_errors

REASON_BYTES = 123
"""What a close frame has room for."""


class Close(NamedTuple):
    """A close code and what it is for."""

    code: int
    reason: str


class CloseConnection(Exception):
    """The socket has to be closed so."""

    def __init__(self, close: Close) -> None:
        super().__init__(close)
        self.close = close


SERVICE_RESTART = Close(1012, "Service restart")
TRY_AGAIN_LATER = Close(1013, "Try again later")
UNAUTHORIZED = Close(4401, "Unauthorized")
FORBIDDEN = Close(4403, "Forbidden")
SUBPROTOCOL_NOT_ACCEPTABLE = Close(4406, "Subprotocol not acceptable")
INITIALISATION_TIMEOUT = Close(4408, "Connection initialisation timeout")
TOO_MANY_INITIALISATIONS = Close(4429, "Too many initialisation requests")


def invalid_message(error: BadUserInput) -> Close:
    return Close(4400, _shortened(f"Invalid message received: {error.message}"))


def subscriber_exists(identifier: str) -> Close:
    return Close(4409, _shortened(f"Subscriber for {identifier} already exists"))


def refused_caller(error: Exception) -> Close:
    """Return how a socket ends whose caller could not be made out: for good only where that is certain."""
    match error:
        case GatewayError(code="UNAUTHENTICATED"):
            return UNAUTHORIZED
        case GatewayError(code="FORBIDDEN"):
            return FORBIDDEN
        case RateLimited():
            return Close(TRY_AGAIN_LATER.code, _shortened(error.message))
        case GatewayError():
            return TRY_AGAIN_LATER
        case _:
            format_errors(error)  # logs it
            return TRY_AGAIN_LATER


def _shortened(reason: str) -> str:
    return reason.encode(errors="replace")[:REASON_BYTES].decode(errors="ignore")
