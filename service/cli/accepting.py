"""Takes all new connections of a turn of the event loop: libuv takes one (since 1.48), and under load a turn may be long."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

ACCEPTED_AT_ONCE = 64


class Acceptor:
    """Accepts beside the server that listens at a socket."""

    def __init__(self, listener: socket.socket, make_protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        """``make_protocol``: what serves one connection, for the running event loop."""
        self._listener = listener.dup()
        self._listener.setblocking(False)
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._listener.fileno(), self._accept)
        self._tasks: set[asyncio.Task[object]] = set()

    def close(self) -> None:
        """Accept no more."""
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # nobody waits any more, or no file can be opened, which the server's own try tells
            for _ in range(ACCEPTED_AT_ONCE):
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                task = self._loop.create_task(self._serve(connection))
                self._tasks.add(task)  # the event loop itself holds tasks only weakly
                task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client has gone
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
