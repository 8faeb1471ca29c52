"""The command line: what there is, what each command takes, and how its failures are said."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import uvloop

from gateway import __version__
from gateway.cli.durations import read_duration
from gateway.cli.help_text import DESCRIPTION, KEY_TEXT, PRUNE_TEXT, SERVE_TEXT

Command = Callable[[argparse.Namespace], Coroutine[Any, Any, int]]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command, and exit with its status: 0 done, 1 failed, 2 called wrongly, 128 + n stopped by signal n."""
    given = command_line().parse_args(arguments)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            sys.exit(runner.run(given.command(given)))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:  # whoever reads what is printed has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:  # noqa: BLE001 - what is none of the expected is raised again
        from gateway.cli.errors import exit_for

        exit_for(error)


def command_line() -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    parser = argparse.ArgumentParser(prog="gateway", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"gateway {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands", parser_class=_CommandParser)
    _add_serve(commands)
    _add_migrate(commands)
    _add_schema(commands)
    _add_key(commands)
    _add_documents(commands)
    _add_events(commands)
    _add_demo(commands)
    return parser


class _CommandParser(argparse.ArgumentParser):
    """Lists the settings below the help of `serve`; they are loaded for that alone, since they take 0.2 s."""

    def format_help(self) -> str:
        if self.prog.endswith(" serve"):
            from gateway.cli.settings_text import settings_text

            self.epilog = settings_text()
        return super().format_help()


def _add(commands: Any, name: str, summary: str, command: Command | None, **more: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=more.pop("description", summary),
        formatter_class=argparse.RawDescriptionHelpFormatter, **more,
    )  # fmt: skip
    if command is not None:
        parser.set_defaults(command=command)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="use the embedded Postgres in this directory (without --data: the database that DATABASE_URL names, or"
        " else the embedded one in your user data directory)",
    )


def _add_serve(commands: Any) -> None:
    parser = _add(commands, "serve", "Start the gateway.", _serve, description=SERVE_TEXT)
    _add_data(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=_port, default=8000, help="port to listen on; 0 takes a free one (default: 8000)"
    )
    parser.add_argument("--no-demo", action="store_true", help="embedded only: do not load the example data")
    parser.add_argument("--migrate", action="store_true", help="with DATABASE_URL: apply missing migrations first")
    parser.add_argument(
        "--drain-seconds", type=_drain_seconds, metavar="SECONDS",
        help="how long running requests may go on after a signal to stop (default: GATEWAY_DRAIN_SECONDS)",
    )  # fmt: skip


def _add_migrate(commands: Any) -> None:
    _add_data(_add(commands, "migrate", "Bring the database's tables up to this version of the gateway.", _migrate))


def _add_schema(commands: Any) -> None:
    parser = _add(commands, "schema", "Print the GraphQL schema.", _schema)
    parser.add_argument(
        "--check", nargs="?", type=Path, const=Path("schema.graphql"), metavar="FILE",
        help="instead of printing, compare with a file (default: schema.graphql) and say what differs",
    )  # fmt: skip


def _add_key(commands: Any) -> None:
    parser = _add(commands, "key", "Issue, list and revoke API keys.", None, description=KEY_TEXT)
    actions = parser.add_subparsers(required=True, metavar="ACTION", title="actions")
    issue = _add(actions, "issue", "Make a key and print its secret, which is shown this once.", _issue_key)
    _add_data(issue)
    issue.add_argument("--kind", required=True, choices=("platform", "application", "account"), help="whose key it is")
    issue.add_argument("--application", metavar="SLUG|ID", help="the application, for --kind application")
    issue.add_argument(
        "--account", metavar="ID",
        help="the account, for --kind account; with --kind application it binds the key to this one account",
    )  # fmt: skip
    issue.add_argument("--expires", type=_time, metavar="ISO-TIME", help="when it ends, such as 2027-01-31T12:00:00Z")
    issue.add_argument("--label", required=True, metavar="TEXT", help="what to call it, in lists and in the log")
    issue.add_argument("--json", action="store_true", help="print one JSON object")
    listing = _add(actions, "list", "List all keys, without their secrets.", _list_keys)
    _add_data(listing)
    listing.add_argument("--json", action="store_true", help="print one JSON array")
    revoke = _add(actions, "revoke", "End a key: it is refused from then on.", _revoke_key)
    _add_data(revoke)
    revoke.add_argument("id", metavar="ID", help="the key's id, as `gateway key list` shows it")


