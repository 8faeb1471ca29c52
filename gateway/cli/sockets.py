"""The listening socket of `gateway serve`."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_BACKLOG = 2048


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """Listen on this address. Raise OSError, which says what to choose instead."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise OSError(f"cannot listen on {host} port {port}: {_explain(error)}") from error
    with listener:
        yield listener


def _explain(error: OSError) -> str:
    match error:
        case socket.gaierror():
            return "this host name is not known. Choose another --host."
        case OSError(errno=errno.EADDRINUSE):
            return "another program listens there. Choose another --port, or stop that program."
        case OSError(errno=errno.EADDRNOTAVAIL):
            return "this machine does not have this address. Choose another --host."
        case OSError(errno=errno.EACCES):
            return "this user may not listen there. Choose a --port from 1024 on."
        case _:
            return f"{error.strerror}. Choose another --host or --port."
