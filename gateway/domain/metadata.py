"""An installation's metadata: how it is checked, encoded, merged and compared.

It is stored as JSON text, and returned equal to what was sent: numbers as they were written, characters unescaped,
keys in their order; only whitespace between tokens and needless escapes are lost.
"""

import json
import math
import re
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, Final

from gateway.domain.input_checks import InputCheck
from gateway.domain.input_problems import BrokenRule, InputProblemCode, Path
from gateway.domain.json_text import read_json
from gateway.domain.text import unstorable_characters

MOST_KEYS = 50
"""On the top level; below it only the size is limited."""
MOST_KEY_CHARACTERS = 40
"""Code points, on every level."""
MOST_BYTES = 16 * 1024
"""Of the stored text in UTF-8, which has no whitespace between tokens."""
MOST_VALUES = MOST_BYTES // 2
"""More values are too large in any case: each takes a byte and a separator. The check stops there."""
MOST_LEVELS = 8
"""Nested objects and arrays; the metadata object itself is the first level."""
MOST_DIGITS_BEFORE_POINT = 131_072
MOST_DIGITS_AFTER_POINT = 16_383
"""The limits of Postgres' numeric, and so of jsonb (its manual, "Numeric Types").

Trailing zeros count, and so does the exponent of a zero.
"""

_CONSTANTS = {None: "null", True: "true", False: "false"}


def encode_metadata(value: object, check: InputCheck, *path: str) -> str:
    """Return the text to store, which both `json` and `jsonb` of Postgres accept.

    Reports to `check` what breaks a rule, at its place below `path`. Raises TypeError for what is no JSON value.
    """
    if isinstance(value, dict):
        return _encode_plain(value) or _Encoder(check, path).encode_whole(value)
    check.report(path, BrokenRule(InputProblemCode.NOT_AN_OBJECT, "Must be a JSON object."))
    return ""


def decode_metadata(text: str) -> dict[str, Any]:
    """Read stored metadata, with numbers as they were written."""
    metadata: dict[str, Any] = read_json(text)
    return metadata


def merge_metadata(target: Any, patch: Any) -> Any:
    """Apply a JSON Merge Patch (RFC 7396). The result may share parts with both arguments; neither is changed.

    Not recursive, since a patch may be nested deeper than metadata may be; `encode_metadata` checks the result.
    """
    if not isinstance(patch, dict):
        return patch
    merged = _object_to_patch(target)
    pending = [(merged, patch)]
    while pending:
        current, changes = pending.pop()
        for key, change in changes.items():
            if change is None:
                current.pop(key, None)
            elif isinstance(change, dict):
                current[key] = _object_to_patch(current.get(key))
                pending.append((current[key], change))
            else:
                current[key] = change
    return merged


def changed_keys(before: str | dict[str, Any], after: str | dict[str, Any]) -> tuple[str, ...]:
    """Return the top-level keys that were added, removed or changed, sorted; both sides are valid metadata.

    Numbers are compared as text (1, 1.0 and 1e0 differ), since that is what readers get; the order of keys, which means
    nothing in JSON, is not compared.
    """
    if before == after and isinstance(before, str):
        return ()
    old, new = (decode_metadata(side) if isinstance(side, str) else side for side in (before, after))
    removed = [key for key in old if key not in new]
    return tuple(sorted(removed + [key for key in new if key not in old or _differ(old[key], new[key])]))


def _differ(old: Any, new: Any) -> bool:
    """Return whether a reader gets another value. What Python holds for equal may differ: 1, 1.0 and True."""
    return old != new or (not isinstance(old, str) and _comparable(old) != _comparable(new))


_encode: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode
_long_key: Final = re.compile(f'"[^"]{{{MOST_KEY_CHARACTERS + 1},}}":').search


def _encode_plain(metadata: dict[str, object]) -> str | None:
    """Return the text of metadata that clearly breaks no rule; None where `_Encoder` has to look at it.

    It has neither fractions nor escaped characters, and few objects and lists. For 300 bytes that takes 6 us instead of
    16, since the values are not looked at one by one.
    """
    try:
        text = _encode(metadata)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError):  # a Decimal, NaN, half a surrogate pair, too many digits or levels
        return None
    levels = text.count("{") + text.count("[")
    doubtful = size > MOST_BYTES or levels > MOST_LEVELS or len(metadata) > MOST_KEYS or "\\" in text or _long_key(text)
    return None if doubtful else text


