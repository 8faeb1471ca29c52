"""The check of a DATABASE_URL, and an explanation for the operator where it cannot be used.

The explanation never quotes the URL: where its password contains a slash or an @, any part of it may be the password.
"""

import socket
from urllib.parse import SplitResult, urlsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute

_CONNECT_SECONDS = 10
_FORM = (
    "postgresql://user:password@host:5432/database, with special characters of the password written as %2F and so on"
)


class DatabaseNotUsable(Exception):
    """The database of a URL cannot be used; the message says why."""


async def require_reachable(url: str) -> None:
    """Open one connection, and close it. Raise DatabaseNotUsable."""
    if urlsplit(url).scheme not in {"postgresql", "postgres"}:
        raise DatabaseNotUsable(f"it is not the address of a Postgres database. It has to look like {_FORM}.")
    try:
        connection = await asyncpg.connect(
            url, timeout=_CONNECT_SECONDS, target_session_attrs=SessionAttribute.read_write
        )
        await connection.close(timeout=_CONNECT_SECONDS)
    except Exception as error:  # asyncpg raises a dozen types, and each means that it cannot be used
        raise DatabaseNotUsable(_explanation(error, urlsplit(url))) from error


def _explanation(error: Exception, parts: SplitResult) -> str:  # noqa: C901, PLR0911 - a table
    ambiguous = "@" in parts.path + parts.query
    server = "its server" if ambiguous or parts.hostname is None else f"the server {parts.hostname}"
    match error:
        case asyncpg.InvalidCatalogNameError():
            return f"{error}. Create the database first."
        case asyncpg.InvalidAuthorizationSpecificationError():
            return f"{server} does not let this user in: {error}."
        case asyncpg.PostgresError():
            return f"{server} says: {error}."
        case asyncpg.ClientConfigurationError() | ValueError():
            return f"its parts do not make sense. It has to look like {_FORM}."
        case socket.gaierror():
            return f"the name of {server} is not known."
        case TimeoutError():
            return f"{server} did not answer within {_CONNECT_SECONDS} seconds."
        case ConnectionRefusedError():
            return f"{server} does not run, or not on this port: the connection was refused."
        case asyncpg.TargetServerAttributeNotMatched():
            return f"{server} can only be read, as a standby can. Name the primary, or both with a comma between."
        case asyncpg.InterfaceError() | asyncpg.InternalClientError() | ConnectionError():
            return f"{server} does not answer as a Postgres server does."
        case OSError():
            return f"{server} cannot be reached: {error.strerror or type(error).__name__}."
        case _:
            return f"{server} cannot be used ({type(error).__name__})."
