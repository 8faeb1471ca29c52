"""API keys: 256 random bits after a readable prefix; only its SHA-256 is stored, since they need no slow hash."""

import hmac
import secrets
from datetime import datetime
from uuid import UUID

from gateway.domain.principals import Principal, PrincipalKind
from gateway.domain.records import record
from gateway.domain.text import sha256_of

_MARK = "igw"
_PREFIX_BYTES, _SECRET_BYTES = 9, 32  # 12 and 43 characters of base64url


@record
class ApiKey:
    """A key as it is stored."""

    id: UUID
    prefix: str
    digest: bytes
    kind: PrincipalKind
    application_id: UUID | None
    account_id: UUID | None
    label: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def beginning(self) -> str:
        """The part of the key that may be shown, and that it is recognised by."""
        return f"{_MARK}_{self.prefix}"

    @property
    def principal(self) -> Principal:
        return Principal(
            kind=self.kind,
            application_id=self.application_id,
            account_id=self.account_id,
            id=str(self.id),
            label=self.label,
            api_key_id=self.id,
            expires_at=self.expires_at,
        )

    def is_valid(self, secret: str, *, now: datetime) -> bool:
        """Compare the secret, in constant time, and tell whether the key is neither revoked nor expired."""
        matches = hmac.compare_digest(self.digest, sha256_of(secret))
        return matches and self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def new_secret() -> str:
    """Return the text of a new key: `igw_<prefix>_<secret>`."""
    # "_" separates the parts, so the prefix must not have one; nor a "-", at which a double-click would end.
    prefix = secrets.token_urlsafe(_PREFIX_BYTES).replace("_", "x").replace("-", "y")
    return f"{_MARK}_{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def prefix_of(secret: str) -> str | None:
    """Return the part that a key is stored under; None where the text does not have a key's form."""
    mark, _, rest = secret.partition("_")
    prefix, _, hidden = rest.partition("_")
    return prefix if (mark, len(prefix), len(hidden)) == (_MARK, 12, 43) and secret.isascii() else None
