"""Exceptions outside of the endpoint are masked, and their responses have the security headers."""

import logging

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.transport.http.security_headers import browser_security, unexpected_error


async def broken(_request: Request) -> Response:
    raise RuntimeError("postgres://secret@nowhere")


async def test_exception_in_a_route_is_masked(caplog: pytest.LogCaptureFixture) -> None:
    application = Starlette(
        routes=[Route("/broken", broken)],
        middleware=browser_security(["https://app.example"]),
        exception_handlers={Exception: unexpected_error},
    )
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    with caplog.at_level(logging.ERROR):
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            answer = await client.get("/broken")
    (error,) = answer.json()["errors"]
    error_id = error["extensions"].pop("errorId")
    assert (answer.status_code, error) == (500, {"message": "Internal error.", "extensions": {"code": "INTERNAL"}})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert [record.getMessage() for record in caplog.records] == [f"Unexpected error {error_id}"]
