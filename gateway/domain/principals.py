"""Who is calling: a kind and up to two bounds."""

import enum
from dataclasses import dataclass
from uuid import UUID


class PrincipalKind(enum.Enum):
    """What sort of caller acts."""

    PLATFORM = "PLATFORM"
    """The spend-management platform itself; it has no bound."""
    APPLICATION = "APPLICATION"
    """A third-party application, bound to itself and, optionally, to one account."""
    ACCOUNT = "ACCOUNT"
    """A user of one company's account."""
    SYSTEM = "SYSTEM"
    """The gateway's own clock; no key is ever issued for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """A caller. What it may see matches every bound that is set."""

    kind: PrincipalKind
    application_id: UUID | None = None
    account_id: UUID | None = None
    id: str | None = None
    """The credential's own identifier, as it stands in the log of events."""
    label: str | None = None

    @property
    def bounds(self) -> tuple[PrincipalKind, UUID | None, UUID | None]:
        """All that visibility depends on: callers with equal bounds see the same."""
        return (self.kind, self.application_id, self.account_id)

    def sees(self, *, application_id: UUID, account_id: UUID) -> bool:
        """Tell whether a row of this application and account is visible."""
        return self.application_id in {None, application_id} and self.account_id in {None, account_id}


CLOCK = Principal(kind=PrincipalKind.SYSTEM, label="clock")
