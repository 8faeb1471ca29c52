"""`gateway key issue|list|revoke`."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.demo.catalogue import ACCOUNTS, APPLICATIONS
from tests.cli.conftest import Run
from tests.cli.processes import Finished, Serving, serving, wait_until

BOOKWELL, ACME = APPLICATIONS[1], ACCOUNTS[0]
VIEWER = "{ viewer { kind application { slug } account { name } } }"


Key = Callable[..., Finished]


@pytest.fixture
def key(demo_url: str, run: Run) -> Key:
    return lambda *arguments: run("key", *arguments, DATABASE_URL=demo_url)


def viewer(served: Serving, secret: str) -> tuple[str, str | None, str | None]:
    found = served.data(VIEWER, secret)["viewer"]
    application, account = found["application"], found["account"]
    return found["kind"], application and application["slug"], account and account["name"]


def test_keys_authenticate_until_they_are_revoked(demo_url: str, log: Path, key: Key) -> None:
    with serving(log=log, DATABASE_URL=demo_url) as served:
        expect_keys_of_every_kind(served, key)
        expect_revocation(served, key)


def expect_keys_of_every_kind(served: Serving, key: Key) -> None:
    def issued(*arguments: str) -> tuple[str, str | None, str | None]:
        return viewer(served, key("issue", "--label", "tests", *arguments).output.strip())

    account = str(ACME.id)
    assert issued("--kind", "platform") == ("PLATFORM", None, None)
    assert issued("--kind", "application", "--application", "bookwell") == ("APPLICATION", "bookwell", None)
    assert issued("--kind", "application", "--application", str(BOOKWELL.id)) == ("APPLICATION", "bookwell", None)
    assert issued("--kind", "application", "--application", "bookwell", "--account", account) == (
        "APPLICATION",
        "bookwell",
        "Acme Bakery",
    )
    assert issued("--kind", "account", "--account", account) == ("ACCOUNT", None, "Acme Bakery")


def test_issued_key_is_printed_as_json(key: Key) -> None:
    printed = key(
        "issue",
        "--kind",
        "platform",
        "--label",
        "ours",
        "--expires",
        "2099-01-31T13:00:00+01:00",
        "--json",
    ).output
    made = json.loads(printed)
    assert re.fullmatch(r"igw_[\w-]{12}_[\w-]{43}", made.pop("secret"))
    assert re.fullmatch(r"[0-9a-f-]{36}", made.pop("id"))
    assert made.pop("prefix") in json.loads(printed)["secret"]
    assert datetime.fromisoformat(made.pop("createdAt")).tzinfo is not None
    unset = dict.fromkeys(("applicationId", "accountId", "revokedAt", "lastUsedAt"))
    assert made == {"kind": "PLATFORM", "label": "ours", "expiresAt": "2099-01-31T12:00:00Z", **unset}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--kind platform --account 65816f7f-9947-513b-ad16-2bf0586ecbd4", "leave --application and --account out."),
        ("--kind application", "a key of --kind application needs --application SLUG|ID."),
        ("--kind application --application nope", "there is no application 'nope'"),
        ("--kind application --application 65816f7f-9947-513b-ad16-2bf0586ecbd4", "There is no application 65816f7f"),
        ("--kind account", "a key of --kind account needs --account ID."),
        ("--kind account --account Acme", "--account takes an id such as"),
        ("--kind account --account 65816f7f-9947-513b-ad16-2bf0586ecbd4", "There is no account 65816f7f"),
        ("--kind account --application bookwell --account 65816f7f-9947-513b-ad16-2bf0586ecbd4", "leave --application"),
        ("--kind platform --expires 2020-01-01T00:00:00Z", "--expires has to be in the future; 2020-01-01T00:00:00"),
        ("--kind platform --expires tomorrow", "'tomorrow' is no time; write it as in 2027-01-31T12:00:00Z"),
        ("--kind nobody", "invalid choice: 'nobody'"),
    ],
)
def test_options_that_do_not_match_are_refused(key: Key, arguments: str, message: str) -> None:
    refused = key("issue", "--label", "wrong", *arguments.split())
    assert (refused.status in {1, 2}, refused.output) == (True, "")
    assert message in refused.errors


def test_list_shows_every_key_without_its_secret(key: Key) -> None:
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    secret = key("issue", "--kind", "platform", "--label", "ours", "--expires", soon).output.strip()
    shown, listed = key("list"), key("list", "--json")
    prefix, tail = secret[:16], secret[17:]
    assert prefix in shown.output
    assert tail not in shown.output + listed.output
    assert re.search(r"PLATFORM +in force +never +igw_\S+ +ours\n", shown.output)
    one = next(one for one in json.loads(listed.output) if one["label"] == "ours")
    assert (one["prefix"], one["label"], one["revokedAt"], one["lastUsedAt"]) == (prefix, "ours", None, None)


def expect_revocation(served: Serving, key: Key) -> None:
    made = json.loads(key("issue", "--kind", "platform", "--label", "ours", "--json").output)
    assert served.post(VIEWER, made["secret"]).status_code == 200
    revoked = key("revoke", made["id"])
    wait_until(lambda: served.post(VIEWER, made["secret"]).status_code == 401)  # the notification is on its way
    refused = served.post(VIEWER, made["secret"])
    assert re.fullmatch(rf"revoked {made['id']} \(ours\) at \S+Z\n", revoked.output)
    assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")
    assert key("revoke", made["id"]).output == revoked.output


def test_revoking_an_unknown_key_is_refused(key: Key) -> None:
    unknown = key("revoke", "65816f7f-9947-513b-ad16-2bf0586ecbd4")
    assert (unknown.status, "There is no API key 65816f7f" in unknown.errors) == (1, True)
    assert key("revoke", "igw_abc").status == 2
