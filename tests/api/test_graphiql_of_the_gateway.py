"""GraphiQL of `gateway serve` in Chromium: the tabs as they are, on the example data."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, expect

from gateway.transport.graphiql.bundles import NOT_BUILT, load_bundle
from tests.api.conftest import CHROMIUM
from tests.api.test_graphiql_in_browser import Visit, visiting
from tests.cli.processes import Serving, serving
from tests.serving import eventually

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the program chromium")

LIFE = (
    ("Activate", '"status": "ACTIVATED"'),
    ("StartSync", '"status": "PENDING_INTEGRATION"'),
    ("Progress", '"status": "PENDING_INTEGRATION"'),
    ("FinishSync", '"status": "ACTIVATED"'),
    ("Metadata", '"__typename": "Installation"'),
    ("Deactivate", '"status": "INACTIVE"'),
    ("Authorize", '"status": "AUTHORIZED"'),
    ("Delete", '"__typename": "DeletedInstallation"'),
    ("Create", '"status": "ACTIVATED"'),
)


@pytest.fixture
def served(initialized_directory: Path, tmp_path: Path) -> Iterator[Serving]:
    with serving("--data", initialized_directory, log=tmp_path / "errors.log", GATEWAY_LOG_LEVEL="debug") as one:
        yield one


@pytest.fixture
async def visit(served: Serving, browser: Browser) -> AsyncIterator[Visit]:
    if load_bundle() is None:
        pytest.skip(NOT_BUILT)
    async with visiting(browser, served.page) as visit:
        yield visit


@pytest.mark.long
async def test_tabs_run_in_order_while_the_live_panel_shows_each_change(visit: Visit, served: Serving) -> None:
    await visit.run()
    await visit.expect_answer('"name": "Bookwell"')
    changes = visit.page.get_by_label("Live changes")
    await expect(changes.get_by_role("status")).to_contain_text("live")
    await eventually(lambda: "gateway_subscribers 1.0" in served.get("/metrics").text)  # some time after it is shown
    for tab, answer in LIFE:
        await visit.open_tab(tab)
        await visit.run()
        await visit.expect_answer(answer)
    for change in ("AUTHORIZED → ACTIVATED", "ACTIVATED → PENDING_INTEGRATION", "INACTIVE → AUTHORIZED"):
        await expect(changes.get_by_role("list")).to_contain_text(change)
    assert [complaint for complaint in visit.complaints if "igw_" in complaint or "error" in complaint] == []
    assert served.page.partition("#token=")[2] not in served.logged
    assert "igw_" not in served.get("/graphiql/config.json").text


ACTIVATE = """mutation ($input: ActivateInstallationInput!) { activateInstallation(input: $input) { __typename } }"""
START = """mutation ($input: StartInstallationSyncInput!) { startInstallationSync(input: $input) { __typename } }"""
BOOKWELL = {"id": "65816f7f-9947-513b-ad16-2bf0586ecbd4"}


@pytest.mark.long
@pytest.mark.parametrize("seen", [[], ["AUTHORIZED → ACTIVATED"]], ids=["no event before", "an event before"])
async def test_subscriptions_go_on_after_the_last_event_when_the_gateway_restarts(
    seen: list[str], initialized_directory: Path, tmp_path: Path, browser: Browser
) -> None:
    if load_bundle() is None:
        pytest.skip(NOT_BUILT)
    lost = "The gateway restarts, or cannot be reached. When it is back, the subscription goes on after the last event."
    options = ("--data", initialized_directory)
    with ExitStack() as first:
        served = first.enter_context(serving(*options, log=tmp_path / "first.log"))
        async with visiting(browser, served.page) as visit:
            panel = visit.page.get_by_label("Live changes")
            await expect(panel.get_by_role("status")).to_contain_text("live")
            await visit.open_tab("Watch")
            await visit.run()
            await eventually(lambda: "gateway_subscribers 2.0" in served.get("/metrics").text)
            if seen:
                served.data(ACTIVATE, served.keys["platform"], input=BOOKWELL)
                await visit.expect_answer('"to": "ACTIVATED"')
                await expect(panel.get_by_role("listitem")).to_contain_text(seen)
            first.close()
            await visit.expect_answer(lost)
            await expect(panel.get_by_role("status")).to_have_text(lost)
            with serving(*options, log=tmp_path / "elsewhere.log") as elsewhere:
                if not seen:
                    elsewhere.data(ACTIVATE, served.keys["platform"], input=BOOKWELL)
                elsewhere.data(START, served.keys["platform"], input=BOOKWELL)
            with serving(*options, "--port", str(urlsplit(served.url).port), log=tmp_path / "second.log"):
                await visit.expect_answer('"to": "PENDING_INTEGRATION"')
                await expect(panel.get_by_role("listitem")).to_contain_text(
                    ["ACTIVATED → PENDING_INTEGRATION", "AUTHORIZED → ACTIVATED"]
                )
                await expect(panel.get_by_role("status")).to_contain_text("live")
                assert "stack" not in await visit.page.locator(".result-window").inner_text()
