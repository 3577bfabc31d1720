"""Clients that connect and let the service wait, on real sockets: it goes on answering others, and ends them in time."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.acceptance.running import running_api

MAX_CONNECTIONS = 20
HEAD = b"POST /api/models HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
PREDICTION = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"
GIVE_UP_SECONDS = 60
SETTINGS = {
    "FITSERVE_HEAD_TIMEOUT_SECONDS": "2",
    "FITSERVE_BODY_TIMEOUT_SECONDS": "3",
    "FITSERVE_ANSWER_TIMEOUT_SECONDS": "2",
    "FITSERVE_MAX_CONNECTIONS": str(MAX_CONNECTIONS),
}
Connect = Callable[[], socket.socket]


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with running_api(tmp_path_factory.mktemp("slow") / "data", SETTINGS) as (http, _):
        yield http


@pytest.fixture
def connect(http: httpx.Client) -> Iterator[Connect]:
    with ExitStack() as stack:
        address = (http.base_url.host, http.base_url.port or 80)
        yield lambda: stack.enter_context(socket.create_connection(address, timeout=GIVE_UP_SECONDS))


def all_from(client: socket.socket) -> bytes:
    """What comes until the service ends the connection; a socket's own timeout fails a test where it does not."""
    parts = []
    try:
        while part := client.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def trickle(client: socket.socket, data: bytes) -> bytes:
    """Send the data again and again, a byte each tenth of a second, until the service ends the connection; what it said."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    client.settimeout(0.1)
    place, answer = 0, b""
    while time.monotonic() < deadline:
        try:
            client.sendall(data[place % len(data) :][:1])
            place += 1
            part = client.recv(65536)
            if not part:
                return answer
            answer += part
        except TimeoutError:
            continue
        except ConnectionError:
            return answer
    raise AssertionError("The connection was never ended.")


def test_a_connection_without_a_first_byte_is_ended(connect: Connect) -> None:
    assert all_from(connect()) == b""


@pytest.mark.parametrize("beginning", [b"G", b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: "])
def test_half_a_head_is_answered_408(connect: Connect, beginning: bytes) -> None:
    client = connect()
    client.sendall(beginning)

    assert all_from(client).startswith(b"HTTP/1.1 408 ")


def test_a_head_that_trickles_in_is_not_waited_for(connect: Connect) -> None:
    client = connect()
    client.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")

    assert trickle(client, b"X-A: b\r\n").startswith(b"HTTP/1.1 408 ")


def test_empty_lines_do_not_keep_a_connection_open(connect: Connect) -> None:
    client = connect()
    client.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")

    answer = trickle(client, b"\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("beginning", [HEAD, HEAD + b"{", PREDICTION])
def test_half_a_body_is_answered_408(connect: Connect, beginning: bytes) -> None:
    client = connect()
    client.sendall(beginning)

    assert all_from(client).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_trickles_in_is_not_waited_for(connect: Connect) -> None:
    client = connect()
    client.sendall(HEAD)

    assert trickle(client, b" ").startswith(b"HTTP/1.1 408 ")


def test_a_client_that_takes_no_answer_is_ended(http: httpx.Client, connect: Connect) -> None:
    client = connect()
    request = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    before = ended(http, "answer")
    client.sendall(request * 50)

    deadline = time.monotonic() + GIVE_UP_SECONDS
    while ended(http, "answer") == before:
        assert time.monotonic() < deadline, "The connection was never ended."
        time.sleep(0.2)


def test_a_slow_upload_that_goes_on_is_taken(connect: Connect) -> None:
    client = connect()
    body = b"x" * 200_000
    client.sendall(b"POST /api/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body))
    for place in range(0, len(body), 5000):  # 4 seconds: more than a short body may take
        client.sendall(body[place : place + 5000])
        time.sleep(0.1)

    assert client.recv(100).startswith(b"HTTP/1.1 415 ")


@pytest.mark.parametrize("beginning", [b"", b"GET /livez HTT", HEAD, PREDICTION])
def test_more_half_open_connections_than_there_may_be_lock_nobody_out(
    http: httpx.Client, connect: Connect, beginning: bytes
) -> None:
    for _ in range(3 * MAX_CONNECTIONS):
        connect().sendall(beginning)

    with httpx.Client(base_url=http.base_url, trust_env=False) as newcomer:
        assert newcomer.get("/livez").status_code == 200


def test_idle_clients_make_room_for_new_ones(http: httpx.Client, connect: Connect) -> None:
    for _ in range(3 * MAX_CONNECTIONS):
        client = connect()
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def ended(http: httpx.Client, reason: str) -> float:
    """How many connections were ended for a reason, as the metrics tell."""
    start = f'fitserve_connections_ended_total{{reason="{reason}"}} '
    lines = http.get("/metrics").text.splitlines()
    return next((float(line.removeprefix(start)) for line in lines if line.startswith(start)), 0.0)
