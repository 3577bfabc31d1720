"""What is answered at once is answered as uvicorn would: the same bytes, whatever way a request comes in."""

import asyncio
import contextlib
import math
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.infra.overload import Limit, Turns
from service.predictions import lookup
from service.predictions.app import PredictionApp
from service.predictions.at_once import PredictionProtocol, protocol_for
from service.settings import Settings
from service.web.shedding import shedding
from tests.fakes.versions import FakeVersions
from tests.unit.predictions.apps import app_of

BODY = b'{"instances": [[0, 0]]}'
NATIVE_BODY = b'{"rows": [[0, 0], [1, 0]]}'
TENSOR_BODY = b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0, 0]}]}'
PATH = "/v1/models/my_model:predict"


def request(body: bytes = BODY, path: str = PATH, method: str = "POST", version: str = "1.1", **headers: str) -> bytes:
    """A request as it goes over the wire."""
    fields = {"host": "x", "content-type": "application/json", "content-length": str(len(body))} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in fields.items() if value)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def bytes_of(data: bytes) -> list[bytes]:
    return [data[place : place + 1] for place in range(len(data))]


CHUNKED = request(b"", content_length="", transfer_encoding="chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
CONVERSATIONS: dict[str, list[bytes]] = {
    "one request": [request()],
    "native": [request(NATIVE_BODY, "/api/models/my_model:predict")],
    "tensors": [request(TENSOR_BODY, "/v2/models/my_model/infer")],
    "several on one connection": [request(), request(NATIVE_BODY, "/api/models/my_model:predict"), request()],
    "pipelined": [request() + request(TENSOR_BODY, "/v2/models/my_model/infer") + request()],
    "pipelined behind one that waits": [request(path="/v1/models/my_model", method="GET", body=b"") + request()],
    "pipelined before one that waits": [request() + request(path="/v1/models/my_model", method="GET", body=b"")],
    "head and body apart": [request()[: -len(BODY)], BODY],
    "byte by byte": bytes_of(request()),
    "one and a half, then the rest": [request() + request()[:-5], request()[-5:]],
    "chunked": [CHUNKED],
    "empty body": [request(b"")],
    "no length": [request(b"", content_length="")],
    "a long body": [request(BODY + b" " * 100_000)],
    "compressed answers": [request(accept_encoding="gzip")],
    "a query": [request(b"[0, 0]", "/api/models/my_model:predict?version=1", content_type="application/x-ndjson")],
    "an encoded path": [request(path="/v1/models/my%5Fmodel:predict")],
    "an absolute address": [request(path="http://x/v1/models/my_model:predict")],
    "not JSON": [request(b"{"), request()],
    "a wrong row": [request(b'{"instances": [[1]]}'), request()],
    "no such model": [request(path="/v1/models/missing:predict")],
    "no such path": [request(path="/v1/elsewhere")],
    "another method": [request(method="PUT")],
    "another application's path": [request(path="/api/elsewhere")],
    "expecting to be asked": [request(expect="100-continue")],
    "closing": [request(connection="close")],
    "HTTP 1.0": [request(version="1.0")],
    "an upgrade": [request(connection="upgrade", upgrade="websocket")],
    "no HTTP": [b"NONSENSE\r\n\r\n"],
}
LAST = request(b"", "/end", "GET", connection="close")
"""After its answer the server closes the connection, so that all is known to have come."""
ANSWER_SECONDS = 20


class Served:
    """A server in a thread."""

    def __init__(self, app: PredictionApp, protocol: type[HttpToolsProtocol]) -> None:
        async def serve(scope: Any, receive: Any, send: Any) -> None:
            if app.handles(scope["path"]):
                await app(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

        served = self

        class Counted(protocol):  # type: ignore[valid-type, misc]
            """Tells what it has read, so that a client can wait for it: the kernel joins what is sent faster."""

            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                served._note(len(data))

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                served._note(math.inf)

        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self._reading = threading.Condition()
        self._read_bytes: float = 0
        config = uvicorn.Config(serve, http=Counted, loop="uvloop", ws="none", lifespan="off", log_config=None, access_log=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve([self._listener])))
        self._thread.start()

    def converse(self, parts: list[bytes]) -> bytes:
        """Send the parts one after the other, and return all that comes back, without what differs from one to the next."""
        self._read_bytes = 0
        with socket.create_connection(self.address) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(ANSWER_SECONDS)
            received = b""
            sent_bytes = 0
            with contextlib.suppress(ConnectionError):  # where the server has closed it already
                for part in [*parts, LAST]:
                    connection.sendall(part)
                    sent_bytes += len(part)
                    self._wait_until_read(sent_bytes)
            with contextlib.suppress(ConnectionError):
                while chunk := connection.recv(65536):
                    received += chunk
        return re.sub(rb"(?mi)^(date|x-request-id): .*\r\n", b"", received)

    def _note(self, read_bytes: float) -> None:
        with self._reading:
            self._read_bytes += read_bytes
            self._reading.notify()

    def _wait_until_read(self, sent_bytes: int) -> None:
        with self._reading:
            assert self._reading.wait_for(lambda: self._read_bytes >= sent_bytes, ANSWER_SECONDS)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)


@pytest.fixture(scope="module")
def versions() -> FakeVersions:
    versions = FakeVersions()
    versions.publish()
    return versions


@pytest.fixture(scope="module")
def app(versions: FakeVersions) -> PredictionApp:
    return app_of(versions, Settings())


@pytest.fixture(scope="module")
def usual(app: PredictionApp) -> Iterator[Served]:
    served = Served(app, HttpToolsProtocol)
    yield served
    served.stop()


@pytest.fixture(scope="module")
def at_once(versions: FakeVersions) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookup, "REFRESH_AFTER_SECONDS", 3600)  # what was found once is found at once
        patch.setattr(lookup, "STALE_AFTER_SECONDS", 3600)
        other = app_of(versions, Settings())
        turns = Turns(longest_wait_seconds=3600, limit=Limit("test", 1000, 0))
        served = Served(other, shedding(protocol_for(other), turns))
        yield served
        served.stop()


@pytest.mark.parametrize("conversation", CONVERSATIONS.values(), ids=CONVERSATIONS.keys())
def test_every_conversation_is_as_with_uvicorn_alone(usual: Served, at_once: Served, conversation: list[bytes]) -> None:
    expected = usual.converse(conversation)

    for _ in range(2):  # at first the version has to be found, which cannot be done at once
        assert at_once.converse(conversation) == expected


def test_a_short_prediction_is_answered_without_a_task(
    at_once: Served, versions: FakeVersions, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    start = HttpToolsProtocol._start_asgi_task
    monkeypatch.setattr(HttpToolsProtocol, "_start_asgi_task", lambda *arguments: (started.append(1), start(*arguments)))

    assert at_once.converse([request()] * 20).count(b"HTTP/1.1 200 OK") == 20
    assert len(started) <= 2  # the last request of a conversation is none, and the first prediction may have to be found


def test_the_protocol_knows_its_application(app: PredictionApp) -> None:
    protocol = protocol_for(app)

    assert issubclass(protocol, PredictionProtocol)
    assert protocol.predictions is app
