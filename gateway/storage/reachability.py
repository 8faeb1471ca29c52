"""Whether a database can be reached by its address, and if not, why: in words for whoever set the address.

The words never quote the address: a password with a slash or an @ in it makes its pieces appear in any of its parts.
"""

import socket
from urllib.parse import SplitResult, urlsplit

import asyncpg

_CONNECT_SECONDS = 10
_FORM = (
    "postgresql://user:password@host:5432/database, with special characters of the password written as %2F and so on"
)


class DatabaseNotUsable(Exception):
    """The database that an address names cannot be used; the message says why."""


async def require_reachable(url: str) -> None:
    """Open one connection and close it again. Raise DatabaseNotUsable."""
    if urlsplit(url).scheme not in {"postgresql", "postgres"}:
        raise DatabaseNotUsable(f"it is not the address of a Postgres database. It has to look like {_FORM}.")
    try:
        connection = await asyncpg.connect(url, timeout=_CONNECT_SECONDS)
        await connection.close(timeout=_CONNECT_SECONDS)
    except Exception as error:  # the driver raises a dozen sorts, and all of them mean that it cannot be used
        raise DatabaseNotUsable(_explanation(error, _split(url))) from error


def _split(url: str) -> SplitResult | None:
    """Take the address apart, unless it is one whose parts cannot be told from each other."""
    parts = urlsplit(url)
    return None if "@" in parts.path + parts.query else parts


def _explanation(error: Exception, parts: SplitResult | None) -> str:  # noqa: PLR0911 - a table
    server = "its server" if parts is None or parts.hostname is None else f"the server {parts.hostname}"
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
        case asyncpg.InterfaceError() | asyncpg.InternalClientError() | ConnectionError():
            return f"{server} does not answer as a Postgres server does."
        case OSError():
            return f"{server} cannot be reached: {error.strerror or type(error).__name__}."
        case _:
            return f"{server} cannot be used ({type(error).__name__})."
