"""The body of an HTTP request: its media type, its size and the time that it takes to arrive are bounded here."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import Receive

from gateway.transport.http.http_errors import BodyTooSlow, PayloadTooLarge, UnsupportedContentType
from gateway.transport.stalled_send import ClientGone

JSON_TYPE = "application/json"


async def received_body(headers: Headers, receive: Receive, *, max_bytes: int, seconds: float) -> bytes:
    """Return the whole body, never holding more than `max_bytes` and one chunk of it.

    Raises PayloadTooLarge, BodyTooSlow and ClientGone.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _body(headers, receive, max_bytes=max_bytes)
    except TimeoutError:
        raise BodyTooSlow(f"The request's body did not arrive within {seconds:g} seconds.") from None


async def _body(headers: Headers, receive: Receive, *, max_bytes: int) -> bytes:
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        _refuse_size(max_bytes)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > max_bytes:
            _refuse_size(max_bytes)
        if not message.get("more_body", False):
            return bytes(body)


def _refuse_size(max_bytes: int) -> None:
    raise PayloadTooLarge(f"The request's body is larger than {max_bytes} bytes.")


def require_json(headers: Headers) -> None:
    """Raise UnsupportedContentType unless the body says that it is JSON in UTF-8."""
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != JSON_TYPE:
        raise UnsupportedContentType(f"Send the request's body as {JSON_TYPE}.")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in {"utf-8", "utf8"}:
            raise UnsupportedContentType("Send the request's body in UTF-8.")
