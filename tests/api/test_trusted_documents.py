"""Documents are registered by the operator, and named by clients, over every transport alike."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.documents import register
from gateway.domain.errors import BadUserInput
from gateway.settings import Settings
from gateway.usecases.documents import register_documents
from tests.api.conftest import Client, Serve, Served
from tests.serving import DEADLINE

VIEWER, OTHER = "query Viewer { viewer { kind } }", "{ viewer { kind account { name } } }"
EVENTS = "subscription Events($after: String) { installationEvents(after: $after) { cursor } }"
TRUSTED = Settings(documents="trusted")
ANSWER = {"data": {"viewer": {"kind": "ACCOUNT"}}}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def persisted(text: str) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest(text)}}}


async def post(client: Client, accept: str = "application/json", **body: Any) -> Any:
    answer = await client.http.post(client.url, json=body, headers={"accept": accept, **client.headers})
    return answer.json()


async def code(client: Client, **body: Any) -> str:
    (error,) = (await post(client, **body))["errors"]
    found: str = error["extensions"]["code"]
    return found


async def an_account(served: Served, *texts: str) -> Client:
    await register_documents(served.services, texts=texts)
    return await served.of_account(await served.account())


async def test_a_registered_document_is_run_by_either_name_of_its_digest(serve: Serve) -> None:
    async with serve(TRUSTED) as served:
        account = await an_account(served, VIEWER)
        assert await post(account, documentId=digest(VIEWER)) == ANSWER
        assert await post(account, documentId=f"sha256:{digest(VIEWER)}") == ANSWER
        assert await post(account, **persisted(VIEWER)) == ANSWER
        assert await post(account, query=VIEWER) == ANSWER, "its text is as good as its digest"
        for parameters in (
            {"documentId": digest(VIEWER)},
            {"extensions": json.dumps(persisted(VIEWER)["extensions"])},
        ):
            answer = await served.http.get(served.url, params=parameters, headers=account.headers)
            assert answer.json() == ANSWER


async def test_streams_and_sockets_know_registered_documents_too(serve: Serve) -> None:
    async with serve(TRUSTED) as served:
        account = await an_account(served, VIEWER, EVENTS)
        headers = {"accept": "text/event-stream", **account.headers}
        answer = await served.http.post(served.url, json={"documentId": digest(VIEWER)}, headers=headers)
        assert 'data: {"data":{"viewer":{"kind":"ACCOUNT"}}}' in answer.text
        body = {"documentId": digest(EVENTS)}
        async with served.http.stream("POST", served.url, json=body, headers=headers) as stream:
            assert stream.status_code == 200
        async with account.subscription("never run") as subscribed, asyncio.timeout(DEADLINE):
            socket = subscribed.socket
            refused = json.loads(await socket.recv())
            assert refused["payload"][0]["extensions"]["code"] == "FORBIDDEN"
            await socket.send(json.dumps({"type": "subscribe", "id": "2", "payload": persisted(VIEWER)}))
            assert json.loads(await socket.recv())["payload"] == ANSWER
            await socket.send(json.dumps({"type": "subscribe", "id": "3", "payload": {"documentId": "unknown"}}))
            while (message := json.loads(await socket.recv()))["id"] != "3":
                pass
            assert message["payload"][0]["extensions"]["code"] == "PERSISTED_DOCUMENT_NOT_FOUND"


async def test_where_only_trusted_documents_run_others_are_refused_but_to_those_excepted(serve: Serve) -> None:
    async with serve(TRUSTED) as served:
        account, platform = await an_account(served, VIEWER), await served.platform()
        assert await code(account, query=OTHER) == "FORBIDDEN"
        assert await code(account, query="{ not even GraphQL") == "FORBIDDEN"
        assert await code(account, query="{ __schema { queryType { name } } }") == "FORBIDDEN"
        assert await code(account, documentId=digest(OTHER)) == "PERSISTED_DOCUMENT_NOT_FOUND"
        assert "errors" not in await post(platform, query=OTHER)
    async with serve(Settings(documents="trusted", untrusted_documents=("introspection",))) as served:
        account, platform = await an_account(served, VIEWER), await served.platform()
        assert "errors" not in await post(account, query="{ __schema { queryType { name } } }")
        assert await code(account, query=OTHER) == "FORBIDDEN"
        assert await code(platform, query=OTHER) == "FORBIDDEN"


async def test_automatic_documents_are_remembered_by_number_where_that_is_wanted(serve: Serve) -> None:
    async with serve(Settings(automatic_documents=1)) as served:
        account = await an_account(served)
        assert await post(account, **persisted(VIEWER)) == {
            "errors": [
                {"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_DOCUMENT_NOT_FOUND"}},
            ]
        }
        assert await post(account, query=VIEWER, **persisted(VIEWER)) == ANSWER
        assert await post(account, **persisted(VIEWER)) == ANSWER
        await post(account, query=OTHER, **persisted(OTHER))
        assert await code(account, **persisted(VIEWER)) == "PERSISTED_DOCUMENT_NOT_FOUND"
        assert await code(account, query=VIEWER, **persisted(OTHER)) == "BAD_USER_INPUT"


async def test_automatic_documents_are_kept_once_they_are_valid_and_for_each_caller(serve: Serve) -> None:
    async with serve(Settings(automatic_documents=3)) as served:
        victim, attacker = await an_account(served), await an_account(served)
        usual = "{ viewer { kind } }"
        assert (await post(victim, query=usual, **persisted(usual))) == (await post(victim, **persisted(usual)))
        invalid = "{ viewer { colour } }"
        await post(attacker, query=invalid, **persisted(invalid))
        assert await code(attacker, **persisted(invalid)) == "PERSISTED_DOCUMENT_NOT_FOUND"
        for number in range(5):
            long = f"# {number} {'x' * 5_000}\n{usual}"
            await post(attacker, query=long, **persisted(long))
        assert (await post(victim, **persisted(usual)))["data"]


async def test_automatic_documents_are_off_by_default(served: Served) -> None:
    account = await an_account(served)
    unregistered = f"{VIEWER} # the gateway, which tests share, may still know the documents of others"
    assert await post(account, query=unregistered, **persisted(unregistered)) == ANSWER
    assert await post(account, **persisted(unregistered)) == {
        "errors": [
            {"message": "PersistedQueryNotSupported", "extensions": {"code": "PERSISTED_QUERY_NOT_SUPPORTED"}},
        ]
    }
    assert await code(account, documentId=digest(unregistered)) == "PERSISTED_DOCUMENT_NOT_FOUND"


async def test_unknown_digest_is_not_found_where_only_trusted_documents_run(serve: Serve) -> None:
    async with serve(TRUSTED) as served:
        answer = await post(await an_account(served), **persisted(OTHER))
        assert [error["message"] for error in answer["errors"]] == ["PersistedQueryNotFound"]


@pytest.mark.parametrize(
    "body",
    [
        {"documentId": 7},
        {"extensions": {"persistedQuery": "x"}},
        {"extensions": {"persistedQuery": {"version": 2, "sha256Hash": "a" * 64}}},
        {"query": None},
        {},
    ],
)
async def test_request_without_a_document_is_bad_input(served: Served, body: dict[str, Any]) -> None:
    assert await code(await an_account(served), **body) == "BAD_USER_INPUT"


async def test_the_command_registers_files_and_manifests_that_fit_the_schema(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", served.database_url)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "viewer.graphql").write_text(VIEWER)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({f"sha256:{digest(OTHER)}": OTHER}))
    assert await register(data=None, source=tmp_path) == 0
    assert capsys.readouterr().out == f"{digest(VIEWER)}  below/viewer.graphql\n1 documents, 1 of them new\n"
    assert await register(data=None, source=manifest) == 0
    account = await served.of_account(await served.account())
    assert await post(account, documentId=digest(VIEWER)) == ANSWER
    assert "errors" not in await post(account, documentId=digest(OTHER))

    (tmp_path / "broken.graphql").write_text("{ nothing }")
    manifest.write_text(json.dumps({digest(VIEWER): OTHER}))
    for source, reason in ((tmp_path, "broken.graphql cannot be registered"), (manifest, "is not the SHA-256")):
        with pytest.raises(BadUserInput, match=reason):
            await register(data=None, source=source)
