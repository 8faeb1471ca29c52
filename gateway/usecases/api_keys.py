"""API keys: issued and revoked by the platform, and turned into principals at the door."""

import hmac
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.domain.api_keys import ApiKey, digest_of, new_secret, prefix_of
from gateway.domain.errors import ApiKeyNotFound, BadUserInput, Unauthenticated
from gateway.domain.policy import require_platform
from gateway.domain.principals import Principal, PrincipalKind
from gateway.domain.text import checked_text
from gateway.storage.api_keys import (
    insert_api_key,
    revoke_api_key,
    select_api_key,
    select_api_keys,
    select_ended_api_keys,
    touch_api_keys,
)
from gateway.storage.database import Connection, read, transaction
from gateway.usecases.marketplace import find_application, require_account
from gateway.usecases.services import Services

LONGEST_LABEL = 200
REMEMBERED_KEYS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuedApiKey:
    """A new key, with the secret that is never seen again."""

    api_key: ApiKey
    secret: str


async def issue_key(
    services: Services,
    principal: Principal,
    *,
    kind: PrincipalKind,
    application_id: UUID | None,
    account_id: UUID | None,
    label: str,
    expires_at: datetime | None,
) -> IssuedApiKey:
    """Make a key for the platform, for an application (and optionally one account), or for an account.

    Raises:
        Forbidden: The caller is not the platform.
        BadUserInput: The ids do not fit the kind, the label is out of bounds, or the expiry is not in the future.
        ApplicationNotFound: There is no such application.
        AccountNotFound: There is no such account.
    """
    require_platform(principal, intention="issue API keys")
    _require_fitting(kind, application_id=application_id, account_id=account_id)
    now, secret = services.now(), new_secret()
    if expires_at is not None and expires_at <= now:
        raise BadUserInput("expiresAt must be in the future.", argument="expiresAt")
    api_key = ApiKey(
        id=services.new_id(),
        prefix=prefix_of(secret) or "",
        digest=digest_of(secret),
        kind=kind,
        application_id=application_id,
        account_id=account_id,
        label=checked_text(label, name="label", most=LONGEST_LABEL),
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
        last_used_at=None,
    )
    async with transaction(services.database) as connection:
        await _require_known(connection, api_key=api_key)
        await insert_api_key(connection, api_key)
    return IssuedApiKey(api_key=api_key, secret=secret)


def _require_fitting(kind: PrincipalKind, *, application_id: UUID | None, account_id: UUID | None) -> None:
    if not kind.fits(application_id=application_id, account_id=account_id):
        raise BadUserInput(
            "A key is for PLATFORM (without ids), for APPLICATION (with its applicationId, and an accountId to bind it"
            f" to one account), or for ACCOUNT (with its accountId alone); these ids do not fit {kind.value}.",
            argument="kind",
        )


async def _require_known(connection: Connection, *, api_key: ApiKey) -> None:
    if api_key.application_id is not None:
        await find_application(connection, application_id=api_key.application_id)
    if api_key.account_id is not None:
        await require_account(connection, account_id=api_key.account_id)


async def revoke_key(services: Services, principal: Principal, *, api_key_id: UUID) -> tuple[ApiKey, datetime]:
    """End a key, and tell since when every gateway refuses it. Revoking again answers the first time.

    Raises:
        Forbidden: The caller is not the platform.
        ApiKeyNotFound: There is no such key.
    """
    require_platform(principal, intention="revoke API keys")
    async with transaction(services.database) as connection:
        api_key = await revoke_api_key(connection, api_key_id=api_key_id, now=services.now())
        if api_key is None or api_key.revoked_at is None:
            raise ApiKeyNotFound(api_key_id)
    return api_key, api_key.revoked_at


async def list_keys(services: Services, principal: Principal) -> list[ApiKey]:
    """List all keys, oldest first, without their secrets.

    Raises:
        Forbidden: The caller is not the platform.
    """
    require_platform(principal, intention="list API keys")
    return await read(services.database, select_api_keys)


async def find_ended_keys(services: Services, principal_ids: Collection[str]) -> set[str]:
    """Tell which of these principals came by a key that was revoked, or has expired, since."""
    ids = [key_id for one in principal_ids if (key_id := _key_id(one)) is not None]
    if not ids:
        return set()
    ended = await read(services.database, select_ended_api_keys, ids=ids, now=services.now())
    return {str(key_id) for key_id in ended}


def _key_id(principal_id: str) -> UUID | None:
    try:
        return UUID(principal_id)
    except ValueError:
        return None  # an access token's subject


class ApiKeyCache:
    """The keys that callers have shown lately, so that not every request asks the database.

    A revocation empties every ring by notification; should that be lost, a key is looked up anew after
    `remember_seconds` at the latest.
    """

    def __init__(self, services: Services, *, remember_seconds: float = 2.0) -> None:
        self._gateway = services
        self._remember_seconds = remember_seconds
        self._known: dict[bytes, tuple[ApiKey, float]] = {}
        self._used: dict[UUID, datetime] = {}

    async def authenticate(self, secret: str) -> Principal:
        """Tell who shows this key.

        Raises:
            Unauthenticated: No key in force has this secret.
        """
        api_key = await self._find(secret)
        now = self._gateway.now()
        if api_key is None or not api_key.opens(secret, now=now):
            raise Unauthenticated("The API key is not known, has expired, or was revoked.")
        self._used[api_key.id] = now
        return api_key.principal

    async def _find(self, secret: str) -> ApiKey | None:
        prefix = prefix_of(secret)
        if prefix is None:
            return None
        digest = digest_of(secret)
        api_key, loaded_at = self._known.get(digest, (None, 0.0))
        if api_key is not None and time.monotonic() - loaded_at < self._remember_seconds:
            return api_key
        api_key = await read(self._gateway.database, select_api_key, prefix=prefix)
        if len(self._known) >= REMEMBERED_KEYS:
            self._known.clear()
        if api_key is not None and hmac.compare_digest(api_key.digest, digest):
            self._known[digest] = (api_key, time.monotonic())
        return api_key

    def forget(self) -> None:
        """Look every key up anew: some were revoked."""
        self._known.clear()

    async def note_use(self) -> None:
        """Store when the keys shown since the last time were last used."""
        used, self._used = self._used, {}
        if used:
            async with transaction(self._gateway.database) as connection:
                await touch_api_keys(connection, used=used)
