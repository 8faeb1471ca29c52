"""The rules for an installation's metadata, and their violations."""

import enum
from dataclasses import dataclass

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
MOST_VIOLATIONS = 100
"""The check stops after so many."""


class MetadataRule(enum.Enum):
    """A rule that metadata can violate."""

    NOT_AN_OBJECT = "NOT_AN_OBJECT"
    TOO_MANY_KEYS = "TOO_MANY_KEYS"
    KEY_TOO_LONG = "KEY_TOO_LONG"
    TOO_LARGE = "TOO_LARGE"
    TOO_DEEP = "TOO_DEEP"
    """What is below the first level too many is neither checked nor counted in the size."""
    NUL_CHARACTER = "NUL_CHARACTER"
    """A key or a string contains U+0000, which Postgres' text cannot store."""
    LONE_SURROGATE = "LONE_SURROGATE"
    """A key or a string contains half of a surrogate pair, which UTF-8 cannot represent."""
    NOT_A_NUMBER = "NOT_A_NUMBER"
    """NaN, Infinity or -Infinity, which are not JSON."""
    NUMBER_OUT_OF_RANGE = "NUMBER_OUT_OF_RANGE"
    """More digits before or after the point than Postgres' numeric allows."""


_LIMITS = {
    MetadataRule.TOO_MANY_KEYS: MOST_KEYS,
    MetadataRule.KEY_TOO_LONG: MOST_KEY_CHARACTERS,
    MetadataRule.TOO_LARGE: MOST_BYTES,
    MetadataRule.TOO_DEEP: MOST_LEVELS,
}

Place = tuple[str | int, ...]
"""The keys and indices from the metadata object to a value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetadataViolation:
    r"""One rule violated at one place.

    `path` is a JSON Pointer (RFC 6901), "" for the metadata object. It is safe to display: characters that do not print
    are written as `\uXXXX`, and a key that is too long is cut, with an ellipsis.
    """

    path: str
    rule: MetadataRule
    limit: int | None

    @classmethod
    def at(cls, place: Place, *, rule: MetadataRule) -> "MetadataViolation":
        """Return the violation of `rule` at `place`, with the rule's limit."""
        return cls(path="".join(f"/{_token(step)}" for step in place), rule=rule, limit=_LIMITS.get(rule))


def _token(step: str | int) -> str:
    key = str(step)
    if len(key) > MOST_KEY_CHARACTERS:
        key = f"{key[:MOST_KEY_CHARACTERS]}…"
    key = key.replace("~", "~0").replace("/", "~1")
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in key)
