"""What an installation's metadata may be, and how a breach of that is named."""

import enum
from dataclasses import dataclass

MOST_KEYS = 50
"""On the top level; what lies deeper is bounded by the size alone."""
MOST_KEY_CHARACTERS = 40
"""Code points, on every level."""
MOST_BYTES = 16 * 1024
"""Of the stored text, in UTF-8, which has no space between its tokens."""
MOST_VALUES = MOST_BYTES // 2
"""What has more is too large, since each value takes a byte and a separator: the search ends there."""
MOST_LEVELS = 8
"""Objects and arrays inside each other; the metadata object itself is the first."""
MOST_DIGITS_BEFORE_POINT = 131_072
MOST_DIGITS_AFTER_POINT = 16_383
"""What Postgres' numeric holds, and with it jsonb (its manual, "Numeric Types").

Trailing zeros count, and so does the exponent of a zero.
"""
MOST_VIOLATIONS = 100
"""As many are reported at once; the search ends there."""


class MetadataRule(enum.Enum):
    """A rule that metadata can break."""

    NOT_AN_OBJECT = "NOT_AN_OBJECT"
    TOO_MANY_KEYS = "TOO_MANY_KEYS"
    KEY_TOO_LONG = "KEY_TOO_LONG"
    TOO_LARGE = "TOO_LARGE"
    TOO_DEEP = "TOO_DEEP"
    """What lies below the first level too many is not looked at, and not counted in the size."""
    NUL_CHARACTER = "NUL_CHARACTER"
    """A key or a string has U+0000, which Postgres' text cannot hold."""
    LONE_SURROGATE = "LONE_SURROGATE"
    """A key or a string has half of a surrogate pair, which no UTF-8 can hold."""
    NOT_A_NUMBER = "NOT_A_NUMBER"
    """NaN, Infinity or -Infinity, which JSON does not have."""
    NUMBER_OUT_OF_RANGE = "NUMBER_OUT_OF_RANGE"
    """More digits before or after the point than Postgres' numeric holds."""


_LIMITS = {
    MetadataRule.TOO_MANY_KEYS: MOST_KEYS,
    MetadataRule.KEY_TOO_LONG: MOST_KEY_CHARACTERS,
    MetadataRule.TOO_LARGE: MOST_BYTES,
    MetadataRule.TOO_DEEP: MOST_LEVELS,
}

Place = tuple[str | int, ...]
"""The keys and indices that lead from the whole to a value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetadataViolation:
    r"""One rule broken at one place.

    `path` is a JSON Pointer (RFC 6901), "" for the whole. It is safe to show: characters that do not print stand in it
    as `\uXXXX`, and of a key longer than allowed only the beginning, with an ellipsis.
    """

    path: str
    rule: MetadataRule
    limit: int | None

    @classmethod
    def at(cls, place: Place, *, rule: MetadataRule) -> "MetadataViolation":
        """Name the breach of `rule` at `place`, with the limit that the rule has."""
        return cls(path="".join(f"/{_token(step)}" for step in place), rule=rule, limit=_LIMITS.get(rule))


def _token(step: str | int) -> str:
    key = str(step)
    if len(key) > MOST_KEY_CHARACTERS:
        key = f"{key[:MOST_KEY_CHARACTERS]}…"
    key = key.replace("~", "~0").replace("/", "~1")
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in key)
