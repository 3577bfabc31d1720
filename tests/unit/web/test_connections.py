"""One connection of several that a process may hold, with real sockets."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from service.web.connections import BoundedConnection, ConnectionLimits, bounded
from tests.acceptance.running import wait_until

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
ANSWER_SECONDS = 20


class Served:
    """A server in a thread that takes two connections and answers once it is told to."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.may_answer = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        protocol = bounded(BoundedConnection, ConnectionLimits(connections=2))
        config = uvicorn.Config(self._answer, http=protocol, interface="asgi3", ws="none", lifespan="off", log_config=None)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve([self._listener])))
        self._thread.start()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self.asked.release()
        await asyncio.to_thread(self.may_answer.wait, ANSWER_SECONDS)
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    @property
    def connections(self) -> int:
        return len(self._server.server_state.connections)

    def look(self, seconds: float) -> None:
        """Look after the connections, where they are served."""
        looked = threading.Event()

        def look() -> None:
            for connection in list(self._server.server_state.connections):
                connection.look(seconds)  # type: ignore[union-attr]
            looked.set()

        self._loop.call_soon_threadsafe(look)
        assert looked.wait(ANSWER_SECONDS)

    def connect(self, sent: bytes = b"") -> socket.socket:
        connection = socket.create_connection(self._listener.getsockname(), ANSWER_SECONDS)
        connection.sendall(sent)
        return connection

    def stop(self) -> None:
        self.may_answer.set()
        self._server.should_exit = True
        self._thread.join(ANSWER_SECONDS)


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.stop()


def test_a_newcomer_is_sent_away_while_all_others_are_answered(served: Served) -> None:
    with served.connect(REQUEST) as one, served.connect(REQUEST) as two:
        for _ in range(2):
            assert served.asked.acquire(timeout=ANSWER_SECONDS)

        with served.connect() as newcomer:
            refusal = newcomer.recv(4096)
        served.may_answer.set()

        assert refusal.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in refusal
        for client in (one, two):
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_a_long_upload_that_goes_on_stays_while_a_silent_client_goes(served: Served) -> None:
    with served.connect(HEAD + b"x" * 1_000_000) as upload:
        assert served.asked.acquire(timeout=ANSWER_SECONDS)
        served.may_answer.set()  # which reads the body
        with served.connect() as silent:
            wait_until(lambda: served.connections == 2, ANSWER_SECONDS, "a second connection")
            served.look(seconds=2)
            served.look(seconds=2)

            with served.connect(REQUEST) as newcomer:
                assert silent.recv(4096) == b""
                upload.sendall(b"x" * 1_000_000)
                assert newcomer.recv(4096).startswith(b"HTTP/1.1 200 ")
                assert upload.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_a_silent_client_goes_for_a_newcomer_and_not_one_that_is_answered(served: Served) -> None:
    with served.connect(REQUEST) as busy, served.connect() as silent:
        assert served.asked.acquire(timeout=ANSWER_SECONDS)

        with served.connect(REQUEST) as newcomer:
            assert silent.recv(4096) == b""
            served.may_answer.set()
            for client in (busy, newcomer):
                assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
