"""Fetches the issuer's metadata and keys over HTTP, bounded in time and size."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from gateway.auth.access_tokens.options import trusted_url

MAX_DOCUMENT_BYTES = 512 * 1024
"""A set of keys with certificate chains takes some tens of kilobytes."""


class IssuerUnreachable(Exception):
    """The issuer's keys could not be fetched; the message is for operators."""


class JwksClient:
    """Fetches the issuer's keys from `jwks_url`, or from the address in the issuer's metadata."""

    def __init__(self, *, issuer: str, jwks_url: str | None, timeout_seconds: float = 5.0) -> None:
        self._issuer = issuer
        self._configured = None if jwks_url is None else trusted_url(jwks_url)
        self._discovered: str | None = None
        self._timeout_seconds = timeout_seconds
        self.http = httpx.AsyncClient(
            timeout=timeout_seconds,
            follow_redirects=False,  # a redirect could lead out of https
            headers={
                "accept": "application/json",
                "accept-encoding": "identity",
            },  # or else the body's size is not what is kept in memory
        )

    async def keys(self) -> list[Any]:
        """Return the members of the issuer's set of keys, unchecked. Raises IssuerUnreachable."""
        address = self._configured or self._discovered or await self._discover()
        try:
            keys = (await self._document(address)).get("keys")
        except IssuerUnreachable:
            self._discovered = None  # it may have moved
            raise
        if not isinstance(keys, list):
            raise IssuerUnreachable(f"{address} holds no set of keys")
        self._discovered = address
        return keys

    async def _discover(self) -> str:
        failures = []
        for address in metadata_addresses(self._issuer):
            try:
                return self._jwks_url(await self._document(address), address=address)
            except IssuerUnreachable as failure:
                failures.append(str(failure))
        raise IssuerUnreachable("; ".join(failures))

    def _jwks_url(self, metadata: dict[str, Any], *, address: str) -> str:
        if metadata.get("issuer") != self._issuer:
            raise IssuerUnreachable(f"{address} is about another issuer")
        try:
            return trusted_url(metadata["jwks_uri"])
        except (KeyError, ValueError, TypeError, AttributeError):
            raise IssuerUnreachable(f"{address} names no jwks_uri that can be trusted") from None

    async def _document(self, address: str) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._timeout_seconds):  # for all of it: httpx limits each step
                document = orjson.loads(await self._body(address))
        except TimeoutError:
            raise IssuerUnreachable(f"{address} took more than {self._timeout_seconds:g} seconds") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise IssuerUnreachable(f"{address} failed with {type(error).__name__}") from None
        except ValueError:
            raise IssuerUnreachable(f"{address} holds no JSON") from None
        if not isinstance(document, dict):
            raise IssuerUnreachable(f"{address} holds no JSON object")
        return document

    async def _body(self, address: str) -> bytes:
        async with self.http.stream("GET", address) as response:
            if response.status_code != httpx.codes.OK:
                raise IssuerUnreachable(f"{address} answered {response.status_code}")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_DOCUMENT_BYTES:
                    raise IssuerUnreachable(f"{address} is larger than {MAX_DOCUMENT_BYTES} bytes")
            return bytes(body)


def metadata_addresses(issuer: str) -> tuple[str, str]:
    """Return the addresses of an issuer's metadata: by OpenID Connect (appended) and by RFC 8414 (inserted)."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    inserted = parts._replace(path=f"/.well-known/oauth-authorization-server{path}").geturl()
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration", inserted
