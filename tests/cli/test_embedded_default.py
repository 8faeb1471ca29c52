"""`gateway serve` without any setting: the embedded Postgres in a data directory, example data and keys."""

import json
import os
import signal
import stat
from pathlib import Path

import pytest

from gateway.cli.database_target import data_directory_of
from gateway.cli.default_keys import default_keys
from gateway.storage.database import Database
from gateway.usecases.services import Services
from tests.cli.conftest import Run
from tests.cli.processes import Serving, serving, starting, wait_until

COUNT = "{ installations { totalCount } viewer { kind } }"
EVERYTHING = (
    "{ applications(first: 50) { totalCount nodes { authorizationMethod requiresConfiguration } }"
    " installations(first: 100) { totalCount statusCounts { status count } nodes { account { name } } } }"
)
DELETION = 'mutation { deleteInstallation(input: {id: "65816f7f-9947-513b-ad16-2bf0586ecbd4"}) { __typename } }'


def count(served: Serving) -> int:
    total: int = served.data(COUNT, served.keys["platform"])["installations"]["totalCount"]
    return total


def expect_example_data_and_keys(served: Serving, directory: Path) -> None:
    kinds = {kind: served.data(COUNT, key)["viewer"]["kind"] for kind, key in served.keys.items()}
    assert kinds == {"platform": "PLATFORM", "application": "APPLICATION", "account": "ACCOUNT"}
    assert stat.S_IMODE((directory / "keys.json").stat().st_mode) == 0o600
    assert served.get("/healthz").json() == {"status": "alive"}
    assert served.get("/readyz").json() == {"status": "ready"}
    found = served.data(EVERYTHING, served.keys["platform"])
    assert found["applications"]["totalCount"] == 16
    assert len({one["account"]["name"] for one in found["installations"]["nodes"]}) == 4
    assert {(one["authorizationMethod"], one["requiresConfiguration"]) for one in found["applications"]["nodes"]} == {
        ("OAUTH", True),
        ("OAUTH", False),
        ("API_KEY", True),
        ("API_KEY", False),
    }
    assert all(one["count"] > 0 for one in found["installations"]["statusCounts"])
    assert found["installations"]["totalCount"] >= 50


def expect_commands_to_work(served: Serving, directory: Path, run: Run) -> None:
    assert run("migrate", "--data", directory).output == "nothing to apply\n"
    assert run("demo", "--data", directory).output == "loaded the example data: 0 new installations\n"
    issued = run("key", "issue", "--data", directory, "--kind", "platform", "--label", "another")
    assert served.data("{ viewer { kind } }", issued.output.strip()) == {"viewer": {"kind": "PLATFORM"}}


def test_data_and_keys_outlast_a_stop_and_a_kill(directory: Path, log: Path, run: Run) -> None:
    with serving("--data", directory, log=log) as first:
        expect_example_data_and_keys(first, directory)
        expect_commands_to_work(first, directory, run)
        first.data(DELETION, first.keys["platform"])
        before = count(first)
        assert first.stop(signal.SIGINT) == 0
        assert first.logged == ""
    assert not (directory / "postgres" / "postmaster.pid").exists()
    with serving("--data", directory, log=log) as second:
        assert (second.keys, count(second)) == (first.keys, before)
        os.killpg(second.process.pid, signal.SIGKILL)
        second.process.wait(60)
    with serving("--data", directory, log=log) as third:
        assert (third.keys, count(third)) == (first.keys, before)


def test_without_example_data_there_is_one_key_and_no_row(initialized: Path, log: Path, run: Run) -> None:
    with serving("--data", initialized, "--no-demo", log=log) as served:
        assert list(served.keys) == ["platform"]
        found = served.data(EVERYTHING, served.keys["platform"])
        assert (found["applications"]["totalCount"], found["installations"]["totalCount"]) == (0, 0)
        second = run("serve", "--data", initialized, "--port", "0")
        assert (second.status, second.output) == (1, "")
        assert f"A gateway already serves from {initialized}" in second.errors
        assert str(served.process.pid) in second.errors
        assert count(served) == 0


def test_data_directory_of_root_can_be_reached_by_other_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert data_directory_of(None) == Path("/var/lib/installations-gateway")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/home/somebody/.local/share")
    assert data_directory_of(None) == Path("/home/somebody/.local/share/installations-gateway")


def test_signal_during_the_start_stops_the_gateway_and_its_postgres(initialized: Path, log: Path, run: Run) -> None:
    other = "postgresql://nobody:secret@nowhere.invalid/x"
    made = run("key", "list", "--data", initialized, DATABASE_URL=other)  # --data outweighs it
    assert (made.status, made.errors) == (0, "")
    with starting("--data", initialized, log=log) as process:
        wait_until((initialized / "postgres" / "postmaster.pid").exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in {0, 128 + signal.SIGTERM}  # 0 where it was ready by then
    assert not (initialized / "postgres" / "postmaster.pid").exists()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("broken", ["{", '{"PLATFORM": 5}'])
async def test_broken_file_of_keys_is_replaced_with_a_warning(
    broken: str, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    services, file = Services(database=database, notify=lambda: None), tmp_path / "keys.json"
    (first,) = await default_keys(services, tmp_path)
    file.write_text(broken)
    (second,) = await default_keys(services, tmp_path)
    assert second.secret != first.secret
    assert json.loads(file.read_text()) == {"PLATFORM": second.secret}
    (warning,) = caplog.messages
    assert warning.startswith(f"{file} cannot be read: new keys are made.")
    assert await default_keys(services, tmp_path) == (second,)
