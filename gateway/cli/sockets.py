"""The listening socket of `gateway serve`, and how many connections it may accept."""

import errno
import resource
import socket

from gateway.settings import Settings
from gateway.transport.peers import PeerLimits

BACKLOG = 512
"""Connections that the kernel accepts ahead. The event loop takes them all in one turn, before any can be refused."""
_OTHER_DESCRIPTORS = 100
"""For everything but connections of clients and of the pool."""
_UNAUTHENTICATED = 500
"""The least limit of an address, which a host reaches that opens so many WebSockets at once."""


def listen(host: str, port: int) -> socket.socket:
    """Listen on this address. Raise OSError, which says what to choose instead."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise OSError(f"cannot listen on {host} port {port}: {_explain(error)}") from error


def connection_limits(settings: Settings) -> PeerLimits:
    """Return how many connections may be open: twice one caller's, within the limit of file descriptors.

    Raises the soft limit of descriptors as far as the hard one allows.
    """
    most = 2 * settings.max_caller_connections
    reserved = BACKLOG + settings.pool_size + _OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + reserved if hard == resource.RLIM_INFINITY else min(most + reserved, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    available = most + reserved if soft == resource.RLIM_INFINITY else max(soft, wanted)
    connections = min(most, max(available - reserved, available // 2))
    return PeerLimits(connections=connections, unauthenticated=max(connections // 10, _UNAUTHENTICATED))


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
