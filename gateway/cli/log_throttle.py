"""A filter for logs whose lines any client can cause: one line of a kind in a second."""

import logging
import time

SECONDS = 1.0
LOGGERS = ("uvicorn.error", "gateway.authentication")
"""Lines about malformed requests and refused credentials. An unexpected error is never left out: callers quote it."""


class LogThrottle(logging.Filter):
    """Lets one line of each message pass in SECONDS; the next one says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[str, tuple[float, int]] = {}
        """By message, before its values: when the last line passed, and how many have not since then."""

    def filter(self, record: logging.LogRecord) -> bool:
        message, now = str(record.msg), time.monotonic()
        passed_at, left_out = self._passed.get(message, (-SECONDS, 0))
        if now - passed_at < SECONDS:
            self._passed[message] = (passed_at, left_out + 1)
            return False
        self._passed[message] = (now, 0)
        if left_out:
            record.msg = f"{message} (and {left_out} more like this)"
        return True
