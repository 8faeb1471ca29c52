"""The commands with DATABASE_URL: what they do, and what they refuse with which message."""

import asyncio
import re
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.storage.cluster import Cluster
from gateway.storage.embedded import embedded_postgres_blocking
from gateway.storage.migrations import load_migrations
from tests.cli.conftest import Run
from tests.cli.processes import WITHIN_SECONDS, command, environment, serving, wait_until
from tests.conftest import UNSAFE_BUT_QUICK, run_on
from tests.gateway_process import GatewayCommand
from tests.roles import SERVER, as_role

PUT_OFF = "The database cannot be reached. Try again later."
SECRET = "correct-horse"


def test_nothing_is_loaded_and_no_key_is_printed(database_url: str, log: Path, run: Run) -> None:
    with serving(log=log, DATABASE_URL=database_url) as served:
        assert served.keys == {}
        assert served.get("/readyz").json() == {"status": "ready"}
        assert served.http.get(served.url, headers={"Accept": "text/html"}).status_code == 406
        issued = run("key", "issue", "--kind", "platform", "--label", "us", DATABASE_URL=database_url)
        assert served.data("{ installations { totalCount } }", issued.output.strip()) == {
            "installations": {"totalCount": 0}
        }
        assert served.stop(signal.SIGTERM) == 0
    assert served.logged == ""


def test_database_that_is_behind_is_refused_until_it_is_migrated(empty_database_url: str, log: Path, run: Run) -> None:
    names = ", ".join(f"{one.number:04}_{one.name}" for one in load_migrations())
    refused = run("serve", "--port", "0", DATABASE_URL=empty_database_url)
    assert (refused.status, refused.output) == (1, "")
    assert refused.errors == (
        f"gateway: The database is behind: it lacks {names}. Run `gateway migrate`, or serve with --migrate.\n"
    )
    with serving("--migrate", log=log, DATABASE_URL=empty_database_url) as served:
        assert served.get("/readyz").status_code == 200


def test_serving_role_is_told_that_the_owner_migrates(database_url: str, run: Run) -> None:
    last, server = load_migrations()[-1], as_role(database_url, SERVER)
    asyncio.run(run_on(database_url, f"delete from schema_migrations where number = {last.number}"))
    for arguments in (["serve", "--port", "0"], ["serve", "--port", "0", "--migrate"], ["migrate"]):
        refused = run(*arguments, DATABASE_URL=server)
        assert (refused.status, refused.output) == (1, "")
        assert refused.errors == (
            f"gateway: The database is behind: it lacks {last.number:04}_{last.name}."
            " Run `gateway migrate` as the role that owns the tables; this one does not own them.\n"
        )


def test_commands_work_as_the_serving_role(database_url: str, log: Path, tmp_path: Path, run: Run) -> None:
    server = as_role(database_url, SERVER)
    (tmp_path / "viewer.graphql").write_text("{ viewer { kind } }")
    with serving("--migrate", log=log, DATABASE_URL=server, GATEWAY_RETENTION_DAYS="7") as served:
        assert run("demo", DATABASE_URL=server).status == 0
        assert run("documents", "register", tmp_path, DATABASE_URL=server).status == 0
        key = run("key", "issue", "--kind", "platform", "--label", "us", DATABASE_URL=server).output.strip()
        assert served.data("{ viewer { kind } }", key) == {"viewer": {"kind": "PLATFORM"}}
        wait_until(lambda: "Postponed: pruning events: Only the owner of the tables" in served.logged)
        assert run("events", "prune", "--older-than", "59d", DATABASE_URL=server).output.startswith("removed ")
        refused = run("events", "prune", "--older-than", "12h", DATABASE_URL=server)
    assert (refused.status, refused.output) == (1, "")
    assert refused.errors == "gateway: Only the owner of the tables may remove events of the last 30 days.\n"
    assert "Traceback" not in served.logged


def test_migrate_prints_what_it_applied(empty_database_url: str, run: Run) -> None:
    applied = run("migrate", DATABASE_URL=empty_database_url)
    assert applied.output.splitlines() == [f"applied {one.number:04} {one.name}" for one in load_migrations()]
    again = run("migrate", DATABASE_URL=empty_database_url)
    assert (again.status, again.output, again.errors) == (0, "nothing to apply\n", "")


def test_concurrent_migrations_are_applied_once(empty_database_url: str, log: Path) -> None:
    variables = environment(DATABASE_URL=empty_database_url)
    both = [GatewayCommand(["migrate"], environment=variables, errors=log) for _ in range(2)]
    printed = "".join(process.output.read() for process in both)
    assert [process.wait(WITHIN_SECONDS) for process in both] == [0, 0]
    assert printed.count("applied 0001") == printed.count("nothing to apply") == 1


def test_database_that_is_ahead_is_refused(database_url: str, run: Run) -> None:
    asyncio.run(run_on(database_url, "insert into schema_migrations values (9000, 'the_future', 'x', now())"))
    for arguments in (["serve", "--port", "0"], ["serve", "--port", "0", "--migrate"], ["key", "list"], ["demo"]):
        refused = run(*arguments, DATABASE_URL=database_url)
        assert (refused.status, refused.output) == (1, "")
        assert refused.errors == (
            "gateway: The database is ahead: it has 9000_the_future, which this gateway does not know."
            " Run the gateway version that applied it, or a later one.\n"
        )


