"""Clients that leave before they have said all, or heard all, on real sockets: nothing has failed."""

import asyncio
import logging
import socket
import struct
import threading
from collections.abc import AsyncIterable, Iterator
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.sse import EventSourceResponse, ServerSentEvent
from structlog.testing import capture_logs

from service.settings import Settings
from service.spec.base import Spec
from service.web import answer_log
from service.web.context import RequestContext
from service.web.problems import install_problem_handlers
from service.web.routing import make_router
from tests.acceptance.running import wait_until

SECONDS = 20
POST = b"POST /api/notes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"


class Note(Spec):
    text: str


def application() -> FastAPI:
    """One address that reads JSON, one that streams more events than anybody hears, and one that fails."""
    api, router = FastAPI(), make_router("notes")

    @router.post("/notes")
    def write(note: Note) -> Note:
        return note

    @router.get("/events", response_class=EventSourceResponse)
    async def follow() -> AsyncIterable[ServerSentEvent]:
        while True:
            yield ServerSentEvent(data="x" * 1000)

    @router.get("/failure")
    async def fail() -> None:
        raise ExceptionGroup("both", [ConnectionError("a mistake of ours")])

    api.include_router(router)
    install_problem_handlers(api)
    api.add_middleware(RequestContext)
    api.state.settings = Settings()
    return api


@pytest.fixture
def address() -> Iterator[Any]:
    """Where the application is served."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application(), ws="none", lifespan="off", log_config=None))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join(SECONDS)


@pytest.fixture
def lines(address: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The lines that are logged; the server is there before."""
    monkeypatch.setattr(logging.getLogger(answer_log.__name__), "level", logging.INFO)
    logging.getLogger(answer_log.__name__).manager._clear_cache()
    with capture_logs() as lines:
        yield lines


def leave(client: socket.socket) -> None:
    """Close a connection at once, whatever is on its way."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def statuses(lines: list[Any]) -> list[int]:
    return [line["status"] for line in lines if line["event"] == "request.answered"]


def test_a_body_that_breaks_off_is_one_line_in_the_log_and_no_failure(address: Any, lines: list[Any]) -> None:
    client = socket.create_connection(address, SECONDS)
    client.sendall(POST + b'{"text": ')
    leave(client)

    wait_until(lambda: bool(lines), SECONDS, "a line in the log")
    assert [line["event"] for line in lines] == ["request.answered"]
    assert statuses(lines) == [499]


def test_leaving_an_event_stream_is_no_failure(address: Any, lines: list[Any]) -> None:
    for _ in range(20):
        client = socket.create_connection(address, SECONDS)
        client.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        leave(client)

    wait_until(lambda: len(lines) >= 20, SECONDS, "a line for each stream")
    assert {line["event"] for line in lines} == {"request.answered"}
    assert set(statuses(lines)) == {200}


def test_a_mistake_of_ours_is_a_failure_whoever_has_left(address: Any, lines: list[Any]) -> None:
    with socket.create_connection(address, SECONDS) as client:
        client.sendall(b"GET /api/failure HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 500 ")

    wait_until(lambda: len(lines) == 2, SECONDS, "two lines in the log")
    assert statuses(lines) == [500]
    assert [line["log_level"] for line in lines if line["event"] == "request.failed"] == ["error"]
