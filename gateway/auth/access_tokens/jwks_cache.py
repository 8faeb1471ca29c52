"""The issuer's keys, kept: fetched before they are old, once at a time, and never more often than is decent."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.auth.access_tokens.errors import Reason, TokenRefused
from gateway.auth.access_tokens.jwks_client import IssuerUnreachable, JwksClient
from gateway.auth.access_tokens.signatures import PublicKey

LOG = logging.getLogger("gateway.authentication")

MOST_KEYS = 64
MOST_LOOKUPS, LOOKUP_WINDOW_SECONDS = 5, 60.0
"""How often unknown key ids, which anybody can make up, may have the set fetched."""
LONGEST_PAUSE_SECONDS = 30.0
FEWEST_MODULUS_CHARACTERS = 342
"""Of a modulus of 2048 bits in base64url; keys that are shorter are not safe (NIST SP 800-131A)."""
_KEY_TYPES: dict[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
"""No `oct`: what is published is no secret."""


class JwksCache:
    """The keys of one issuer. They are fetched again when they are old, and used until they are stale.

    An issuer that does not answer matters only once the keys are stale: after six hours.
    """

    def __init__(
        self,
        client: JwksClient,
        *,
        refresh_seconds: float = 300.0,
        stale_seconds: float = 21_600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.generation = 0
        """Grows whenever the set of keys changes."""
        self._client = client
        self._refresh_seconds = refresh_seconds
        self._stale_seconds = stale_seconds
        self._clock = clock
        self._published: list[Any] = []
        self._keys: tuple[PublicKey, ...] = ()
        self._fetched_at = float("-inf")
        self._retry_at = float("-inf")
        self._failures = 0
        self._lookups: deque[float] = deque(maxlen=MOST_LOOKUPS)
        self._fetching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Fetch the keys, without waiting for them."""
        self._begin()

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            with suppress(asyncio.CancelledError):
                await self._fetching
        await self._client.close()

    async def matching(self, key_id: str | None) -> tuple[PublicKey, ...]:
        """Return the keys of this id, or all where a token names none. Raises TokenRefused where there are none."""
        await self._renew()
        if self._fetching is not None and not self._with(key_id):
            await self._fetched()  # which may have been asked for before the key was published
        if not self._with(key_id) and self._may_look_up():
            await self._fetched()
        keys = self._with(key_id)
        if not keys:
            # a new key of an issuer that does not answer cannot be told from one that is made up
            raise TokenRefused(Reason.ISSUER_UNAVAILABLE if self._failures else Reason.UNKNOWN_KEY)
        return keys

    def _with(self, key_id: str | None) -> tuple[PublicKey, ...]:
        return self._keys if key_id is None else tuple(key for key in self._keys if key.kid == key_id)

    async def _renew(self) -> None:
        if self._age >= self._stale_seconds:
            if self._may_fetch:
                await self._fetched()
            if self._age >= self._stale_seconds:
                raise TokenRefused(Reason.ISSUER_UNAVAILABLE)
        elif self._age >= self._refresh_seconds and self._may_fetch:
            self._begin()

    @property
    def _age(self) -> float:
        return self._clock() - self._fetched_at

    @property
    def _may_fetch(self) -> bool:
        """An issuer that failed is given a pause."""
        return self._fetching is not None or self._clock() >= self._retry_at

    def _may_look_up(self) -> bool:
        now = self._clock()
        if self._fetching is not None:
            return True
        recent = len(self._lookups) == MOST_LOOKUPS and now - self._lookups[0] < LOOKUP_WINDOW_SECONDS
        if recent or not self._may_fetch:
            return False
        self._lookups.append(now)
        return True

    async def _fetched(self) -> None:
        await asyncio.wait({self._begin()})  # whoever stops waiting does not stop the others' fetch

    def _begin(self) -> asyncio.Task[None]:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._end)
        return self._fetching

    def _end(self, _fetched: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _fetch(self) -> None:
        try:
            published = await self._client.keys()
        except IssuerUnreachable as error:
            self._note_failure(error)
            return
        if published != self._published:
            self._published, self._keys = published, usable_keys(published)
            self.generation += 1
            LOG.info("issuer_keys_changed kids=%s", ",".join(ascii(key.kid) for key in self._keys))
        self._failures = 0
        self._fetched_at = self._clock()

    def _note_failure(self, error: IssuerUnreachable) -> None:
        pause = min(2.0**self._failures, LONGEST_PAUSE_SECONDS)
        self._failures += 1
        self._retry_at = self._clock() + pause
        left = max(self._fetched_at + self._stale_seconds - self._clock(), 0.0)
        LOG.warning(
            "issuer_unreachable failures=%d next_try_seconds=%g keys_live_seconds=%.0f: %s",
            self._failures,
            pause,
            left,
            error,
        )


def usable_keys(published: Iterable[Any]) -> tuple[PublicKey, ...]:
    """Return those of a set's members that tokens may be signed with, and say in the log which others are not."""
    keys = []
    for member in published:
        try:
            keys.append(_public_key(member))
        except Exception as error:  # noqa: BLE001 - whatever one member is made of, the others are as good as before
            kid = member.get("kid") if isinstance(member, dict) else None
            LOG.warning("issuer_key_ignored kid=%.80s: %s %s", ascii(kid), type(error).__name__, error)
    return tuple(keys[:MOST_KEYS])


def _public_key(member: dict[str, Any]) -> PublicKey:
    if "d" in member:
        raise ValueError("a private key was published, and proves nothing any more")
    if member["kty"] == RSAKey.key_type and len(member["n"]) < FEWEST_MODULUS_CHARACTERS:
        raise ValueError("an RSA key of fewer than 2048 bits")
    key = _KEY_TYPES[member["kty"]].import_key(member)
    key.check_use("sig")
    key.check_key_op("verify")
    return key