class _Encoder:
    """Writes a value as text and reports its problems, in one pass."""

    __slots__ = ("_check", "_path", "_values_left")

    def __init__(self, check: InputCheck, path: Path) -> None:
        self._check = check
        self._path = path
        self._values_left = MOST_VALUES

    def encode_whole(self, metadata: dict[str, object]) -> str:
        if len(metadata) > MOST_KEYS:
            self._check.report(self._path, _TOO_MANY_KEYS)
        text = self._encode_object(metadata, self._path, 1)
        if len(text.encode(errors="surrogatepass")) > MOST_BYTES:
            self._check.report(self._path, _TOO_LARGE)
        return text

    def _encode(self, value: object, place: Path, level: int) -> str:
        self._values_left -= 1
        if self._values_left < 0:
            self._check.report(self._path, _TOO_LARGE)
            self._check.finish()
        match value:
            case str():
                return self._encode_string(value, place)
            case None | bool():
                return _CONSTANTS[value]
            case int() | Decimal() | float():
                return self._encode_number(value, place)
            case dict() | list() if level > MOST_LEVELS:  # what is below is neither checked nor counted in the size
                self._check.report(place, _TOO_DEEP)
                return "null"
            case dict():
                return self._encode_object(value, place, level)
            case list():
                items = [self._encode(item, (*place, index), level + 1) for index, item in enumerate(value)]
                return f"[{','.join(items)}]"
            case _:
                raise TypeError(f"{type(value).__name__} is no JSON value")

    def _encode_object(self, value: dict[str, object], place: Path, level: int) -> str:
        members = []
        for key, member in value.items():
            inside = (*place, key)
            if len(key) > MOST_KEY_CHARACTERS:
                self._check.report(inside, _KEY_TOO_LONG)
            members.append(f"{self._encode_string(key, inside)}:{self._encode(member, inside, level + 1)}")
        return f"{{{','.join(members)}}}"

    def _encode_string(self, text: str, place: Path) -> str:
        if "\0" in text or not text.isascii():
            self._check.report(place, *unstorable_characters(text))
        return encode_basestring(text)

    def _encode_number(self, number: float | Decimal, place: Path) -> str:
        rule = _rule_broken_by(number)
        if rule is not None:
            self._check.report(place, rule)
            return "null"
        return _number_text(number)


_TOO_MANY_KEYS = BrokenRule(InputProblemCode.TOO_MANY, f"May have {MOST_KEYS} keys at most.", MOST_KEYS)
_KEY_TOO_LONG = BrokenRule(
    InputProblemCode.TOO_LONG, f"The key may have {MOST_KEY_CHARACTERS} characters at most.", MOST_KEY_CHARACTERS
)
_TOO_LARGE = BrokenRule(InputProblemCode.TOO_LARGE, f"May take {MOST_BYTES} bytes of JSON at most.", MOST_BYTES)
_TOO_DEEP = BrokenRule(
    InputProblemCode.TOO_DEEP, f"May have {MOST_LEVELS} levels of objects and lists at most.", MOST_LEVELS
)
_NOT_A_NUMBER = BrokenRule(InputProblemCode.NOT_STORABLE, "NaN and Infinity are no JSON.")
_NUMBER_OUT_OF_RANGE = BrokenRule(
    InputProblemCode.NOT_STORABLE,
    f"The number may have {MOST_DIGITS_BEFORE_POINT} digits before the point and {MOST_DIGITS_AFTER_POINT} after it.",
)


def _rule_broken_by(number: float | Decimal) -> BrokenRule | None:
    """Check one number. An infinite Decimal was written with too large an exponent, an infinite float is no number."""
    if isinstance(number, float):
        return None if math.isfinite(number) else _NOT_A_NUMBER
    exact = Decimal(number)
    if exact.is_nan():
        return _NOT_A_NUMBER
    exponent = exact.as_tuple().exponent
    fits = (
        isinstance(exponent, int)
        and -exponent <= MOST_DIGITS_AFTER_POINT
        and exact.adjusted() < MOST_DIGITS_BEFORE_POINT
    )
    return None if fits else _NUMBER_OUT_OF_RANGE


def _number_text(number: float | Decimal) -> str:
    """Return the JSON of a finite number. Decimal writes an int of more digits than Python's int converts."""
    try:
        return str(number)
    except ValueError:
        return str(Decimal(number))


def _object_to_patch(target: Any) -> dict[str, Any]:
    return dict(target) if isinstance(target, dict) else {}


def _comparable(value: Any) -> Any:
    """Replace numbers by their text in a tuple, which equals no other JSON value; dicts compare without order."""
    match value:
        case dict():
            return {key: _comparable(member) for key, member in value.items()}
        case list():
            return [_comparable(item) for item in value]
        case None | bool() | str():
            return value
        case _:
            return (_number_text(value),)
