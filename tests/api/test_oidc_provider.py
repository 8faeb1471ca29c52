"""A real issuer: npm's oidc-provider, with its access tokens, metadata and key rotation."""

import asyncio
import json
import socket
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import httpx
import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.auth.access_tokens.claims import ClaimRules
from gateway.auth.access_tokens.jwks_cache import JwksCache
from gateway.auth.access_tokens.jwks_client import JwksClient
from gateway.auth.access_tokens.verification import AccessTokens
from gateway.domain.errors import Unauthenticated
from gateway.domain.principals import Principal, PrincipalKind
from tests.api.token_issuer import AUDIENCE, NAMES, Time
from tests.npm import node, workspace
from tests.postgres.event_rows import until
from tests.serving import http_client

SOURCE = Path(__file__).parent / "oidc_provider"
FIRST = RSAKey.generate_key(2048, {"kid": "first", "alg": "RS256", "use": "sig"})
SECOND = ECKey.generate_key("P-256", {"kid": "second", "alg": "ES256", "use": "sig"})
THIRD = OKPKey.generate_key("Ed25519", {"kid": "third", "alg": "EdDSA", "use": "sig"})
START_SECONDS = 30.0


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the script, and the packages that it uses."""
    return workspace(SOURCE, tmp_path_factory.mktemp("npm") / "issuer")


@dataclass
class Provider:
    """The issuer's process."""

    address: str
    process: Process

    async def serve_with(self, *keys: RSAKey | ECKey | OKPKey) -> None:
        """Sign with the first of these keys from now on, and publish all of them."""
        assert self.process.stdin is not None
        key_set = {"keys": [key.as_dict(private=True) for key in keys]}
        self.process.stdin.write(json.dumps(key_set).encode() + b"\n")
        await self.expect_line("rotated")

    async def expect_line(self, word: str) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            while (line := await self.process.stdout.readline()).strip() != word.encode():
                assert line, "the issuer has stopped"

    async def token(self) -> str:
        """Return an access token for the registered client."""
        async with http_client(base_url=self.address, auth=("ledger", "the-secret-of-the-test")) as client:
            asked = {"grant_type": "client_credentials", "resource": AUDIENCE, "scope": "platform"}
            response = await client.post("/token", data=asked)
        assert response.status_code == httpx.codes.OK, response.text
        return cast("str", response.json()["access_token"])


@asynccontextmanager
async def provider(packages: Path, *keys: RSAKey | ECKey | OKPKey, port: int | None = None) -> AsyncIterator[Provider]:
    address = f"http://127.0.0.1:{port or free_port()}"
    process = await asyncio.create_subprocess_exec(
        node(),
        "issuer.mjs",
        address,
        AUDIENCE,
        cwd=packages,
        stdin=PIPE,
        stdout=PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        started = Provider(address=address, process=process)
        await started.expect_line("listening")
        await started.serve_with(*keys)
        yield started
    finally:
        process.kill()
        await process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        return cast("int", reserved.getsockname()[1])


def verifying(address: str, *, clock: Callable[[], float]) -> AccessTokens:
    documents = JwksClient(issuer=address, jwks_url=None)
    return AccessTokens(
        keys=JwksCache(documents, stale_seconds=3600, clock=clock),
        rules=ClaimRules(issuer=address, audiences=(AUDIENCE,)),
        names=NAMES,
        now=lambda: datetime.now(UTC),
        only_access_tokens=True,
    )


async def test_tokens_of_a_rotated_key_are_accepted_until_it_is_retired(packages: Path) -> None:
    time = Time()
    async with provider(packages, FIRST) as issuer, verifying(issuer.address, clock=time.clock) as tokens:
        of_first = await issuer.token()
        principal = await tokens.authenticate(of_first)
        assert principal == Principal(
            kind=PrincipalKind.PLATFORM, id="ledger", label="ledger", expires_at=principal.expires_at
        )
        assert principal.expires_at is not None
        assert timedelta(minutes=9) < principal.expires_at - datetime.now(UTC) <= timedelta(minutes=10)

        await issuer.serve_with(SECOND, FIRST)
        of_second = await issuer.token()
        assert (await tokens.authenticate(of_second)).id == "ledger"
        assert (await tokens.authenticate(of_first)).id == "ledger"

        time.pass_by(minutes=1)  # after a made-up id, the next fetch would wait
        await issuer.serve_with(THIRD, SECOND)
        assert (await tokens.authenticate(await issuer.token())).id == "ledger"
        assert (await tokens.authenticate(of_second)).id == "ledger"
        with pytest.raises(Unauthenticated):
            await tokens.authenticate(of_first)


async def test_tokens_are_accepted_while_the_issuer_is_down_and_after_it_returns_with_another_key(
    packages: Path, caplog: pytest.LogCaptureFixture
) -> None:
    time, port = Time(), free_port()
    async with AsyncExitStack() as stack:
        async with provider(packages, FIRST, port=port) as issuer:
            tokens = await stack.enter_async_context(verifying(issuer.address, clock=time.clock))
            shown, unshown = await issuer.token(), await issuer.token()
            assert (await tokens.authenticate(shown)).id == "ledger"
        time.pass_by(minutes=30)
        assert (await tokens.authenticate(unshown)).id == "ledger"
        await until(lambda: "issuer_unreachable" in caplog.text)
        time.pass_by(minutes=1)
        async with provider(packages, SECOND, port=port) as issuer:
            assert (await tokens.authenticate(await issuer.token())).id == "ledger"
            with pytest.raises(Unauthenticated):
                await tokens.authenticate(shown)
