"""GraphiQL over HTTP: its answers and headers."""

import gzip
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.transport.graphiql.bundles import NOT_BUILT, load_bundle
from gateway.transport.graphiql.page import REFUSED, GraphiQL, OneTimeKeys, Prefilled
from tests.api.graphiql_site import ACCOUNT_KEY, PLATFORM_KEY, TABS, site
from tests.serving import http_client, serving

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}


KEYS = (PLATFORM_KEY, ACCOUNT_KEY)


@pytest.fixture(scope="module")
def graphiql() -> GraphiQL:
    bundle = load_bundle()
    if bundle is None:
        pytest.skip(NOT_BUILT)
    return GraphiQL(bundle=bundle, prefilled=Prefilled(keys=OneTimeKeys(keys=KEYS), tabs=TABS))


@pytest.fixture(scope="module")
async def client(graphiql: GraphiQL) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(site(graphiql)) as address, http_client(base_url=address) as client:
        yield client


async def test_browser_that_opens_the_endpoint_gets_the_page(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql", headers=BROWSER)
    host = client.base_url.netloc.decode()
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"] == (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        f"font-src 'self'; worker-src 'self'; connect-src 'self' ws://{host} wss://{host}; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["cache-control"] == "no-cache"


async def test_root_leads_to_the_page_whatever_host_is_named(client: httpx.AsyncClient) -> None:
    for host in ("gateway.example", "evil.example"):
        response = await client.get("/", headers={**BROWSER, "Host": host})
        assert (response.status_code, response.headers["location"]) == (307, "/graphql")
    for path in ("//evil.example", "//", "/?next=//evil.example", "/;x"):
        response = await client.get(path, headers=BROWSER)
        assert response.headers.get("location") in (None, "/graphql")
    assert (await client.post("/")).status_code == 405


async def test_page_has_no_inline_script_and_names_no_other_host(client: httpx.AsyncClient) -> None:
    page = (await client.get("/graphql", headers=BROWSER)).text
    assert re.findall(r"<script[^>]*>(.+?)</script>", page) == []
    assert "//" not in page


async def test_hostile_host_name_does_not_reach_the_policy(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql", headers={**BROWSER, "Host": "a.test; script-src *"})
    assert "connect-src 'self';" in response.headers["content-security-policy"]


async def test_files_of_the_page_may_be_cached_for_ever(client: httpx.AsyncClient) -> None:
    page = (await client.get("/graphql", headers=BROWSER)).text
    names = re.findall(r'(?:src|href)="(graphiql/[^"]+)"', page)
    types = {}
    for name in names:
        response = await client.get(f"/{name}", headers={"Accept-Encoding": "gzip"})
        assert response.status_code == 200
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert response.headers["content-encoding"] == "gzip"
        assert response.headers["vary"] == "Accept-Encoding"
        types[name.rpartition(".")[2]] = response.headers["content-type"]
    assert types == {
        "svg": "image/svg+xml",
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
    }


async def test_file_is_the_same_compressed_and_plain(client: httpx.AsyncClient, graphiql: GraphiQL) -> None:
    assert graphiql.bundle is not None
    name, built = next((name, built) for name, built in graphiql.bundle.files.items() if name.startswith("main-"))
    compressed = await client.get(f"/graphiql/{name}", headers={"Accept-Encoding": "gzip"})
    plain = await client.get(f"/graphiql/{name}", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == compressed.content == gzip.decompress(built)
    assert plain.headers["etag"] != compressed.headers["etag"]


async def test_cached_file_is_not_sent_again(client: httpx.AsyncClient, graphiql: GraphiQL) -> None:
    assert graphiql.bundle is not None
    for name in graphiql.bundle.files:
        tag = (await client.get(f"/graphiql/{name}")).headers["etag"]
        again = await client.get(f"/graphiql/{name}", headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["index.html", "source.sha256", "LICENSES.txt", "..%2Fpage.py", "%2e%2e/page.py", ""])
async def test_nothing_but_the_files_of_the_page_is_served(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/graphiql/{name}")).status_code == 404


async def test_page_is_configured_with_tabs_and_no_key(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphiql/config.json")
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "endpoint": "/graphql",
        "offersKeys": True,
        "tabs": [
            {
                "title": tab.title,
                "query": tab.query,
                "variables": tab.variables,
                "key": tab.key.value,
                "replaces": None if tab.replaces is None else str(tab.replaces),
            }
            for tab in TABS
        ],
    }


async def test_keys_are_handed_out_once_for_the_token() -> None:
    keys = OneTimeKeys(keys=KEYS)
    token = keys.token
    graphiql = GraphiQL(bundle=None, prefilled=Prefilled(keys=keys))
    async with serving(site(graphiql)) as address, http_client(base_url=address) as client:
        right = {"Authorization": f"Bearer {token}"}
        for wrong in ("", "Bearer", f"Bearer {token}x", f"Basic {token}", "Bearer \xe9"):
            refused = await client.post("/graphiql/keys", headers=[(b"Authorization", wrong.encode("latin-1"))])
            assert (refused.status_code, refused.text) == (403, REFUSED)
        assert (await client.get("/graphiql/keys", headers=right)).status_code == 404
        first, second = [await client.post("/graphiql/keys", headers=right) for _ in range(2)]
    assert first.headers["cache-control"] == "no-store"
    assert first.json() == [
        {"label": "the platform", "secret": "igw_platform", "kind": "PLATFORM"},
        {"label": "an account", "secret": "igw_account", "kind": "ACCOUNT"},
    ]
    assert (second.status_code, second.text) == (403, REFUSED)


@pytest.mark.parametrize("token", ["None", "null"])
async def test_gateway_without_keys_refuses_every_token(token: str) -> None:
    async with serving(site(GraphiQL(bundle=None))) as address, http_client(base_url=address) as client:
        assert (await client.post("/graphiql/keys", headers={"Authorization": f"Bearer {token}"})).status_code == 403


def test_token_is_random_and_differs_at_every_start() -> None:
    tokens = {OneTimeKeys(keys=KEYS).token for _ in range(100)}
    assert len(tokens) == 100
    assert all(token is not None and len(token) == 43 for token in tokens)


def test_keys_are_not_in_a_representation() -> None:
    assert "igw_platform" not in repr(GraphiQL(bundle=None, prefilled=Prefilled(keys=OneTimeKeys(keys=KEYS))))


async def test_page_that_was_not_built_shows_how_to_build_it() -> None:
    async with serving(site(GraphiQL(bundle=None))) as address, http_client(base_url=address) as client:
        response = await client.get("/graphql", headers=BROWSER)
        assert (response.status_code, response.text) == (503, f"{NOT_BUILT}\n")
        assert (await client.get("/graphiql/main.js")).status_code == 404
