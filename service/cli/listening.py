"""The listening socket: bound before anything else is started, and handed from parent to child.

A child that inherits the socket cannot find the port taken, and clients that come while it is restarted wait instead of
being refused.
"""

import errno
import os
import socket
import sys
from collections.abc import Sequence
from urllib.parse import urlunsplit

from service.errors import FitserveError

SOCKET_VARIABLE = "FITSERVE_SOCKET_FD"
SIBLINGS_VARIABLE = "FITSERVE_SIBLING_FDS"
BACKLOG = 2048


def open_listener(host: str, port: int) -> socket.socket:
    """The socket that the parent handed over, or a new one bound to the address; port 0 takes a free one.

    Raises FitserveError with one line when the address cannot be had.
    """
    inherited = os.environ.pop(SOCKET_VARIABLE, "")
    if inherited.isdecimal():
        return socket.socket(fileno=int(inherited))
    try:
        return _bind(host, port)
    except (OSError, UnicodeError) as error:  # UnicodeError: a host name with an empty or overlong label
        raise FitserveError(_explain(host, port, error)) from error


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _explain(host: str, port: int, error: OSError | UnicodeError) -> str:
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return f"Port {port} on {host} is taken by another program. Choose another with --port."
        case errno.EACCES | errno.EPERM:
            return f"This user may not listen on port {port}. Choose one above 1023 with --port."
        case errno.EADDRNOTAVAIL:
            return f"{host} is no address of this machine. Choose another with --host."
        case _:
            reason = error.strerror if isinstance(error, OSError) else error
            return f"Cannot listen on {host} port {port}: {reason}. Choose another with --host or --port."


def share_address(listener: socket.socket, count: int) -> list[socket.socket]:
    """As many sockets as processes: the listener, and others on its address; elsewhere than on Linux always the same one.

    Nobody else could have taken the address, since the listener was bound to it alone. Raises OSError.
    """
    if count == 1 or sys.platform != "linux":
        return [listener] * count
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return [listener, *(_beside(listener) for _ in range(count - 1))]


def _beside(listener: socket.socket) -> socket.socket:
    sibling = socket.socket(listener.family, listener.type, listener.proto)
    sibling.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sibling.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sibling.bind(listener.getsockname())
    sibling.listen(BACKLOG)
    return sibling


def handed_over(listener: socket.socket, siblings: Sequence[socket.socket] = ()) -> dict[str, str]:
    """Environment by which a child finds its socket and those of others; the child's ``pass_fds`` must name all."""
    others = {SIBLINGS_VARIABLE: ",".join(str(sibling.fileno()) for sibling in siblings)} if siblings else {}
    return {SOCKET_VARIABLE: str(listener.fileno()), **others}


def inherited_siblings() -> list[socket.socket]:
    """The sockets of other processes that the parent handed over."""
    numbers = os.environ.pop(SIBLINGS_VARIABLE, "")
    return [socket.socket(fileno=int(number)) for number in numbers.split(",") if number]


def base_url(listener: socket.socket) -> str:
    """The address to open on this machine, e.g. ``http://127.0.0.1:8000``."""
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared with, not bound to
    return urlunsplit(("http", f"[{reachable}]:{port}" if ":" in reachable else f"{reachable}:{port}", "", "", ""))
