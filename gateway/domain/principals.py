"""Principals: a kind of caller, and up to two bounds."""

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never
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

    def fits(self, *, application_id: UUID | None, account_id: UUID | None) -> bool:
        """Return whether a credential of this kind may have these bounds."""
        match self:
            case PrincipalKind.PLATFORM:
                return application_id is None and account_id is None
            case PrincipalKind.APPLICATION:
                return application_id is not None
            case PrincipalKind.ACCOUNT:
                return application_id is None and account_id is not None
            case PrincipalKind.SYSTEM:
                return False
            case _:
                assert_never(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """A caller. It sees what matches every bound that is set."""

    kind: PrincipalKind
    application_id: UUID | None = None
    account_id: UUID | None = None
    id: str | None = None
    """The credential's identifier, as it is stored in the event log."""
    label: str | None = None
    expires_at: datetime | None = None
    """When the credential expires, and with it every stream that it opened; None: only a revocation ends it."""

    @property
    def bounds(self) -> tuple[PrincipalKind, UUID | None, UUID | None]:
        """Everything that visibility depends on: principals with equal bounds see the same."""
        return (self.kind, self.application_id, self.account_id)

    def has_expired(self, *, now: datetime) -> bool:
        """Return whether the credential has expired."""
        return self.expires_at is not None and self.expires_at <= now


CLOCK = Principal(kind=PrincipalKind.SYSTEM, label="clock")
