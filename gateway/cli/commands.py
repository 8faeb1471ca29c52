"""The command line: which commands there are, and what each takes."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NoReturn

import uvloop

from gateway import __version__
from gateway.cli.arguments import read_drain_seconds, read_duration, read_port, read_time
from gateway.cli.help_text import DESCRIPTION, KEY_TEXT, PRUNE_TEXT, SERVE_TEXT, settings_text


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command, and exit with its status: 0 done, 1 failed, 2 called wrongly, 128 + n stopped by signal n."""
    given = vars(command_line().parse_args(arguments))
    try:
        # Modules are imported with the command that needs them, so that --help and --version take 0.1 s.
        command = resolve_name(given.pop("command"))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            sys.exit(runner.run(command(**given)))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:  # the reader of our output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:  # noqa: BLE001 - an unexpected one is raised again
        from gateway.cli.errors import exit_for

        exit_for(error)


def command_line() -> argparse.ArgumentParser:
    """Make the parser of all commands. It names the command's function in `command`, its arguments beside it."""
    parser = argparse.ArgumentParser(prog="gateway", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"gateway {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands", parser_class=_CommandParser)
    _add_serve(commands)
    migrate = _add(commands, "migrate", "Bring the database's tables up to this version of the gateway.")
    _set_command(migrate, "gateway.cli.maintenance:migrate")
    _add_schema(commands)
    _add_key(commands)
    _add_documents(commands)
    _add_events(commands)
    demo = _add(commands, "demo", "Load the example data into the database; what exists stays as it is.")
    _set_command(demo, "gateway.cli.maintenance:load_demo")
    return parser


class _CommandParser(argparse.ArgumentParser):
    """A command's parser. The help of `serve` ends with the settings, which take 0.2 s to load."""

    def format_help(self) -> str:
        if self.prog == "gateway serve":
            self.epilog = settings_text()
        return super().format_help()


def _add(commands: Any, name: str, summary: str, *, description: str | None = None) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description or summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _set_command(parser: argparse.ArgumentParser, function: str) -> None:
    """Have the parser call a function, `module:name`, that works on a database."""
    parser.set_defaults(command=function)
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="use the embedded Postgres in this directory (without --data: the database that DATABASE_URL names, or"
        " else the embedded one in your user data directory, and in /var/lib/installations-gateway as root)",
    )


def _add_serve(commands: Any) -> None:
    parser = _add(commands, "serve", "Start the gateway.", description=SERVE_TEXT)
    _set_command(parser, "gateway.cli.serve:serve")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=read_port, default=8000, help="port to listen on; 0 takes a free one (default: 8000)"
    )
    parser.add_argument(
        "--no-demo", action="store_false", dest="demo", help="embedded only: do not load the example data"
    )
    parser.add_argument(
        "--migrate", action="store_true", dest="migrate_first",
        help="with DATABASE_URL: apply missing migrations first",
    )  # fmt: skip
    parser.add_argument(
        "--drain-seconds", type=read_drain_seconds, metavar="SECONDS",
        help="how long running requests may continue after a signal to stop (default: GATEWAY_DRAIN_SECONDS)",
    )  # fmt: skip


def _add_schema(commands: Any) -> None:
    parser = _add(commands, "schema", "Print the GraphQL schema.")
    parser.set_defaults(command="gateway.cli.schema:print_or_check_schema")
    parser.add_argument(
        "--check", nargs="?", type=Path, const=Path("schema.graphql"), metavar="FILE",
        help="instead of printing, compare with a file (default: schema.graphql),"
        " print what differs and name what breaks clients",
    )  # fmt: skip


def _add_key(commands: Any) -> None:
    parser = _add(commands, "key", "Issue, list and revoke API keys.", description=KEY_TEXT)
    actions = parser.add_subparsers(required=True, metavar="ACTION", title="actions")
    issue = _add(actions, "issue", "Make a key and print its secret, which is shown only this once.")
    _set_command(issue, "gateway.cli.keys:issue")
    issue.add_argument("--kind", required=True, choices=("platform", "application", "account"), help="whose key it is")
    issue.add_argument("--application", metavar="SLUG|ID", help="the application, for --kind application")
    issue.add_argument(
        "--account", metavar="ID",
        help="the account, for --kind account; with --kind application it binds the key to this one account",
    )  # fmt: skip
    issue.add_argument(
        "--expires", type=read_time, dest="expires_at", metavar="ISO-TIME",
        help="when it ends, such as 2027-01-31T12:00:00Z",
    )  # fmt: skip
    issue.add_argument("--label", required=True, metavar="TEXT", help="its name, in lists and in the log")
    issue.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")
    listing = _add(actions, "list", "List all keys, without their secrets.")
    _set_command(listing, "gateway.cli.keys:show")
    listing.add_argument("--json", action="store_true", dest="as_json", help="print one JSON array")
    revoke = _add(actions, "revoke", "End a key: it is refused from then on.")
    _set_command(revoke, "gateway.cli.keys:revoke")
    revoke.add_argument("api_key_id", metavar="ID", help="the key's id, as `gateway key list` shows it")


def _add_documents(commands: Any) -> None:
    parser = _add(commands, "documents", "Register the documents that clients may run by their SHA-256.")
    actions = parser.add_subparsers(required=True, metavar="ACTION", title="actions")
    register = _add(actions, "register", "Check documents against the schema, and store them.")
    _set_command(register, "gateway.cli.documents:register")
    register.add_argument(
        "source", type=Path, metavar="DIR|FILE",
        help="a directory of .graphql files, one such file, or a JSON manifest: a document's text by its SHA-256",
    )  # fmt: skip


def _add_events(commands: Any) -> None:
    parser = _add(commands, "events", "Prune the log of events.")
    actions = parser.add_subparsers(required=True, metavar="ACTION", title="actions")
    prune = _add(actions, "prune", "Remove old events for good.", description=PRUNE_TEXT)
    _set_command(prune, "gateway.cli.maintenance:prune_events")
    prune.add_argument(
        "--older-than", required=True, type=read_duration, metavar="DURATION",
        help="such as 90d, 12h or 30m (w, d, h, m, s), or as in ISO 8601: P90D, PT12H",
    )  # fmt: skip
