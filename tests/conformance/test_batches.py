"""Several operations in one HTTP request."""

import httpx
import pytest

from gateway.transport.http.endpoint import HttpLimits
from tests.conformance.sample_gateway import KEY, served
from tests.conformance.test_http import only_error


async def test_batches_are_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json=[{"query": "{ hello }"}])
    assert response.status_code == 400
    assert only_error(response) == ("Batches are not accepted: send one operation in a request.", "BAD_USER_INPUT")


async def test_batches_are_answered_in_order_where_they_are_enabled() -> None:
    limits = HttpLimits(batch=2)
    async with (
        served(http_limits=limits) as gateway,
        httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}) as client,
    ):
        response = await client.post(gateway.url, json=[{"query": "{ hello }"}, {"query": "{ nothing }"}])
        first, second = response.json()
        assert first == {"data": {"hello": "Hello, world!"}}
        assert second["errors"][0]["message"] == "Cannot query field 'nothing' on type 'Query'."
        for batch in ([], [{"query": "{ hello }"}] * 3, [1]):
            assert (await client.post(gateway.url, json=batch)).status_code == 400


@pytest.mark.parametrize("anonymous_introspection", [False, True])
async def test_batch_of_an_anonymous_caller_gets_401_as_a_whole(*, anonymous_introspection: bool) -> None:
    async with (
        served(http_limits=HttpLimits(batch=2), anonymous_introspection=anonymous_introspection) as gateway,
        httpx.AsyncClient() as client,
    ):
        response = await client.post(gateway.url, json=[{"query": "{ __typename }"}, {"query": "{ hello }"}])
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert only_error(response)[1] == "UNAUTHENTICATED"
        introspection = await client.post(gateway.url, json=[{"query": "{ __typename }"}])
        assert introspection.status_code == (200 if anonymous_introspection else 401)
