"""API keys: the platform issues and revokes them, and callers authenticate by them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from time import monotonic
from uuid import UUID

from gateway.domain.api_keys import ApiKey, new_secret, prefix_of
from gateway.domain.cursors import Keyset
from gateway.domain.errors import ApiKeyNotFound, Unauthenticated
from gateway.domain.input_checks import Id, InputCheck
from gateway.domain.input_problems import BrokenRule, InputProblemCode
from gateway.domain.pages import ApiKeyFilter, Page, Window
from gateway.domain.policy import require_platform
from gateway.domain.principals import BOUNDS, Principal, PrincipalKind
from gateway.domain.text import sha256_of, text_problems
from gateway.storage.api_keys import (
    count_api_keys,
    insert_api_key,
    revoke_api_key,
    select_api_key_page,
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
_TTL_SECONDS = 2.0
_NO_KIND_OF_KEY = BrokenRule(InputProblemCode.MALFORMED, "No key is issued for the gateway itself.")
_NEEDED = BrokenRule(InputProblemCode.REQUIRED, "A key of this kind needs it.")
_NOT_FITTING = BrokenRule(InputProblemCode.CONFLICTING, "A key of this kind is not bound to one: leave it out.")
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
    application_id: Id | None,
    account_id: Id | None,
    label: str,
    expires_at: datetime | None,
) -> IssuedApiKey:
    """Issue a key for the platform, for an application (and optionally one account), or for an account.

    Raises Forbidden, InvalidInput, ApplicationNotFound and AccountNotFound.
    """
    require_platform(principal, intention="issue API keys")
    check = InputCheck()
    application_id, account_id = _bounds(check, kind, application_id=application_id, account_id=account_id)
    check.report(("label",), *text_problems(label, most=LONGEST_LABEL))
    services.check_expiry(check, expires_at)
    check.finish()
    secret = new_secret()
    api_key = ApiKey(
        id=services.new_id(),
        prefix=prefix_of(secret) or "",
        digest=sha256_of(secret),
        kind=kind,
        application_id=application_id,
        account_id=account_id,
        label=label,
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


def _bounds(
    check: InputCheck, kind: PrincipalKind, *, application_id: Id | None, account_id: Id | None
) -> tuple[UUID | None, UUID | None]:
    """Return the ids that a key of this kind is bound to; those that it lacks, or must not have, are reported."""
    if kind not in BOUNDS:
        check.report(("kind",), _NO_KIND_OF_KEY)
    given = {"applicationId": application_id, "accountId": account_id}
    for (name, value), needed in zip(given.items(), BOUNDS.get(kind, (None, None)), strict=True):
        if needed not in {None, value is not None}:
            check.report((name,), _NEEDED if needed else _NOT_FITTING)
    return check.optional_id(application_id, "applicationId"), check.optional_id(account_id, "accountId")


async def revoke_key(services: Services, principal: Principal, *, api_key_id: Id) -> ApiKey:
    """Revoke a key, and return it with the time of its first revocation.

    Raises Forbidden, InvalidInput and ApiKeyNotFound.
    """
    require_platform(principal, intention="revoke API keys")
    check = InputCheck()
    api_key_id = check.id(api_key_id, "id")
    check.finish()
    async with transaction(services.database) as connection:
        api_key = await revoke_api_key(connection, api_key_id=api_key_id, now=services.now())
        if api_key is None:
            raise ApiKeyNotFound(api_key_id)
    return api_key


async def list_keys(services: Services, principal: Principal) -> list[ApiKey]:
    """Return all keys, oldest first, without their secrets. Raises Forbidden."""
    require_platform(principal, intention="list API keys")
    return await read(services.database, select_api_keys)


async def list_api_keys(
    services: Services, principal: Principal, *, matching: ApiKeyFilter, window: Window[Keyset]
) -> Page[ApiKey]:
    """Read one page of the keys, newest first. Raises Forbidden."""
    require_platform(principal, intention="list API keys")
    now = services.now()
    return window.page(await read(services.database, select_api_key_page, matching=matching, window=window, now=now))


async def count_listed_api_keys(services: Services, principal: Principal, *, matching: ApiKeyFilter) -> int:
    """Count the keys that match. Raises Forbidden."""
    require_platform(principal, intention="list API keys")
    return await read(services.database, count_api_keys, matching=matching, now=services.now())


async def find_ended_keys(services: Services, ids: Collection[UUID]) -> set[UUID]:
    """Return which of these keys are revoked or expired now."""
    return await read(services.database, select_ended_api_keys, ids=ids, now=services.now())


@dataclass(slots=True, eq=False)
class _CachedKey:
    key_id: UUID
    principal: Principal
    stale_at: float
    """In seconds of `monotonic`."""


class ApiKeyCache:
    """Authenticates by API keys, and caches the valid ones so that not every request reads the database.

    A revocation notifies every gateway, which clears its cache. Should the notification be lost, the entry expires
    after _TTL_SECONDS.

    Keys that are not cached are read by one statement at a time, those of all callers together: made-up ones take one
    connection at most, and delay nobody else's.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._cache: dict[bytes, _CachedKey] = {}
        """By the digest, so that no secret stays in memory; those that were read first come first."""
        self._used: dict[_CachedKey, datetime] = {}
        self._loader = BatchLoader(services.database, select_api_keys_by_prefix)

    async def authenticate(self, secret: str) -> Principal:
        """Return the principal of a key.

        Raises:
            Unauthenticated: No valid key has this secret.
        """
        written = secret.encode(errors="surrogatepass")
        if (principal := self.known(written)) is not None:
            return principal
        api_key = await self._find(secret)
        digest = sha256(written).digest()
        self._cache.pop(digest, None)
        if len(self._cache) >= MOST_CACHED_KEYS:
            del self._cache[next(iter(self._cache))]
        cached = _CachedKey(api_key.id, api_key.principal, monotonic() + _TTL_SECONDS)
        self._cache[digest] = cached
        self._used[cached] = self._services.now()
        return cached.principal

    def known(self, secret: bytes) -> Principal | None:
        """Return the principal of a cached key; None where it is not cached, or no longer valid."""
        cached = self._cache.get(sha256(secret).digest())
        if cached is None or cached.stale_at <= monotonic():
            return None
        principal, now = cached.principal, self._services.now()
        if principal.expires_at is not None and principal.expires_at <= now:
            return None
        self._used[cached] = now
        return principal

    async def _find(self, secret: str) -> ApiKey:
        prefix, now = prefix_of(secret), self._services.now()
        api_key: ApiKey | None = None
        if prefix is not None:
            api_key = await MappedFuture(self._loader.load(prefix), prefix)
        if api_key is None or not api_key.is_valid(secret, now=now):
            raise Unauthenticated(_INVALID)
        return api_key

    def clear(self) -> None:
        """Read every key anew: some were revoked."""
        self._cache.clear()

    async def store_last_used(self) -> None:
        """Store when keys were last used, of those used since the last call."""
        used, self._used = self._used, {}
        if used:
            last_used = {cached.key_id: now for cached, now in used.items()}  # in the order of their use
            async with transaction(self._services.database) as connection:
                await touch_api_keys(connection, used=last_used)
