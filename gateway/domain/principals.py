"""Principals: a kind of caller, and up to two bounds."""

import enum
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


class PrincipalKind(enum.Enum):
    """The kind of a caller."""

    PLATFORM = "PLATFORM"
    """The spend-management platform; it has no bound."""
    APPLICATION = "APPLICATION"
    """A third-party application, bound to itself and optionally to one account."""
    ACCOUNT = "ACCOUNT"
    """A user of one account."""
    SYSTEM = "SYSTEM"
    """The gateway itself, where it expires installations; no credential is issued for it."""

    __hash__ = object.__hash__  # they are equal by identity; Enum's own is in Python, and takes ten times as long

    def fits(self, *, application_id: UUID | None, account_id: UUID | None) -> bool:
        """Return whether a credential of this kind may have these bounds."""
        given = (application_id is not None, account_id is not None)
        return self in BOUNDS and all(needed in {None, has} for needed, has in zip(BOUNDS[self], given, strict=True))


BOUNDS: dict[PrincipalKind, tuple[bool | None, bool | None]] = {
    PrincipalKind.PLATFORM: (False, False),
    PrincipalKind.APPLICATION: (True, None),
    PrincipalKind.ACCOUNT: (False, True),
}
"""Whether a credential of the kind has an application, and an account; None: it may have one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """A caller. It sees what matches every bound that is set."""

    kind: PrincipalKind
    application_id: UUID | None = None
    account_id: UUID | None = None
    id: str | None = None
    """The credential's identifier, as it is stored in the event log."""
    label: str | None = None
    api_key_id: UUID | None = None
    """The API key that authenticated the caller; None: an access token did."""
    expires_at: datetime | None = None
    """When the credential expires, and with it every stream that it opened; None: only a revocation ends it."""
    bounds: tuple[PrincipalKind, UUID | None, UUID | None] = field(init=False, repr=False, compare=False)
    """Everything that visibility depends on: principals with equal bounds see the same."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "bounds", (self.kind, self.application_id, self.account_id))

    def has_expired(self, *, now: datetime) -> bool:
        """Return whether the credential has expired."""
        return self.expires_at is not None and self.expires_at <= now


CLOCK = Principal(kind=PrincipalKind.SYSTEM, label="clock")
