"""The rules for an installation's metadata."""

import enum
from dataclasses import dataclass


class MetadataRule(enum.Enum):
    """A rule that metadata can break."""

    NOT_AN_OBJECT = "NOT_AN_OBJECT"


@dataclass(frozen=True, kw_only=True, slots=True)
class MetadataViolation:
    path: str
    rule: MetadataRule
    limit: int | None
