"""One connection of several that a process may hold, with real sockets."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from service.web.connections import BoundedConnection, ConnectionLimits, bounded
from tests.acceptance.running import wait_until
from tests.unit.web.served import ANSWER_SECONDS, Served

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Waiting(Served):
    """Takes two connections and answers once it is told to."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.may_answer = threading.Event()
        super().__init__(self._answer, bounded(BoundedConnection, ConnectionLimits(connections=2)))

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.release()
        await asyncio.to_thread(self.may_answer.wait, ANSWER_SECONDS)
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def stop(self) -> None:
        self.may_answer.set()
        super().stop()


@pytest.fixture
def served() -> Iterator[Waiting]:
    served = Waiting()
    yield served
    served.stop()


def test_a_newcomer_is_sent_away_while_all_others_are_answered(served: Waiting) -> None:
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


def test_a_long_upload_that_goes_on_stays_while_a_silent_client_goes(served: Waiting) -> None:
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


def test_a_silent_client_goes_for_a_newcomer_and_not_one_that_is_answered(served: Waiting) -> None:
    with served.connect(REQUEST) as busy, served.connect() as silent:
        assert served.asked.acquire(timeout=ANSWER_SECONDS)

        with served.connect(REQUEST) as newcomer:
            assert silent.recv(4096) == b""
            served.may_answer.set()
            for client in (busy, newcomer):
                assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