def test_demo_loads_once(database_url: str, run: Run) -> None:
    first = run("demo", DATABASE_URL=database_url)
    assert first.output == "loaded the example data: 62 new installations\n"
    assert run("demo", DATABASE_URL=database_url).output == "loaded the example data: 0 new installations\n"


@pytest.mark.parametrize(
    ("address", "explanation"),
    [
        (f"mysql://u:{SECRET}@127.0.0.1/x", "it is not the address of a Postgres database. It has to look like"),
        (SECRET, "it is not the address of a Postgres database. It has to look like"),
        (f"postgresql://u:{SECRET}@127.0.0.1:abc/x", "its parts do not make sense. It has to look like"),
        (f"postgresql://u:{SECRET}/more@127.0.0.1/x", "its parts do not make sense. It has to look like"),
        (f"postgresql://u:{SECRET}@127.0.0.1:1/x", "the server 127.0.0.1 does not run, or not on this port"),
        (f"postgresql://u:{SECRET}@nowhere.invalid/x", "the name of the server nowhere.invalid is not known"),
    ],
)
def test_wrong_address_is_explained_without_its_password(address: str, explanation: str, run: Run) -> None:
    refused = run("serve", "--port", "0", DATABASE_URL=address)
    assert (refused.status, refused.output) == (1, "")
    assert refused.errors.startswith(f"gateway: the database of DATABASE_URL cannot be used: {explanation}")
    assert SECRET not in refused.errors
    assert refused.errors.count("\n") == 1


def test_server_that_is_no_postgres_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"postgresql://u:{SECRET}@127.0.0.1:{listener.getsockname()[1]}/x"
        with subprocess.Popen(
            command(["migrate"]), env=environment(DATABASE_URL=address), stderr=subprocess.PIPE, text=True
        ) as process:
            caller, _ = listener.accept()
            with caller:
                caller.recv(100)
                caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            _, errors = process.communicate(timeout=WITHIN_SECONDS)
    assert process.returncode == 1
    assert errors == (
        "gateway: the database of DATABASE_URL cannot be used:"
        " the server 127.0.0.1 does not answer as a Postgres server does.\n"
    )


def test_database_that_does_not_exist_is_explained(database_url: str, run: Run) -> None:
    refused = run("migrate", DATABASE_URL=database_url.replace("/test_", "/no_"))
    assert refused.status == 1
    assert 'database "no_' in refused.errors
    assert refused.errors.endswith("does not exist. Create the database first.\n")


@pytest.fixture
async def unprivileged_url(database_url: str) -> AsyncIterator[str]:
    """Yield the address for a role that may log in, and nothing else."""
    name = f"unprivileged_{urlsplit(database_url).path[-8:]}"
    await run_on(database_url, f"create role {name} login password '{SECRET}'")
    yield database_url.replace("://postgres@", f"://{name}:{SECRET}@")
    await run_on(database_url, f"drop role {name}")


def test_missing_privilege_is_named(unprivileged_url: str, run: Run) -> None:
    for arguments in (["migrate"], ["serve", "--port", "0"], ["key", "list"]):
        refused = run(*arguments, DATABASE_URL=unprivileged_url)
        assert refused.status == 1
        assert refused.errors.startswith("gateway: the database says: permission denied for ")
        assert SECRET not in refused.errors


def test_lost_connections_to_the_database_do_not_end_serving(database_url: str, log: Path, run: Run) -> None:
    with serving(log=log, DATABASE_URL=database_url) as served:
        key = run("key", "issue", "--kind", "platform", "--label", "us", DATABASE_URL=database_url).output.strip()
        cut = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'gateway'"
        asyncio.run(run_on(database_url, cut))
        assert served.data("{ installations { totalCount } }", key) == {"installations": {"totalCount": 0}}
        assert served.get("/readyz").status_code == 200
    assert "Traceback" not in served.logged


def test_restart_of_postgres_leaves_no_traceback_in_the_log(data_directory: Path, log: Path) -> None:
    with embedded_postgres_blocking(data_directory, exclusive=False, settings=UNSAFE_BUT_QUICK) as url:
        postgres = Cluster(data=data_directory / "postgres", settings=UNSAFE_BUT_QUICK)
        with serving("--migrate", log=log, DATABASE_URL=url) as served:
            postgres.stop()
            wait_until(lambda: served.get("/readyz").status_code == 503)
            assert served.get("/readyz").json()["reason"] == "The database cannot be reached. Try again later."
            wait_until(lambda: served.logged.count(PUT_OFF) > 1)  # the tasks of each second go on
            postgres.start(database="gateway")
            wait_until(lambda: served.get("/readyz").status_code == 200)
            served.stop(signal.SIGTERM)
    lines = served.logged.splitlines()
    assert all(re.match(r"[0-9-]{10} [0-9:,]{12} WARNING gateway", line) for line in lines), served.logged
