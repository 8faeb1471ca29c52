"""An installation's metadata: how it is checked, encoded, merged and compared.

It is stored as JSON text, and returned equal to what was sent: numbers as they were written, characters unescaped,
keys in their order; only whitespace between tokens and needless escapes are lost.
"""

import math
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

from gateway.domain.errors import MetadataRejected
from gateway.domain.json_text import read_json
from gateway.domain.metadata_rules import (
    MOST_BYTES,
    MOST_DIGITS_AFTER_POINT,
    MOST_DIGITS_BEFORE_POINT,
    MOST_KEY_CHARACTERS,
    MOST_KEYS,
    MOST_LEVELS,
    MOST_VALUES,
    MOST_VIOLATIONS,
    MetadataRule,
    MetadataViolation,
    Place,
)
from gateway.domain.text import has_lone_surrogate

_CONSTANTS = {None: "null", True: "true", False: "false"}


def encode_metadata(value: object) -> str:
    """Return the text to store, which both `json` and `jsonb` of Postgres accept.

    Raises MetadataRejected with all violations, at most MOST_VIOLATIONS; TypeError for what is no JSON value.
    """
    encoder = _Encoder()
    if isinstance(value, dict):
        text = encoder.encode_whole(value)
    else:
        encoder.report(MetadataRule.NOT_AN_OBJECT, ())
    if encoder.violations:
        raise MetadataRejected(tuple(encoder.violations))
    return text


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
    old, new = (_comparable(decode_metadata(side) if isinstance(side, str) else side) for side in (before, after))
    return tuple(
        sorted(key for key in old.keys() | new.keys() if key not in old or key not in new or old[key] != new[key])
    )


class _Encoder:
    """Writes a value as text and collects its violations, in one pass."""

    __slots__ = ("values_left", "violations")

    def __init__(self) -> None:
        self.violations: dict[MetadataViolation, None] = {}
        """In the order found, each once: a key and its value may violate the same rule at the same path."""
        self.values_left = MOST_VALUES

    def report(self, rule: MetadataRule, place: Place) -> None:
        self.violations[MetadataViolation.at(place, rule=rule)] = None
        if len(self.violations) == MOST_VIOLATIONS:
            raise MetadataRejected(tuple(self.violations))

    def encode_whole(self, metadata: dict[str, object]) -> str:
        if len(metadata) > MOST_KEYS:
            self.report(MetadataRule.TOO_MANY_KEYS, ())
        text = self._encode_object(metadata, (), 1)
        if len(text.encode(errors="surrogatepass")) > MOST_BYTES:
            self.report(MetadataRule.TOO_LARGE, ())
        return text

    def _encode(self, value: object, place: Place, level: int) -> str:
        self.values_left -= 1
        if self.values_left < 0:
            self.report(MetadataRule.TOO_LARGE, ())
            raise MetadataRejected(tuple(self.violations))
        match value:
            case str():
                return self._encode_string(value, place)
            case None | bool():
                return _CONSTANTS[value]
            case int() | Decimal() | float():
                return self._encode_number(value, place)
            case dict() | list() if level > MOST_LEVELS:
                self.report(MetadataRule.TOO_DEEP, place)
                return "null"
            case dict():
                return self._encode_object(value, place, level)
            case list():
                items = [self._encode(item, (*place, index), level + 1) for index, item in enumerate(value)]
                return f"[{','.join(items)}]"
            case _:
                raise TypeError(f"{type(value).__name__} is no JSON value")

    def _encode_object(self, value: dict[str, object], place: Place, level: int) -> str:
        members = []
        for key, member in value.items():
            inside = (*place, key)
            if len(key) > MOST_KEY_CHARACTERS:
                self.report(MetadataRule.KEY_TOO_LONG, inside)
            members.append(f"{self._encode_string(key, inside)}:{self._encode(member, inside, level + 1)}")
        return f"{{{','.join(members)}}}"

    def _encode_string(self, text: str, place: Place) -> str:
        if "\0" in text:
            self.report(MetadataRule.NUL_CHARACTER, place)
        if not text.isascii() and has_lone_surrogate(text):
            self.report(MetadataRule.LONE_SURROGATE, place)
        return encode_basestring(text)

    def _encode_number(self, number: float | Decimal, place: Place) -> str:
        rule = _rule_broken_by(number)
        if rule is not None:
            self.report(rule, place)
            return "null"
        return _number_text(number)


def _rule_broken_by(number: float | Decimal) -> MetadataRule | None:
    """Check one number. An infinite Decimal was written with too large an exponent, an infinite float is no number."""
    if isinstance(number, float):
        return None if math.isfinite(number) else MetadataRule.NOT_A_NUMBER
    exact = Decimal(number)
    if exact.is_nan():
        return MetadataRule.NOT_A_NUMBER
    exponent = exact.as_tuple().exponent
    fits = (
        isinstance(exponent, int)
        and -exponent <= MOST_DIGITS_AFTER_POINT
        and exact.adjusted() < MOST_DIGITS_BEFORE_POINT
    )
    return None if fits else MetadataRule.NUMBER_OUT_OF_RANGE


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
