"""What is refused as soon as its head has been read, on real sockets: the connection goes on as if it had been answered."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from service.infra.overload import Limit, Turns
from service.web.connections import ConnectionLimits, bounded
from service.web.shedding import ALWAYS_LET_IN, SheddingConnection, shedding
from tests.acceptance.running import wait_until
from tests.unit.web.served import ANSWER_SECONDS, Served


class FullTurns(Turns):
    """A loop that is behind until it is told otherwise."""

    is_full = True

    def take(self) -> bool:
        return not self.is_full


class Behind(Served):
    """Answers whatever it lets in with 200."""

    def __init__(self) -> None:
        self.answered = 0
        self.turns = FullTurns(0, Limit("test", 0, 0))
        super().__init__(self._answer, bounded(shedding(SheddingConnection, self.turns), ConnectionLimits()))

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        self.answered += 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def served() -> Iterator[Behind]:
    served = Behind()
    yield served
    served.stop()


def request(path: str, body: bytes = b"", method: str = "POST", **headers: str) -> bytes:
    fields = {"host": "x", "content-length": str(len(body))} | headers
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answer_on(connection: socket.socket) -> tuple[str, dict[str, str], bytes]:
    """The status line, headers and body of one answer."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return status, headers, body


@pytest.mark.parametrize("path", ["/v1/models/m:predict", "/v2/models/m/infer?x=1"])
def test_a_prediction_is_refused_in_the_words_of_its_protocol(served: Behind, path: str) -> None:
    with served.connect() as connection:
        connection.sendall(request(path, b"{}"))
        status, headers, body = answer_on(connection)

    assert status == "HTTP/1.1 503 Service Unavailable"
    assert (headers["retry-after"], headers["content-type"]) == ("1", "application/json")
    assert list(json.loads(body)) == ["error"]


def test_the_control_plane_refuses_with_a_problem_document(served: Behind) -> None:
    with served.connect() as connection:
        connection.sendall(request("/api/runs?state=queued", method="GET", **{"X-Request-ID": "mine"}))
        _, headers, body = answer_on(connection)

    document = json.loads(body)
    assert headers["content-type"] == "application/problem+json"
    assert (document["status"], document["instance"], document["request_id"]) == (503, "/api/runs", "mine")
    assert headers["x-request-id"] == "mine"


def test_the_body_is_dropped_and_the_connection_used_again(served: Behind) -> None:
    with served.connect() as connection:
        connection.sendall(request("/api/runs", b"x" * 1_000_000))
        assert answer_on(connection)[0].startswith("HTTP/1.1 503 ")
        served.turns.is_full = False
        connection.sendall(request("/api/runs", b"x" * 1_000_000))
        assert answer_on(connection)[0].startswith("HTTP/1.1 200 ")

    assert served.answered == 1


def test_the_refusal_comes_before_the_body(served: Behind) -> None:
    with served.connect() as connection:
        connection.sendall(request("/api/runs", b"x" * 1000)[:-1000])
        assert answer_on(connection)[0].startswith("HTTP/1.1 503 ")
        connection.sendall(b"x" * 1000 + request("/livez", method="GET"))
        assert answer_on(connection)[0].startswith("HTTP/1.1 200 ")


def test_requests_that_come_together_are_refused_one_by_one(served: Behind) -> None:
    with served.connect() as connection:
        connection.sendall(request("/api/runs", b"x" * 10) * 3 + request("/livez", method="GET", connection="close"))
        received = b""
        while part := connection.recv(65536):
            received += part

    assert received.count(b"HTTP/1.1 503 ") == 3
    assert received.count(b"HTTP/1.1 200 ") == 1


def test_a_client_that_wants_to_close_finds_it_closed_and_not_reset(served: Behind) -> None:
    with served.connect() as connection:
        connection.sendall(request("/api/runs", b"x" * 1000, connection="close"))
        status, headers, _ = answer_on(connection)
        assert connection.recv(1) == b""

    assert (status, headers["connection"]) == ("HTTP/1.1 503 Service Unavailable", "close")


def test_an_answer_to_head_has_no_body(served: Behind) -> None:
    with served.connect() as connection:
        connection.sendall(request("/api/runs", method="HEAD") + request("/livez", method="GET", connection="close"))
        received = b""
        while part := connection.recv(65536):
            received += part

    assert received.partition(b"\r\n\r\n")[2].startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", sorted(ALWAYS_LET_IN))
def test_probes_are_let_in(served: Behind, path: str) -> None:
    with served.connect() as connection:
        connection.sendall(request(path, method="GET"))
        assert answer_on(connection)[0].startswith("HTTP/1.1 200 ")


def test_a_client_that_never_sends_the_rest_of_a_refused_body_is_ended(served: Behind) -> None:
    with served.connect() as connection:
        connection.sendall(request("/api/runs", b"x" * 1000)[:-1])
        answer_on(connection)
        for _ in range(2):
            served.look(ConnectionLimits.body_seconds + 1)

        assert connection.recv(1) == b"", "and no second answer"
        wait_until(lambda: served.connections == 0, ANSWER_SECONDS, "no connection left")


def test_who_waits_to_be_asked_for_a_body_is_let_in(served: Behind) -> None:
    with served.connect() as connection:
        connection.sendall(request("/api/runs", b"x")[:-1].replace(b"host: x", b"host: x\r\nexpect: 100-continue"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"x")
        assert answer_on(connection)[0].startswith("HTTP/1.1 200 ")
