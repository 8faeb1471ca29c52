"""GraphiQL in Chromium: it works without other hosts and without violating its Content-Security-Policy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.transport.graphiql.bundles import NOT_BUILT, Bundle, load_bundle
from gateway.transport.graphiql.examples import ExampleSubjects, workflow_tabs
from gateway.transport.graphiql.page import ExampleTab, GraphiQL, OneTimeKeys, Prefilled
from tests.api.conftest import CHROMIUM
from tests.api.graphiql_site import ACCOUNT_KEY, NEW_INSTALLATION, OLD_INSTALLATION, PLATFORM_KEY, TABS, site
from tests.serving import DEADLINE, serving

ANSWER_MILLISECONDS = 20_000  # a browser on a machine that is busy
expect.set_options(timeout=ANSWER_MILLISECONDS)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the program chromium")


@dataclass(kw_only=True)
class Visit:
    """An open page, with its requests and its messages on the console."""

    page: Page
    address: str
    requested: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    async def open_tab(self, name: str) -> None:
        await self.page.get_by_role("tab", name=name, exact=True).click()

    async def run(self) -> None:
        await self.page.get_by_role("button", name="Execute query").click()

    async def expect_answer(self, text: str) -> None:
        await expect(self.page.locator(".result-window")).to_contain_text(text)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    bundle = load_bundle()
    if bundle is None:
        pytest.skip(NOT_BUILT)
    return bundle


@asynccontextmanager
async def offering(bundle: Bundle) -> AsyncIterator[str]:
    """Serve the site; yield the page's address with a token for its keys."""
    keys = OneTimeKeys(keys=(PLATFORM_KEY, ACCOUNT_KEY))
    async with serving(site(GraphiQL(bundle=bundle, prefilled=Prefilled(keys=keys, tabs=TABS)))) as address:
        yield f"{address}/graphql#token={keys.token}"


