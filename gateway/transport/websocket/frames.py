"""WebSocket frames of `next` messages."""

from collections.abc import Sequence

from gateway.execution.encoding import Payload

_FINAL_TEXT = b"\x81"
_SHORT, _MEDIUM = 126, 65_536
"""Smaller payloads have their length in the second byte of the frame, or in two more (RFC 6455, section 5.2)."""


def next_frames(head: bytes, payloads: Sequence[Payload]) -> bytes:
    """Return the `next` messages of payloads as frames of a server. `head` is that of `messages.next_head`."""
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
