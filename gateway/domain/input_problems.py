"""What can be wrong with a value that a caller sends to a mutation."""

import enum
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

MAX_PROBLEMS = 100
"""An input is refused with at most so many: the caller chooses how much is wrong."""
_MAX_KEY_CHARACTERS = 40

Path: TypeAlias = tuple[str | int, ...]
"""The fields, keys and places in lists that lead from the input to a value."""


class InputProblemCode(enum.Enum):
    """The kind of a problem."""

    REQUIRED = "REQUIRED"
    BLANK = "BLANK"
    TOO_LONG = "TOO_LONG"
    TOO_SHORT = "TOO_SHORT"
    TOO_LARGE = "TOO_LARGE"
    TOO_SMALL = "TOO_SMALL"
    TOO_MANY = "TOO_MANY"
    TOO_DEEP = "TOO_DEEP"
    MALFORMED = "MALFORMED"
    NOT_IN_FUTURE = "NOT_IN_FUTURE"
    NOT_AN_OBJECT = "NOT_AN_OBJECT"
    NOT_STORABLE = "NOT_STORABLE"
    CONFLICTING = "CONFLICTING"


class BrokenRule(NamedTuple):
    """A rule that a value breaks, wherever the value stands."""

    code: InputProblemCode
    message: str
    limit: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class InputProblem:
    r"""A rule that the value at a path breaks.

    The path is safe to display: characters that do not print are written as `\uXXXX`, and a key of metadata that is too
    long is cut, with an ellipsis.
    """

    path: tuple[str, ...]
    code: InputProblemCode
    message: str
    limit: int | None

    @classmethod
    def at(cls, path: Path, rule: BrokenRule) -> "InputProblem":
        """Return the problem of a value at `path` that breaks `rule`."""
        return cls(path=tuple(map(_displayed, path)), code=rule.code, message=rule.message, limit=rule.limit)


def _displayed(step: str | int) -> str:
    key = str(step)
    if len(key) > _MAX_KEY_CHARACTERS:
        key = f"{key[:_MAX_KEY_CHARACTERS]}…"
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in key)
