"""A fake issuer: an HTTP server on a loopback port, and tokens with any header, claims and signature."""

import asyncio
import base64
import json
import warnings
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from gateway.auth.access_tokens.claims import ClaimNames, ClaimRules
from gateway.auth.access_tokens.jwks_cache import JwksCache
from gateway.auth.access_tokens.jwks_client import JwksClient
from gateway.auth.access_tokens.options import ALGORITHMS
from gateway.auth.access_tokens.verification import AccessTokens
from gateway.domain.principals import PrincipalKind

AUDIENCE = "https://gateway.example"
METADATA = "/.well-known/openid-configuration"
JWKS = "/jwks.json"
NAMES = ClaimNames(
    kind="gateway_kind",
    application="gateway_application_id",
    account="gateway_account_id",
    kinds={
        "platform": PrincipalKind.PLATFORM,
        "application": PrincipalKind.APPLICATION,
        "account": PrincipalKind.ACCOUNT,
    },
)
SigningKey = RSAKey | ECKey | OKPKey | OctKey


class Time:
    """The test's own time, as a clock and as a monotonic clock."""

    def __init__(self) -> None:
        self.passed = timedelta()

    def now(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=UTC) + self.passed

    def clock(self) -> float:
        return self.passed.total_seconds()

    def pass_by(self, **much: float) -> None:
        self.passed += timedelta(**much)


@dataclass
class Issuer:
    """The server's documents by path, and how often each was requested."""

    address: str
    documents: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    silent: bool = False
    trickling: bool = False
    held: asyncio.Event | None = None
    time: Time = field(default_factory=Time)

    def publish(self, *keys: RSAKey | ECKey | OKPKey) -> None:
        self.publish_members(*(key.as_dict(private=False) for key in keys))

    def publish_members(self, *members: Any) -> None:
        self.documents[JWKS] = json.dumps({"keys": members}).encode()
        self.documents[METADATA] = json.dumps({"issuer": self.address, "jwks_uri": self.address + JWKS}).encode()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = request.split(" ", 2)[1]
            self.requests[path] += 1
            if self.silent:
                await reader.read()  # until the client gives up
            body = self.documents.get(path)
            if self.held is not None:
                await self.held.wait()
            status = self.statuses.get(path, "200 OK" if body is not None else "404 Not Found")
            head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body or b'')}\r\nconnection: close\r\n\r\n"
            writer.write(head.encode() + (b"" if self.trickling else body or b""))
            await writer.drain()
            while self.trickling:  # never silent for long, and never done
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a platform's token, with these changes; None removes a claim."""
        now = int(self.time.now().timestamp())
        claims = {
            "iss": self.address,
            "aud": AUDIENCE,
            "sub": "a-client",
            "client_id": "the-client",
            "iat": now,
            "exp": now + 300,
            "gateway_kind": "platform",
        }
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def token(self, key: SigningKey, *, algorithm: str, header: dict[str, Any] | None = None, **changes: Any) -> str:
        whole = {"alg": algorithm, "typ": "at+jwt", "kid": key.kid} | (header or {})
        stated = {name: value for name, value in whole.items() if value is not None}
        return signed(key, header=stated, payload=json.dumps(self.claims(**changes)).encode())

    def tokens(
        self,
        *,
        jwks_url: str | None = None,
        discovered: bool = False,
        timeout_seconds: float = 5,
        algorithms: tuple[str, ...] = ALGORITHMS,
        only_access_tokens: bool = False,
        names: ClaimNames = NAMES,
        required: tuple[str, ...] = (),
    ) -> AccessTokens:
        """Make the verifier of this issuer's tokens."""
        address = None if discovered else jwks_url or self.address + JWKS
        documents = JwksClient(issuer=self.address, jwks_url=address, timeout_seconds=timeout_seconds)
        return AccessTokens(
            keys=JwksCache(documents, stale_seconds=3600, clock=self.time.clock),
            rules=ClaimRules(issuer=self.address, audiences=(AUDIENCE,), required=required),
            names=names,
            now=self.time.now,
            algorithms=algorithms,
            only_access_tokens=only_access_tokens,
        )


@asynccontextmanager
async def serving_issuer() -> AsyncIterator[Issuer]:
    """Yield an issuer that publishes no key yet."""
    issuer = Issuer(address="")
    server = await asyncio.start_server(issuer.answer, "127.0.0.1", 0)
    issuer.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield issuer
    finally:
        server.close()


def signed(key: SigningKey, *, header: dict[str, Any], payload: bytes) -> str:
    """Sign any payload with any header that has an algorithm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # EdDSA has a narrower name by now
        registry = jws.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
        return jws.serialize_compact(header, payload, key, registry=registry)


def segment(part: bytes | dict[str, Any]) -> str:
    """Encode a part of a token in base64url."""
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")
