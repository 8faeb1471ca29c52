"""What the commands print: help, settings, the schema, an address that is taken."""

import re
import socket
from inspect import signature
from pathlib import Path
from pkgutil import resolve_name

import pytest

from gateway.cli import commands
from gateway.schema.schema import print_sdl
from gateway.settings import describe_settings
from tests.cli.conftest import Run

CALLS = (
    "serve",
    "migrate",
    "schema",
    "key issue --kind platform --label ours",
    "key list",
    "key revoke 65816f7f-9947-513b-ad16-2bf0586ecbd4",
    "documents register operations",
    "events prune --older-than 90d",
    "demo",
)
COMMANDS = ("key", "documents", "events", *(re.sub(r" (--|operations|\d).*", "", call) for call in CALLS))


@pytest.mark.parametrize("call", CALLS)
def test_function_of_every_command_takes_its_arguments(call: str) -> None:
    given = vars(commands.command_line().parse_args(call.split()))
    signature(resolve_name(given.pop("command"))).bind(**given)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_command_has_a_help_of_80_columns(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        commands.main([*name.split(), "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: {f'gateway {name}'.strip()}")
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_help_of_serve_names_every_setting(run: Run) -> None:
    shown = run("serve", "--help").output
    for setting in describe_settings():
        assert f"\n  {setting.name}\n" in shown
    assert "\n  DATABASE_URL\n" in shown


def test_wrong_setting_stops_the_start(run: Run) -> None:
    refused = run("serve", "--port", "0", GATEWAY_POOL_SIZE="many")
    assert (refused.status, refused.output) == (1, "")
    assert refused.errors == ("gateway: GATEWAY_POOL_SIZE is 'many'; allowed is a whole number from 1 to 500.\n")


def test_schema_is_printed(run: Run) -> None:
    assert run("schema").output == print_sdl()


def test_schema_check_prints_what_differs(tmp_path: Path, run: Run) -> None:
    kept = tmp_path / "schema.graphql"
    missing = run("schema", "--check", kept)
    assert (missing.status, missing.errors) == (
        1,
        f"gateway: there is no {kept}. Make it: gateway schema > {kept}\n",
    )
    kept.write_text(print_sdl())
    assert run("schema", "--check", kept).status == 0
    kept.write_text(print_sdl().replace("statusReason", "reasonOfStatus"))
    different = run("schema", "--check", kept)
    assert different.status == 1
    assert "\n-  reasonOfStatus" in different.output
    assert "\n+  statusReason" in different.output
    assert f"{kept} is not what the code prints" in different.errors


def test_schema_check_names_what_breaks_clients(tmp_path: Path, run: Run) -> None:
    kept = tmp_path / "schema.graphql"
    sdl = print_sdl()
    kept.write_text(
        re.sub(r"\bstatusReason:", "reasonOfStatus:", sdl).replace("enum SyncOutcome {", "enum SyncOutcome {\n  LATE")
    )
    broken = run("schema", "--check", kept).errors
    assert broken.startswith(f"gateway: clients of {kept} would break:\n")
    assert "  Field Installation.reasonOfStatus was removed.\n" in broken
    assert "  Enum value SyncOutcome.LATE was removed.\n" in broken
    assert "deprecate it" in broken
    kept.write_text(re.sub(r"^  statusReason: .*\n", "", sdl, flags=re.MULTILINE))
    grown = run("schema", "--check", kept)
    assert (grown.status, "would break" in grown.errors) == (1, False)
    kept.write_text("type")
    assert f"{kept} is not a schema: Syntax Error" in run("schema", "--check", kept).errors


def test_port_in_use_is_refused_with_advice(directory: Path, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        refused = run("serve", "--data", directory, "--port", str(port))
    assert (refused.status, refused.output) == (1, "")
    assert refused.errors == (
        f"gateway: cannot listen on 127.0.0.1 port {port}: another program listens there."
        " Choose another --port, or stop that program.\n"
    )
    assert not directory.exists()


@pytest.mark.parametrize("arguments", [[], ["key"], ["serve", "--port", "70000"], ["serve", "--drain-seconds", "nan"]])
def test_wrong_arguments_show_the_usage(arguments: list[str], run: Run) -> None:
    refused = run(*arguments)
    assert (refused.status, refused.output) == (2, "")
    assert refused.errors.startswith("usage: gateway")


def test_unusable_data_directory_is_refused(tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        refused = run("key", "list", "--data", directory)
        assert (refused.status, refused.output) == (1, "")
        assert refused.errors.startswith(f"gateway: The data directory {directory} cannot be used: ")
