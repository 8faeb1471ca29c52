"""How a command's failure is said: one line where the reader can do something about it, a traceback where we erred."""

import sys
from typing import NoReturn

import asyncpg

from gateway.domain.errors import BadUserInput, ExpectedFailure, GatewayError
from gateway.settings import SettingRefused, SettingUnknown
from gateway.storage.embedded import EmbeddedPostgresError
from gateway.storage.migrations import MigrationError
from gateway.storage.reachability import DatabaseNotUsable

_FAILED, _CALLED_WRONGLY = 1, 2

_EXPECTED = (
    DatabaseNotUsable,
    EmbeddedPostgresError,
    ExpectedFailure,
    GatewayError,
    MigrationError,
    OSError,
    SettingRefused,
    SettingUnknown,
)
_OF_THE_DATABASE = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What Postgres itself says best: rights, disk, memory, a server that goes."""


def exit_for(error: Exception) -> NoReturn:
    """Exit with the error's message; raise an error that says nothing to those who run the gateway."""
    match error:
        case BadUserInput():
            status, message = _CALLED_WRONGLY, str(error)
        case _ if isinstance(error, _OF_THE_DATABASE):
            status, message = _FAILED, f"the database says: {error}"
        case _ if isinstance(error, _EXPECTED):
            status, message = _FAILED, str(error)
        case _:
            raise error
    sys.stderr.write(f"gateway: {message}\n")
    sys.exit(status)
