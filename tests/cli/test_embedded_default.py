"""`gateway serve` as a stranger starts it: nothing set, a data directory, Ctrl-C."""

import json
import os
import signal
import stat
import time
from pathlib import Path

from tests.cli.processes import Serving, gateway, serving, starting, wait_until

COUNT = "{ installations { totalCount } viewer { kind } }"
EVERYTHING = (
    "{ applications(first: 50) { totalCount nodes { authorizationMethod requiresConfiguration } }"
    " installations(first: 100) { totalCount statusCounts { status count } nodes { account { name } } } }"
)


def count(served: Serving) -> int:
    total: int = served.data(COUNT, served.keys["platform"])["installations"]["totalCount"]
    return total


def test_first_start_prints_the_address_and_three_keys_that_open_what_they_say(directory: Path, log: Path) -> None:
    with serving("--data", directory, log=log) as served:
        kinds = {kind: served.data(COUNT, key)["viewer"]["kind"] for kind, key in served.keys.items()}
        assert kinds == {"platform": "PLATFORM", "application": "APPLICATION", "account": "ACCOUNT"}
        assert served.get("/healthz").json() == {"status": "alive"}
        assert served.get("/readyz").json() == {"status": "ready"}
        assert stat.S_IMODE((directory / "keys.json").stat().st_mode) == 0o600
        found = served.data(EVERYTHING, served.keys["platform"])
        assert found["applications"]["totalCount"] == 16
        assert len({one["account"]["name"] for one in found["installations"]["nodes"]}) == 4
        assert {
            (one["authorizationMethod"], one["requiresConfiguration"]) for one in found["applications"]["nodes"]
        } == {("OAUTH", True), ("OAUTH", False), ("API_KEY", True), ("API_KEY", False)}
        assert all(one["count"] > 0 for one in found["installations"]["statusCounts"])
        assert found["installations"]["totalCount"] >= 50
    assert served.logged == ""


def test_stopped_and_started_again_it_has_its_data_and_its_keys(directory: Path, log: Path) -> None:
    with serving("--data", directory, log=log) as first:
        waiting = "65816f7f-9947-513b-ad16-2bf0586ecbd4"
        deletion = "mutation M($id: ID!) { deleteInstallation(input: {id: $id}) { __typename } }"
        first.data(deletion, first.keys["platform"], id=waiting)
        before = count(first)
        assert first.stop(signal.SIGINT) == 0
    assert not (directory / "postgres" / "postmaster.pid").exists()
    started = time.monotonic()
    with serving("--data", directory, log=log) as second:
        assert time.monotonic() - started < 30
        assert (second.keys, count(second)) == (first.keys, before)


def test_second_one_on_the_same_directory_says_so(directory: Path, log: Path) -> None:
    with serving("--data", directory, "--no-demo", log=log) as first:
        second = gateway("serve", "--data", directory, "--port", "0")
        assert (second.status, second.output) == (1, "")
        assert f"A gateway already serves from {directory}" in second.errors
        assert str(first.process.pid) in second.errors
        assert count(first) == 0


def test_killed_it_starts_again_with_its_data(directory: Path, log: Path) -> None:
    with serving("--data", directory, log=log) as first:
        before = count(first)
        os.killpg(first.process.pid, signal.SIGKILL)
        first.process.wait()
    with serving("--data", directory, log=log) as second:
        assert (second.keys, count(second)) == (first.keys, before)


def test_without_the_demo_there_is_one_key_and_no_row(directory: Path, log: Path) -> None:
    with serving("--data", directory, "--no-demo", log=log) as served:
        assert list(served.keys) == ["platform"]
        found = served.data(EVERYTHING, served.keys["platform"])
        assert (found["applications"]["totalCount"], found["installations"]["totalCount"]) == (0, 0)


def test_broken_keys_are_made_anew_and_said(directory: Path, log: Path) -> None:
    with serving("--data", directory, "--no-demo", log=log) as first:
        key = first.keys["platform"]
    for broken in ("{", '{"PLATFORM": 5}'):
        (directory / "keys.json").write_text(broken)
        with serving("--data", directory, "--no-demo", log=log) as again:
            assert count(again) == 0
            assert again.keys["platform"] != key
            assert "keys.json cannot be read: new keys are made" in again.logged
            assert json.loads((directory / "keys.json").read_text()) == {"PLATFORM": again.keys["platform"]}


def test_signal_during_the_start_ends_it_and_its_postgres(directory: Path, log: Path) -> None:
    with serving("--data", directory, "--no-demo", log=log):
        """Makes the cluster, so that the start that follows has a Postgres soon."""
    with starting("--data", directory, log=log) as process:
        wait_until((directory / "postgres" / "postmaster.pid").exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in {0, 128 + signal.SIGTERM}  # 0 where it was ready by then
    assert not (directory / "postgres" / "postmaster.pid").exists()
    assert "Traceback" not in log.read_text()


def test_commands_work_on_the_directory_while_it_is_served_and_while_not(directory: Path, log: Path) -> None:
    assert gateway("demo", "--data", directory).output.startswith("loaded the example data: ")
    assert gateway("demo", "--data", directory).output == "loaded the example data: 0 new installations\n"
    assert gateway("migrate", "--data", directory).output == "nothing to apply\n"
    with serving("--data", directory, log=log) as served:
        issued = gateway("key", "issue", "--data", directory, "--kind", "platform", "--label", "another")
        assert served.data("{ viewer { kind } }", issued.output.strip()) == {"viewer": {"kind": "PLATFORM"}}
        assert gateway("demo", "--data", directory).status == 0


def test_data_outweighs_database_url(directory: Path) -> None:
    done = gateway("key", "list", "--data", directory, DATABASE_URL="postgresql://nobody:secret@nowhere.invalid/x")
    assert (done.status, done.errors) == (0, "")