def _add_documents(commands: Any) -> None:
    parser = _add(commands, "documents", "Register the documents that clients may run by their SHA-256.", None)
    actions = parser.add_subparsers(required=True, metavar="ACTION", title="actions")
    register = _add(actions, "register", "Check documents against the schema, and store them.", _register_documents)
    _add_data(register)
    register.add_argument(
        "source", type=Path, metavar="DIR|FILE",
        help="a directory of .graphql files, one such file, or a JSON manifest: a document's text by its SHA-256",
    )  # fmt: skip


def _add_demo(commands: Any) -> None:
    _add_data(_add(commands, "demo", "Load the example data into the database; what is there already stays.", _demo))


def _add_events(commands: Any) -> None:
    parser = _add(commands, "events", "Prune the log of events.", None)
    actions = parser.add_subparsers(required=True, metavar="ACTION", title="actions")
    prune = _add(actions, "prune", "Remove old events for good.", _prune_events, description=PRUNE_TEXT)
    _add_data(prune)
    prune.add_argument(
        "--older-than", required=True, type=_duration, metavar="SPAN",
        help="such as 90d, 12h or 30m (w, d, h, m, s), or as in ISO 8601: P90D, PT12H",
    )  # fmt: skip


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:  # noqa: PLR2004 - what a port is
        raise argparse.ArgumentTypeError(f"{text!r} is no port; a port is a number from 0 to 65535")
    return int(text)


def _drain_seconds(text: str) -> float:
    from gateway.settings import read_setting

    try:
        seconds: float = read_setting("drain_seconds", text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return seconds


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        example = "2027-01-31T12:00:00Z"
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write it as in {example}") from None
    return time if time.tzinfo else time.astimezone()


def _duration(text: str) -> timedelta:
    try:
        return read_duration(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no span of time; write it as in 90d, 12h or P90D") from None


async def _serve(given: argparse.Namespace) -> int:
    from gateway.cli.serve import serve

    return await serve(
        data=given.data,
        host=given.host,
        port=given.port,
        demo=not given.no_demo,
        migrate_first=given.migrate,
        drain_seconds=given.drain_seconds,
    )


async def _migrate(given: argparse.Namespace) -> int:
    from gateway.cli.databases import apply_migrations

    return await apply_migrations(given.data)


async def _demo(given: argparse.Namespace) -> int:
    from gateway.cli.databases import load_demo

    return await load_demo(given.data)


async def _schema(given: argparse.Namespace) -> int:
    from gateway.cli.schema import check_sdl, show_sdl

    return show_sdl() if given.check is None else check_sdl(given.check)


async def _prune_events(given: argparse.Namespace) -> int:
    from gateway.cli.events import prune

    return await prune(given.data, older_than=given.older_than)


async def _issue_key(given: argparse.Namespace) -> int:
    from gateway.cli.keys import issue

    return await issue(
        given.data,
        kind=given.kind,
        application=given.application,
        account=given.account,
        expires_at=given.expires,
        label=given.label,
        as_json=given.json,
    )


async def _register_documents(given: argparse.Namespace) -> int:
    from gateway.cli.documents import register

    return await register(given.data, source=given.source)


async def _list_keys(given: argparse.Namespace) -> int:
    from gateway.cli.keys import show

    return await show(given.data, as_json=given.json)


async def _revoke_key(given: argparse.Namespace) -> int:
    from gateway.cli.keys import revoke

    return await revoke(given.data, api_key_id=given.id)
