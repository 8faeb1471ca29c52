"""The exit of a command that failed: one line for an error that the operator can act on, a traceback for a bug."""

import sys
from typing import NoReturn

import asyncpg

from gateway.domain.errors import BadUserInput, ExpectedFailure, GatewayError, InvalidInput
from gateway.settings import SettingRefused, SettingUnknown
from gateway.storage.migrations import MigrationError
from gateway.storage.postgres_user import EmbeddedPostgresError
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
_SAID_BY_POSTGRES = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""Their messages are shown as they are: missing rights, no disk or memory left, a server that stops."""


def exit_for(error: Exception) -> NoReturn:
    """Print the error's message and exit; raise an unexpected error again."""
    match error:
        case BadUserInput() | InvalidInput():
            status, message = _CALLED_WRONGLY, str(error)
        case _ if isinstance(error, _SAID_BY_POSTGRES):
            status, message = _FAILED, f"the database says: {error}"
        case _ if isinstance(error, _EXPECTED):
            status, message = _FAILED, str(error)
        case _:
            raise error
    sys.stderr.write(f"gateway: {message}\n")
    sys.exit(status)
