"""A server in a thread whose connections a test can look after."""

import asyncio
import socket
import threading
from typing import Any

import uvicorn

from service.web.connections import BoundedConnection

ANSWER_SECONDS = 20


class Served:
    """Serves an application with a protocol on a free port of this machine."""

    def __init__(self, app: Any, protocol: type[BoundedConnection]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(app, http=protocol, interface="asgi3", ws="none", lifespan="off", log_config=None)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve([self._listener])

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._server.server_state.connections)

    def connect(self, sent: bytes = b"") -> socket.socket:
        """A new connection, with what is sent over it at once."""
        connection = socket.create_connection(self._listener.getsockname(), ANSWER_SECONDS)
        connection.sendall(sent)
        return connection

    def look(self, seconds: float) -> None:
        """Look after the connections, where they are served."""
        looked = threading.Event()

        def look() -> None:
            for connection in list(self._server.server_state.connections):
                connection.look(seconds)  # type: ignore[union-attr]
            looked.set()

        self._loop.call_soon_threadsafe(look)
        assert looked.wait(ANSWER_SECONDS)

    def stop(self) -> None:
        """End the server."""
        self._server.should_exit = True
        self._thread.join(ANSWER_SECONDS)
