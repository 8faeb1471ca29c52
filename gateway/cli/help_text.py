"""What `--help` says beyond a line."""

DESCRIPTION = (
    "A GraphQL API over installations: the ties between third-party applications and company accounts."
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
Remove the first events of the log, as long as they are older than asked.

Installations stay as they are; what is gone is their history. A client that
comes with a cursor from before what is kept is told CURSOR_EXPIRED, and begins
anew. It may run while gateways do. GATEWAY_RETENTION_DAYS has them do the same
by themselves.
"""

KEY_TEXT = """\
Issue, list and revoke API keys.

A key is shown as `Authorization: Bearer <key>`, or as the user name of Basic
with an empty password. A platform's key may do everything; an application's
key acts for that application (with --account, for one account of it alone); an
account's key is for the users of one account.
"""
