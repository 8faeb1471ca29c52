"""The longer texts of `--help`."""

import textwrap

DESCRIPTION = (
    "A GraphQL API over installations: the connections of third-party applications to company accounts."
    " `gateway serve` starts it; without DATABASE_URL it brings its own Postgres and example data."
)

SERVE_TEXT = """\
Start the gateway and print its address.

Without DATABASE_URL an embedded Postgres is started in the data directory,
migrated, and filled with example data; a key for the platform, an application
and an account are printed. Ctrl-C stops all of it, and the data stays.

With DATABASE_URL (postgresql://user:password@host/database) that database is
served. Nothing is loaded and no key is printed: make one with `gateway key
issue`. A database whose migrations are behind or ahead is refused; --migrate
applies what is missing.
"""

PRUNE_TEXT = """\
Remove events from the start of the log, as far as they are older than this.

Installations stay as they are; what is removed is their history. A client with
a cursor from before the first event that is left gets CURSOR_EXPIRED, and
starts again without one. Gateways may run meanwhile; with
GATEWAY_RETENTION_DAYS they prune by themselves.
"""

KEY_TEXT = """\
Issue, list and revoke API keys.

A key is sent as `Authorization: Bearer <key>`, or as the user name of Basic
with an empty password. A platform's key may do everything; an application's
key acts for that application (with --account, for one account of it alone); an
account's key is for the users of one account.
"""


def settings_text() -> str:
    """List the settings, one paragraph each."""
    from gateway.settings import describe_settings

    lines = ["settings (environment variables):", "  DATABASE_URL", "      The database to serve; see above."]
    for setting in describe_settings():
        text = f"{setting.description} {setting.allowed[0].upper()}{setting.allowed[1:]}; default: {setting.default}."
        lines.append(f"  {setting.name}")
        lines += textwrap.wrap(text, width=78, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)
