from collections.abc import AsyncIterator

import httpx
import pytest

from tests.conformance.sample_gateway import KEY, Gateway, served
from tests.serving import http_client


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with served() as gateway:
        yield gateway


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {KEY}", "accept": "application/graphql-response+json"}
    async with http_client(base_url=gateway.url.removesuffix("/graphql"), headers=headers) as client:
        yield client
