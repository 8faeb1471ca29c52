"""API keys: the platform issues and revokes them, and callers authenticate by them."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from cachetools import TTLCache

from gateway.domain.api_keys import ApiKey, new_secret, prefix_of
from gateway.domain.errors import ApiKeyNotFound, BadUserInput, Unauthenticated
from gateway.domain.policy import require_platform
from gateway.domain.principals import Principal, PrincipalKind
from gateway.domain.text import checked_text, sha256_of
from gateway.storage.api_keys import (
    insert_api_key,
    revoke_api_key,
    select_api_keys,
    select_api_keys_by_prefix,
    select_ended_api_keys,
    touch_api_keys,
)
from gateway.storage.database import read, transaction
from gateway.usecases.batch_loader import BatchLoader, MappedFuture
from gateway.usecases.marketplace import find_application, require_account
from gateway.usecases.services import Services

LONGEST_LABEL = 200
MOST_CACHED_KEYS = 10_000
_IDS_DO_NOT_FIT = (
    "A key is for PLATFORM (without ids), for APPLICATION (with its applicationId, and an accountId to bind it to one"
    " account), or for ACCOUNT (with its accountId alone); these ids do not fit {}."
)
_INVALID = "The API key is not known, has expired, or was revoked."


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuedApiKey:
    """A new key, with its secret, which is not stored."""

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
    """Issue a key for the platform, for an application (and optionally one account), or for an account.

    Raises Forbidden, ApplicationNotFound and AccountNotFound; BadUserInput where the ids do not fit the kind, the label
    is out of bounds, or the expiry is past.
    """
    require_platform(principal, intention="issue API keys")
    if not kind.fits(application_id=application_id, account_id=account_id):
        raise BadUserInput(_IDS_DO_NOT_FIT.format(kind.value), argument="kind")
    services.require_future(expires_at)
    secret = new_secret()
    api_key = ApiKey(
        id=services.new_id(),
        prefix=prefix_of(secret) or "",
        digest=sha256_of(secret),
        kind=kind,
        application_id=application_id,
        account_id=account_id,
        label=checked_text(label, name="label", most=LONGEST_LABEL),
        created_at=services.now(),
        expires_at=expires_at,
    )
    async with transaction(services.database) as connection:
        if application_id is not None:
            await find_application(connection, application_id=application_id)
        if account_id is not None:
            await require_account(connection, account_id=account_id)
        await insert_api_key(connection, api_key)
    return IssuedApiKey(api_key=api_key, secret=secret)


async def revoke_key(services: Services, principal: Principal, *, api_key_id: UUID) -> tuple[ApiKey, datetime]:
    """Revoke a key, and return it with the time of its first revocation.

    Raises Forbidden and ApiKeyNotFound.
    """
    require_platform(principal, intention="revoke API keys")
    async with transaction(services.database) as connection:
        api_key = await revoke_api_key(connection, api_key_id=api_key_id, now=services.now())
        if api_key is None or api_key.revoked_at is None:
            raise ApiKeyNotFound(api_key_id)
    return api_key, api_key.revoked_at


async def list_keys(services: Services, principal: Principal) -> list[ApiKey]:
    """Return all keys, oldest first, without their secrets. Raises Forbidden."""
    require_platform(principal, intention="list API keys")
    return await read(services.database, select_api_keys)


async def find_ended_keys(services: Services, principal_ids: Collection[str]) -> set[str]:
    """Return which of these principals authenticated by a key that is revoked or expired now."""
    ids = [key_id for principal_id in principal_ids if (key_id := _key_id(principal_id)) is not None]
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
    """Authenticates by API keys, and caches the valid ones so that not every request reads the database.

    A revocation notifies every gateway, which clears its cache. Should the notification be lost, the entry expires
    after `ttl_seconds`.

    Keys that are not cached are read by one statement at a time, those of all callers together: made-up ones take one
    connection at most, and delay nobody else's.
    """

    def __init__(self, services: Services, *, ttl_seconds: float = 2.0) -> None:
        self._services = services
        self._cache: TTLCache[bytes, tuple[UUID, Principal]] = TTLCache(MOST_CACHED_KEYS, ttl_seconds)
        self._last_used: dict[UUID, datetime] = {}
        self._loader = BatchLoader(services.database, select_api_keys_by_prefix, limiter=asyncio.Semaphore(1))

    async def authenticate(self, secret: str) -> Principal:
        """Return the principal of a key.

        Raises:
            Unauthenticated: No valid key has this secret.
        """
        # By the digest, so that no secret stays in memory.
        digest = sha256(secret.encode(errors="surrogatepass")).digest()
        now = self._services.now()
        cached = self._cache.get(digest)
        if cached is None:
            cached = self._cache[digest] = await self._find(secret, now=now)
        key_id, principal = cached
        if principal.expires_at is not None and principal.expires_at <= now:
            raise Unauthenticated(_INVALID)
        self._last_used[key_id] = now
        return principal

    async def _find(self, secret: str, *, now: datetime) -> tuple[UUID, Principal]:
        prefix = prefix_of(secret)
        api_key = None
        if prefix is not None:
            api_key = await MappedFuture(self._loader.load(prefix), lambda keys: keys.get(prefix))
        if api_key is None or not api_key.is_valid(secret, now=now):
            raise Unauthenticated(_INVALID)
        return api_key.id, api_key.principal

    def clear(self) -> None:
        """Read every key anew: some were revoked."""
        self._cache.clear()

    async def store_last_used(self) -> None:
        """Store when keys were last used, of those used since the last call."""
        used, self._last_used = self._last_used, {}
        if used:
            async with transaction(self._services.database) as connection:
                await touch_api_keys(connection, used=used)
