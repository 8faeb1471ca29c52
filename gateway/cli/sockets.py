"""The address that `serve` listens on."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_BACKLOG = 2048


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Take the address before anything is started for it. Raise OSError, which says what to choose instead."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise OSError(f"cannot listen on {host} port {port}: {_advice(error)}") from error
    with listener:
        yield listener


def _advice(error: OSError) -> str:
    match error:
        case socket.gaierror():
            return "this host is not known. Choose another --host."
        case OSError(errno=errno.EADDRINUSE):
            return "somebody else does. Choose another --port, or stop that program."
        case OSError(errno=errno.EADDRNOTAVAIL):
            return "this machine does not have this address. Choose another --host."
        case OSError(errno=errno.EACCES):
            return "you may not listen there. Choose a --port from 1024 on."
        case _:
            return f"{error.strerror}. Choose another --host or --port."
