"""Several operations in one HTTP request."""

import httpx
import pytest

from gateway.transport.http.endpoint import HttpLimits
from tests.conformance.sample_gateway import KEY, served
from tests.serving import http_client


async def test_each_operation_of_a_refused_batch_is_told_why(client: httpx.AsyncClient) -> None:
    refused = {
        "errors": [
            {
                "message": "Batches are not accepted: send one operation in a request.",
                "extensions": {"code": "BAD_USER_INPUT"},
            }
        ]
    }
    for count in (1, 2, 100):
        response = await client.post("/graphql", json=[{"query": "{ hello }"}] * count)
        assert (response.status_code, response.json()) == (400, [refused] * count)
    for count in (0, 101, 30_000):
        response = await client.post("/graphql", json=[{"query": "{ hello }"}] * count)
        assert (response.status_code, response.json()) == (400, refused)


async def test_batches_are_answered_in_order_where_they_are_enabled() -> None:
    limits = HttpLimits(batch=2)
    async with (
        served(http_limits=limits) as gateway,
        http_client(headers={"authorization": f"Bearer {KEY}"}) as client,
    ):
        response = await client.post(gateway.url, json=[{"query": "{ hello }"}, {"query": "{ nothing }"}])
        first, second = response.json()
        assert first == {"data": {"hello": "Hello, world!"}}
        assert second["errors"][0]["message"] == "Cannot query field 'nothing' on type 'Query'."
        assert (await client.post(gateway.url, json=[])).status_code == 400
        for batch, message in (
            ([{"query": "{ hello }"}] * 3, "A batch has 1 to 2 operations, not 3."),
            ([{"query": "{ hello }"}, 1], "A request is a JSON object with a query."),
        ):
            response = await client.post(gateway.url, json=batch)
            assert response.status_code == 400
            assert [body["errors"][0]["message"] for body in response.json()] == [message] * len(batch)


@pytest.mark.parametrize("anonymous_introspection", [False, True])
async def test_batch_of_an_anonymous_caller_gets_401_as_a_whole(*, anonymous_introspection: bool) -> None:
    async with (
        served(http_limits=HttpLimits(batch=2), anonymous_introspection=anonymous_introspection) as gateway,
        http_client() as client,
    ):
        response = await client.post(gateway.url, json=[{"query": "{ __typename }"}, {"query": "{ hello }"}])
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        responses = response.json() if anonymous_introspection else [response.json()]  # by default the body is not read
        assert [body["errors"][0]["extensions"]["code"] for body in responses] == ["UNAUTHENTICATED"] * len(responses)
        assert len(responses) == (2 if anonymous_introspection else 1)
        introspection = await client.post(gateway.url, json=[{"query": "{ __typename }"}])
        assert introspection.status_code == (200 if anonymous_introspection else 401)
