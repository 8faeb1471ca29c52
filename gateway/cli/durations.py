"""Spans of time as people write them: `90d`, `12h`, or as ISO 8601 has them: P90D, PT12H, P1DT12H."""

import re
from datetime import timedelta

_SHORT = re.compile(r"(?P<count>\d{1,6})(?P<unit>[wdhms])")
_ISO = re.compile(
    r"P(?=.)((?P<weeks>\d{1,6})W)?((?P<days>\d{1,6})D)?"
    r"(T(?=.)((?P<hours>\d{1,6})H)?((?P<minutes>\d{1,6})M)?((?P<seconds>\d{1,9})S)?)?"
)
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def read_duration(text: str) -> timedelta:
    """Read a span of more than nothing. Raise ValueError.

    Months and years are refused: how long they are depends on when they begin.
    """
    if short := _SHORT.fullmatch(text):
        span = timedelta(**{_UNITS[short["unit"]]: int(short["count"])})
    elif iso := _ISO.fullmatch(text):
        span = timedelta(**{unit: int(count) for unit, count in iso.groupdict().items() if count})
    else:
        raise ValueError(text)
    if not span:
        raise ValueError(text)
    return span