@asynccontextmanager
async def visiting(browser: Browser, address: str) -> AsyncIterator[Visit]:
    """Open the page in a fresh profile."""
    context = await browser.new_context(viewport={"width": 1400, "height": 850})
    page = await context.new_page()
    visit = Visit(page=page, address=address)
    page.on("request", lambda request: visit.requested.append(request.url))
    page.on("websocket", lambda socket: visit.requested.append(socket.url))
    page.on("console", lambda message: visit.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    await page.goto(address)
    await page.wait_for_selector("body[data-ready]", timeout=ANSWER_MILLISECONDS)
    yield visit
    await context.close()


@pytest.fixture
async def visit(browser: Browser, bundle: Bundle) -> AsyncIterator[Visit]:
    async with offering(bundle) as address, visiting(browser, address) as visit:
        yield visit


async def test_operations_are_sent_with_their_keys_and_variables(visit: Visit) -> None:
    """In one visit, since loading the page takes most of the time."""
    await keys_of_the_tabs_are_sent(visit)
    await only_variables_that_are_wrong_are_marked(visit)
    await chosen_and_typed_keys_are_sent_and_not_kept_beyond_the_session(visit)
    await header_editor_outweighs_the_chosen_key(visit)


async def keys_of_the_tabs_are_sent(visit: Visit) -> None:
    await visit.run()
    await visit.expect_answer('"hello world from Bearer igw_platform"')
    await visit.open_tab("Create")
    await visit.run()
    await visit.expect_answer('"created by Bearer igw_account"')


async def only_variables_that_are_wrong_are_marked(visit: Visit) -> None:
    await visit.open_tab("Metadata")
    marks = visit.page.locator(".graphiql-editor-tool .squiggly-error")
    await expect(marks).to_have_count(1)  # of `unknown`: JSON may be anything, and `size` has a default
    await visit.run()
    await visit.expect_answer('"region": "eu-west"')
    await visit.expect_answer('"size": 20')
    await expect(marks).to_have_count(1)


async def chosen_and_typed_keys_are_sent_and_not_kept_beyond_the_session(visit: Visit) -> None:
    await visit.open_tab("First")
    await visit.page.get_by_label("Act as").select_option(label="an account")
    await visit.run()
    await visit.expect_answer('"hello world from Bearer igw_account"')
    await visit.page.get_by_label("Act as").select_option(label="another key")
    await visit.page.get_by_label("Your key").fill("igw_typed")
    await visit.run()
    await visit.expect_answer('"hello world from Bearer igw_typed"')
    assert "#" not in visit.page.url
    assert "igw" not in await visit.page.evaluate("JSON.stringify({...localStorage})")


async def header_editor_outweighs_the_chosen_key(visit: Visit) -> None:
    await visit.page.get_by_role("button", name="Headers").click()
    await visit.page.locator(".graphiql-editor-tool .graphiql-editor:not(.hidden)").click()
    await visit.page.keyboard.insert_text('{"authorization": "Bearer igw_header"}')
    await visit.run()
    await visit.expect_answer('"hello world from Bearer igw_header"')
    assert "igw" not in await visit.page.evaluate("JSON.stringify({...localStorage})")


@pytest.mark.long
async def test_id_of_a_new_installation_replaces_the_old_one_in_the_tabs(visit: Visit) -> None:
    await visit.open_tab("Authorize")
    await visit.run()
    await visit.expect_answer(str(NEW_INSTALLATION))
    await visit.open_tab("Activate")
    await visit.run()
    await visit.expect_answer(f"activated {NEW_INSTALLATION}")


@pytest.mark.long
async def test_live_panel_shows_changes_and_resumes_after_a_lost_connection(visit: Visit) -> None:
    changes = visit.page.get_by_label("Live changes").get_by_role("listitem")
    await expect(changes).to_contain_text(["sync: after first 3/40", "AUTHORIZED → ACTIVATED"])
    await expect(changes.last).to_contain_text("Ledger for Bakery")
    await expect(changes.last).to_contain_text("by Bearer igw_platform")


@pytest.mark.long
async def test_tabs_survive_a_reload(visit: Visit) -> None:
    await visit.open_tab("Create")
    await visit.page.reload()
    await expect(visit.page.get_by_role("tab")).to_contain_text(
        ["First", "Create", "Authorize", "Activate", "Metadata", "Watch"]
    )


@pytest.mark.long
async def test_page_requests_nothing_from_other_hosts_and_logs_no_violation(visit: Visit) -> None:
    await visit.run()
    await visit.expect_answer("hello world")
    await visit.open_tab("Watch")
    await visit.run()
    await visit.expect_answer('"tick for Bearer igw_account"')
    await visit.page.get_by_role("button", name="Show Documentation Explorer").click()
    await expect(visit.page.locator(".graphiql-plugin")).to_contain_text("query: Query")
    await expect(visit.page.locator(".graphiql-query-editor .view-line")).to_have_count(1)
    await visit.page.get_by_role("button", name="Prettify query").click()
    await expect(visit.page.locator(".graphiql-query-editor .view-line")).to_have_count(
        4
    )  # with the line break at its end
    host = urlsplit(visit.address).netloc
    assert [url for url in visit.requested if not url.startswith((f"http://{host}/", f"ws://{host}/", "data:"))] == []
    assert visit.complaints == []


@pytest.mark.long
async def test_keys_survive_a_reload_and_are_not_for_another_tab(visit: Visit) -> None:
    await visit.page.reload()
    await visit.run()
    await visit.expect_answer('"hello world from Bearer igw_platform"')
    other = await visit.page.context.new_page()
    await other.goto(visit.address.partition("#")[0])
    await expect(other.get_by_role("note")).to_contain_text("the address with the token that `gateway serve` printed")
    await expect(other.get_by_label("Act as").get_by_role("option")).to_have_text(["another key"])
    assert "igw" not in await other.evaluate("JSON.stringify({...sessionStorage, ...localStorage})")


@pytest.mark.long
async def test_used_token_is_explained_and_a_typed_key_works(visit: Visit) -> None:
    other = Visit(page=await visit.page.context.new_page(), address=visit.address)
    await other.page.goto(visit.address)
    await expect(other.page.get_by_role("note")).to_contain_text("The token is not valid: it works once")
    await other.page.get_by_label("Your key").fill("igw_typed")
    await other.run()
    await other.expect_answer('"hello world from Bearer igw_typed"')


@pytest.mark.long
async def test_address_with_a_token_fills_in_the_keys_of_an_open_page(browser: Browser, bundle: Bundle) -> None:
    async with offering(bundle) as address, visiting(browser, address.partition("#")[0]) as visit:
        await expect(visit.page.get_by_role("note")).to_be_visible()
        await visit.page.goto(address)
        await expect(visit.page.get_by_role("note")).to_be_hidden()
        await visit.run()
        await visit.expect_answer('"hello world from Bearer igw_platform"')


@pytest.mark.long
async def test_token_is_in_no_request_but_the_one_that_takes_the_keys(visit: Visit) -> None:
    token = urlsplit(visit.address).fragment.removeprefix("token=")
    assert token in visit.address
    assert [url for url in visit.requested if token in url and not url.startswith(visit.address)] == []
    assert token not in visit.page.url + await visit.page.evaluate(
        "JSON.stringify({...sessionStorage, ...localStorage})"
    )


@pytest.mark.long
async def test_operations_without_a_gateway_are_answered_in_words(bundle: Bundle, browser: Browser) -> None:
    async with AsyncExitStack() as page:
        async with offering(bundle) as address:
            visit = await page.enter_async_context(visiting(browser, address))
        await visit.run()
        await visit.expect_answer(
            "The gateway restarts, or cannot be reached. See whether it runs, then run this again."
        )
        await visit.open_tab("Watch")
        await visit.run()
        await visit.expect_answer("When it is back, the subscription goes on with new events.")
        assert "stack" not in await visit.page.locator(".result-window").inner_text()


SUBJECTS = ExampleSubjects(
    application_id=OLD_INSTALLATION,
    application_slug="ledger",
    account_id=OLD_INSTALLATION,
    installation_id=OLD_INSTALLATION,
    api_key_application_id=OLD_INSTALLATION,
)
MEASURE = """() => {
  const box = (element) => element.getBoundingClientRect().toJSON();
  const all = (selector) => [...document.querySelectorAll(selector)];
  const heading = document.querySelector(".live h2");
  return {
    beyond: all(".graphiql-container :is(button, select, h2), .graphiql-editors, .graphiql-response")
      .filter((element) => !element.closest("[role=tab]") && box(element).right > innerWidth)
      .map((element) => element.outerHTML.slice(0, 100)),
    tabRows: new Set(all("[role=tab]").map((tab) => box(tab).top)).size,
    headingIsCut: heading.scrollWidth > heading.clientWidth,
    textTop: box(document.querySelector(".graphiql-query-editor .view-line")).top,
    textRight: Math.max(...all(".graphiql-query-editor .view-line > span").map((line) => box(line).right)),
    editor: box(document.querySelector(".graphiql-editors")),
    toolbar: box(document.querySelector(".graphiql-toolbar")),
    response: box(document.querySelector(".graphiql-response")),
  };
}"""


@pytest.mark.long
async def test_page_fits_its_window(browser: Browser, bundle: Bundle) -> None:
    graphiql = GraphiQL(bundle=bundle, prefilled=Prefilled(tabs=workflow_tabs(SUBJECTS)))
    async with serving(site(graphiql)) as address, visiting(browser, f"{address}/") as visit:
        await visit.open_tab("Create")  # the one with the longest lines
        await expect(visit.page.locator(".graphiql-query-editor")).to_contain_text("Create(")
        for width, tab_rows in ((1400, 1), (1000, 2), (400, 1)):
            await visit.page.set_viewport_size({"width": width, "height": 850})
            async with asyncio.timeout(DEADLINE):  # the editor follows its window with some delay
                while (measured := await visit.page.evaluate(MEASURE))["textRight"] > measured["toolbar"]["left"]:  # noqa: ASYNC110 - in the page
                    await asyncio.sleep(0.02)
            assert (measured["beyond"], measured["tabRows"], measured["headingIsCut"]) == ([], tab_rows, False)
            assert measured["toolbar"]["right"] <= measured["editor"]["right"]
            if width > 400:
                assert measured["response"]["left"] >= measured["editor"]["right"]
            else:
                assert measured["response"]["top"] >= measured["editor"]["bottom"]
        await visit.page.evaluate("document.querySelector('.graphiql-main').scrollTo(0, 200)")
        assert (await visit.page.evaluate(MEASURE))["textTop"] == measured["textTop"] - 200


@pytest.mark.long
async def test_page_on_a_narrow_screen_ends_with_its_content_and_shows_the_key(
    browser: Browser, bundle: Bundle
) -> None:
    keys = OneTimeKeys(keys=(PLATFORM_KEY,))
    tab = ExampleTab(
        title="Long",
        query="query Long($all: JSON!) { echo(some: 1, all: $all, page: {}) }",
        variables={"all": list(range(500))},
        key=PLATFORM_KEY.kind,
    )
    graphiql = GraphiQL(bundle=bundle, prefilled=Prefilled(keys=keys, tabs=(tab,)))
    async with serving(site(graphiql)) as address, visiting(browser, f"{address}/") as visit:  # without the token
        await visit.page.set_viewport_size({"width": 400, "height": 850})
        await visit.run()
        await visit.expect_answer('"echo"')
        bounds = await visit.page.evaluate(NARROW)
        assert bounds["end"] <= bounds["content"] + 1
        assert bounds["noteHeight"] < 100
        assert max(bounds["right"]) <= 400


NARROW = """() => {
  const main = document.querySelector(".graphiql-main");
  const bottom = (selector) => document.querySelector(selector).getBoundingClientRect().bottom;
  const shown = [...document.querySelectorAll(".graphiql-logo :is(input, select, button, small)")];
  return {
    end: main.getBoundingClientRect().top - main.scrollTop + main.scrollHeight,
    content: Math.max(bottom(".graphiql-sessions"), bottom(".graphiql-plugin")),
    noteHeight: document.querySelector("[role=note]").getBoundingClientRect().height,
    right: shown.map((element) => element.getBoundingClientRect().right),
  };
}"""


SIDES = """(selector) => [...document.querySelectorAll(selector)].map((element) => {
  const text = document.createRange();
  text.selectNodeContents(element);
  const isText = element.matches("a, .graphiql-doc-explorer-title");
  const { left, right } = (isText ? text : element).getBoundingClientRect();
  return [left, right];
})"""


@pytest.mark.long
async def test_documentation_and_settings_fit_their_space(visit: Visit) -> None:
    page = visit.page
    await page.set_viewport_size({"width": 1000, "height": 850})
    await page.get_by_role("button", name="Show Documentation Explorer").click()
    await page.get_by_role("link", name="InstallationConnectionReported").click()
    await expect(page.locator(".graphiql-doc-explorer-title")).to_have_text("InstallationConnectionReported")
    ((_, title_ends),) = await page.evaluate(SIDES, ".graphiql-doc-explorer-title")
    ((search_begins, search_ends),) = await page.evaluate(SIDES, ".graphiql-doc-explorer-search")
    assert title_ends <= search_begins
    assert max(right for _, right in await page.evaluate(SIDES, ".graphiql-doc-explorer-content a")) <= search_ends
    await page.locator(".graphiql-doc-explorer-search-input").click()
    await page.keyboard.type("Greet")
    await expect(page.get_by_role("listbox")).to_contain_text("greeting")
    await page.keyboard.press("Escape")
    await page.set_viewport_size({"width": 400, "height": 850})
    await page.get_by_role("button", name="Open settings dialog").click()
    await expect(page.get_by_role("button", name="Dark")).to_be_visible()
    ((_, dialog_ends),) = await page.evaluate(SIDES, ".graphiql-dialog")
    assert max(right for _, right in await page.evaluate(SIDES, ".graphiql-dialog button")) <= dialog_ends
