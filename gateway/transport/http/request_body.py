"""The body of an HTTP request: its media type, its size and the time that it takes to arrive are limited."""

import asyncio
from functools import lru_cache

from starlette.datastructures import Headers
from starlette.types import Receive

from gateway.transport.http.http_errors import BodyTooSlow, PayloadTooLarge, UnsupportedContentType
from gateway.transport.stalled_send import ClientGone

JSON_TYPE = "application/json"


async def read_json_body(headers: Headers, receive: Receive, *, max_bytes: int, seconds: float) -> bytes:
    """Return the whole body, which says that it is JSON in UTF-8.

    Raises UnsupportedContentType, PayloadTooLarge, BodyTooSlow and ClientGone.
    """
    check_content_type(headers.get("content-type", ""))
    too_large = f"The request's body is larger than {max_bytes} bytes."
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise PayloadTooLarge(too_large)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                body += message.get("body", b"")
                if len(body) > max_bytes:
                    raise PayloadTooLarge(too_large)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise BodyTooSlow(f"The request's body did not arrive within {seconds:g} seconds.") from None


@lru_cache(256)
def check_content_type(content_type: str) -> None:
    """Raise UnsupportedContentType unless it is JSON in UTF-8."""
    media_type, _, parameters = content_type.partition(";")
    if media_type.strip().lower() != JSON_TYPE:
        raise UnsupportedContentType(f"Send the request's body as {JSON_TYPE}.")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in {"utf-8", "utf8"}:
            raise UnsupportedContentType("Send the request's body in UTF-8.")
