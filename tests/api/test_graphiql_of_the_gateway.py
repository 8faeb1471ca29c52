"""GraphiQL of `gateway serve` in Chromium: the tabs as they are, on the example data."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from gateway.transport.graphiql.bundles import NOT_BUILT, load_bundle
from tests.api.conftest import CHROMIUM
from tests.api.test_graphiql_in_browser import Visit, visiting
from tests.cli.processes import Serving, serving

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


async def test_tabs_run_in_order_while_the_live_panel_shows_each_change(visit: Visit, served: Serving) -> None:
    await visit.run()
    await visit.expect_answer('"name": "Bookwell"')
    changes = visit.page.get_by_label("Live changes")
    await expect(changes.get_by_role("status")).to_contain_text("live")
    for tab, answer in LIFE:
        await visit.open_tab(tab)
        await visit.run()
        await visit.expect_answer(answer)
    for change in ("AUTHORIZED → ACTIVATED", "ACTIVATED → PENDING_INTEGRATION", "INACTIVE → AUTHORIZED"):
        await expect(changes.get_by_role("list")).to_contain_text(change)
    assert [complaint for complaint in visit.complaints if "igw_" in complaint or "error" in complaint] == []
    assert served.page.partition("#token=")[2] not in served.logged
    assert "igw_" not in served.get("/graphiql/config.json").text
