"""Reads the arguments of commands. Each function raises ArgumentTypeError, which says what is allowed."""

import re
from argparse import ArgumentTypeError
from datetime import datetime, timedelta

_SHORT = re.compile(r"(?P<count>\d{1,6})(?P<unit>[wdhms])")
_ISO = re.compile(
    r"P(?=.)((?P<weeks>\d{1,6})W)?((?P<days>\d{1,6})D)?"
    r"(T(?=.)((?P<hours>\d{1,6})H)?((?P<minutes>\d{1,6})M)?((?P<seconds>\d{1,9})S)?)?"
)
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def read_port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:  # noqa: PLR2004 - the largest port
        raise ArgumentTypeError(f"{text!r} is no port; a port is a number from 0 to 65535")
    return int(text)


def read_time(text: str) -> datetime:
    """Read a time of ISO 8601; without an offset it is local time."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no time; write it as in 2027-01-31T12:00:00Z") from None
    return time if time.tzinfo else time.astimezone()


def read_duration(text: str) -> timedelta:
    """Read a duration above zero, such as `90d` and `12h`, or as in ISO 8601 `P90D`, `PT12H` and `P1DT12H`.

    Months and years are refused: their length depends on when they begin.
    """
    duration = timedelta()
    if short := _SHORT.fullmatch(text):
        duration = timedelta(**{_UNITS[short["unit"]]: int(short["count"])})
    elif iso := _ISO.fullmatch(text):
        duration = timedelta(**{unit: int(count) for unit, count in iso.groupdict().items() if count})
    if not duration:
        raise ArgumentTypeError(f"{text!r} is no duration; write it as in 90d, 12h or P90D")
    return duration


def read_drain_seconds(text: str) -> float:
    from gateway.settings import read_setting

    try:
        seconds: float = read_setting("drain_seconds", text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    return seconds
