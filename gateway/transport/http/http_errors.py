"""Requests that HTTP itself has a status for, before any operation is known."""

from typing import ClassVar

from gateway.domain.errors import BadUserInput


class Rejection(BadUserInput):
    """A request that does not come far enough to be a GraphQL request."""

    status: ClassVar[int] = 400
    headers: ClassVar[dict[str, str]] = {}


class MethodNotAllowed(Rejection):
    """This method is not for this."""

    status = 405
    headers: ClassVar[dict[str, str]] = {"allow": "GET, POST"}


class MutationByGet(Rejection):
    """A URL must not change anything."""

    status = 405
    headers: ClassVar[dict[str, str]] = {"allow": "POST"}


class NotAcceptable(Rejection):
    """The client accepts none of the forms that the gateway answers in."""

    status = 406


class PayloadTooLarge(Rejection):
    """The request is bigger than the gateway reads."""

    status = 413
    headers: ClassVar[dict[str, str]] = {"connection": "close"}  # what is still to come is not waited for


class BodyTooSlow(Rejection):
    """The request's body did not arrive in the time that it may take."""

    status = 408
    headers: ClassVar[dict[str, str]] = {"connection": "close"}


class UnsupportedContentType(Rejection):
    """The body is of a type that the gateway does not read."""

    status = 415
