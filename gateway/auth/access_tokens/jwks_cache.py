"""The issuer's keys: fetched again before they are old, by one request at a time, and never too often."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.auth.access_tokens.errors import Reason, TokenRefused
from gateway.auth.access_tokens.jwks_client import IssuerUnreachable, JwksClient
from gateway.auth.access_tokens.signatures import PublicKey

LOG = logging.getLogger("gateway.authentication")

MAX_KEYS = 64
REFRESH_SECONDS = 300.0
LOOKUP_SECONDS = 5.0
"""Between two fetches for an unknown key id: any client can invent one. Each fetch serves all that ask, so that made-up
ids delay a new key's first token by so much, and no longer."""
MAX_RETRY_SECONDS = 30.0
MIN_MODULUS_CHARACTERS = 342
"""Of a modulus of 2048 bits in base64url; shorter keys are not safe (NIST SP 800-131A)."""
_KEY_TYPES: dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
"""No `oct`: a published key is no secret."""


@dataclass(slots=True, eq=False)
class JwksCache:
    """The keys of one issuer, fetched again when they are old, and used until they are stale.

    An issuer that does not answer matters only once the keys are stale: after six hours.
    """

    client: JwksClient
    stale_seconds: float = field(default=21_600.0, kw_only=True)
    clock: Callable[[], float] = field(default=time.monotonic, kw_only=True)
    generation: int = field(default=0, init=False)
    """Grows whenever the set of keys changes."""
    _published: list[Any] = field(default_factory=list, init=False)
    _keys: tuple[PublicKey, ...] = field(default=(), init=False)
    _fetched_at: float = field(default=float("-inf"), init=False)
    _retry_at: float = field(default=float("-inf"), init=False)
    _failures: int = field(default=0, init=False)
    _looked_up_at: float = field(default=float("-inf"), init=False)
    _fetching: "asyncio.Task[None] | None" = field(default=None, init=False)

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            with suppress(asyncio.CancelledError):
                await self._fetching
        await self.client.http.aclose()

    async def matching(self, key_id: str | None) -> tuple[PublicKey, ...]:
        """Return the keys with this id, or all keys for a token without one. Raises TokenRefused if there are none."""
        await self._refresh()
        keys = self._with_id(key_id)
        if not keys and self._fetching is not None:
            await self._fetched()  # this fetch may have begun before the key was published
            keys = self._with_id(key_id)
        if not keys and self._may_look_up():
            await self._fetched()
            keys = self._with_id(key_id)
        if not keys:
            # While the issuer does not answer, an invented key id looks like that of a new key.
            raise TokenRefused(Reason.ISSUER_UNAVAILABLE if self._failures else Reason.UNKNOWN_KEY)
        return keys

    def _with_id(self, key_id: str | None) -> tuple[PublicKey, ...]:
        return self._keys if key_id is None else tuple(key for key in self._keys if key.kid == key_id)

    async def _refresh(self) -> None:
        if self._age >= self.stale_seconds:
            if self._may_fetch:
                await self._fetched()
            if self._age >= self.stale_seconds:
                raise TokenRefused(Reason.ISSUER_UNAVAILABLE)
        elif self._age >= REFRESH_SECONDS and self._may_fetch:
            self.fetch()

    @property
    def _age(self) -> float:
        return self.clock() - self._fetched_at

    @property
    def _may_fetch(self) -> bool:
        """Whether a fetch is running, or the pause after a failed one is over."""
        return self._fetching is not None or self.clock() >= self._retry_at

    def _may_look_up(self) -> bool:
        """Return whether an unknown key id may cause a fetch now, and count it."""
        if self._fetching is not None:
            return True
        now = self.clock()
        if now - self._looked_up_at < LOOKUP_SECONDS or not self._may_fetch:
            return False
        self._looked_up_at = now
        return True

    async def _fetched(self) -> None:
        fetching = self.fetch()
        await asyncio.wait({fetching})  # cancelling one that waits leaves the fetch running

    def fetch(self) -> asyncio.Task[None]:
        """Return the running fetch, or begin one."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        try:
            published = await self.client.keys()
        except IssuerUnreachable as error:
            self._note_failure(error)
        else:
            if published != self._published:
                self._published, self._keys = published, usable_keys(published)
                self.generation += 1
                LOG.info("issuer_keys_changed kids=%s", ",".join(ascii(key.kid) for key in self._keys))
            self._failures = 0
            self._fetched_at = self.clock()
        finally:
            self._fetching = None

    def _note_failure(self, error: IssuerUnreachable) -> None:
        pause = min(2.0**self._failures, MAX_RETRY_SECONDS)
        self._failures += 1
        self._retry_at = self.clock() + pause
        LOG.warning(
            "issuer_unreachable failures=%d next_try_seconds=%g keys_live_seconds=%.0f: %s",
            self._failures,
            pause,
            max(self.stale_seconds - self._age, 0.0),
            error,
        )


def usable_keys(published: Iterable[Any]) -> tuple[PublicKey, ...]:
    """Return the members of a published set that can verify signatures; log why others are ignored."""
    keys = []
    for member in published:
        try:
            keys.append(_public_key(member))
        except Exception as error:  # noqa: BLE001 - a member can be anything, and must not spoil the others
            kid = member.get("kid") if isinstance(member, dict) else None
            LOG.warning("issuer_key_ignored kid=%.80s: %s %s", ascii(kid), type(error).__name__, error)
    return tuple(keys[:MAX_KEYS])


def _public_key(member: dict[str, Any]) -> PublicKey:
    if "d" in member:
        raise ValueError("a private key was published, and proves nothing any more")
    if member["kty"] == RSAKey.key_type and len(member["n"]) < MIN_MODULUS_CHARACTERS:
        raise ValueError("an RSA key of fewer than 2048 bits")
    key = _KEY_TYPES[member["kty"]].import_key(member)
    key.check_use("sig")
    key.check_key_op("verify")
    return key
