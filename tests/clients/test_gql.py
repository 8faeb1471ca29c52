"""Python's gql as its page shows it: the code in the page runs on a gateway process.

Whatever it writes to its console, or logs as a warning, fails the test.
"""

import asyncio
import importlib.util
import logging
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest

from tests.clients.pages import files_of_pages
from tests.clients.scenario import Row, change, list_of
from tests.live.dataset import Dataset
from tests.live.servers import GatewayProcess


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the page's code as a module."""
    pytest.importorskip("gql", reason="needs gql")
    path = tmp_path_factory.mktemp("gql") / "gateway_client.py"
    path.write_text(files_of_pages()[path.name])
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def silent(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert capfd.readouterr() == ("", "")


async def test_results_are_the_object_or_what_is_wrong(page: Any, dataset: Dataset, gateway: GatewayProcess) -> None:
    condition, rows = list_of(dataset, "gql")
    id_ = rows[0][0]
    async with page.http_client(gateway.url, dataset.secret) as session:

        async def deactivate(**given: Any) -> Any:
            request = page.GraphQLRequest(page.DEACTIVATE, variable_values={"input": {"id": id_, **given}})
            return (await session.execute(request))["deactivateInstallation"]

        request = page.GraphQLRequest(page.INSTALLATIONS, variable_values={"filter": condition})
        nodes = (await session.execute(request))["installations"]["nodes"]
        assert [[node["id"], node["status"], node["version"]] for node in nodes] == rows
        assert await deactivate() == {"__typename": "Installation", "id": id_, "status": "INACTIVE", "version": 2}
        assert (await deactivate(expectedVersion=7))["__typename"] == "VersionConflict"
        (problem,) = (await deactivate(message="x" * 5000))["problems"]
        assert (problem["path"], problem["code"]) == (["message"], "TOO_LONG")


@pytest.mark.long
async def test_subscription_delivers_each_event_once_through_two_restarts(
    page: Any, dataset: Dataset, gateway: GatewayProcess
) -> None:
    condition, rows = list_of(dataset, "live")
    id_ = rows[0][0]
    async with page.http_client(gateway.url, dataset.secret) as session:
        cursor = (await session.execute(page.INSTALLATIONS))["eventCursor"]
    between = await change(dataset, id_, 1)  # between the list and the subscription
    await change(dataset, list_of(dataset, "gql")[1][0][0], 1)  # hidden by the filter
    async with aclosing(page.follow(gateway.url, dataset.secret, cursor, **condition)) as events, asyncio.timeout(60):

        async def expect(changes: list[Row]) -> None:
            received = [await anext(events) for _ in changes]
            assert [[event["installationId"], event["version"]] for event in received] == changes

        await expect(between)
        for end in (GatewayProcess.kill, GatewayProcess.terminate):
            await expect(await change(dataset, id_, 5))
            await end(gateway)
            missed = await change(dataset, id_, 5)
            await gateway.start()
            await expect(missed)


async def test_subscription_ends_with_what_no_further_attempt_mends(
    page: Any, dataset: Dataset, gateway: GatewayProcess
) -> None:
    errors = pytest.importorskip("gql.transport.exceptions")
    with pytest.raises(errors.TransportQueryError, match="BAD_USER_INPUT"):
        await anext(page.follow(gateway.url, dataset.secret, "no cursor"))
    with pytest.raises(errors.TransportConnectionFailed) as raised:
        await anext(page.follow(gateway.url, "igw_wrong", ""))
    assert "4401 (private use) Unauthorized: " in str(raised.value.__cause__)
