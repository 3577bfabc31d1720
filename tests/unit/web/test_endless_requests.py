"""Heads, chunks and trailers: long ones are read, those without end are not."""

import asyncio
from typing import Any

import pytest
import uvicorn

from service.web.connections import BoundedConnection, ConnectionLimits

START = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: "
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
SIZED = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
BLOCK = b"x" * 4096
MOST = ConnectionLimits.head_bytes // len(BLOCK)


async def answer_ok(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    content = b"%d bytes, %d headers" % (len(body), len(scope["headers"]))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(content))]})
    await send({"type": "http.response.body", "body": content})


async def ask(parts: list[bytes]) -> bytes:
    """The answer to a request whose parts come each in a read of its own, until the server closes."""
    config = uvicorn.Config(answer_ok, port=0, http=BoundedConnection, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname())
    reading = asyncio.create_task(reader.read())
    for part in parts:
        writer.write(part)
        for _ in range(5):  # turns of the event loop, which both sides share
            await asyncio.sleep(0.001)
        if reading.done():
            break
    answer = await reading
    writer.close()
    server.should_exit = True
    await serving
    return answer


def status_of(parts: list[bytes]) -> int:
    return int(asyncio.run(ask(parts)).split(b" ")[1])


@pytest.mark.parametrize(("blocks", "status"), [(1, 200), (MOST - 1, 200), (MOST + 1, 431)])
def test_a_head_over_the_limit_is_refused(blocks: int, status: int) -> None:
    assert status_of([START, *[BLOCK] * blocks, b"\r\n\r\n"]) == status


def test_a_head_that_comes_in_two_reads_may_bring_a_large_body_along() -> None:
    head = SIZED % 130_000
    answer = asyncio.run(ask([head[:30], head[30:] + b"x" * 130_000]))
    assert answer.endswith(b"130000 bytes, 3 headers")


@pytest.mark.parametrize("trailer", [b"x: " + BLOCK + b"\r\n", BLOCK], ids=["many lines", "one line"])
@pytest.mark.parametrize(("blocks", "status"), [(1, 200), (MOST + 1, 431)])
def test_trailers_over_the_limit_are_refused(trailer: bytes, blocks: int, status: int) -> None:
    assert status_of([CHUNKED, b"2\r\n{}\r\n0\r\nx: ", *[trailer] * blocks, b"\r\n\r\n"]) == status


def test_nothing_is_kept_of_trailers() -> None:
    answer = asyncio.run(ask([CHUNKED, b"2\r\n{}\r\n0\r\n", b"authorization: Bearer x\r\n\r\n"]))
    assert answer.endswith(b"2 bytes, 3 headers")


@pytest.mark.parametrize(("blocks", "status"), [(1, 200), (MOST + 1, 431)])
def test_the_extension_of_a_chunk_over_the_limit_is_refused(blocks: int, status: int) -> None:
    assert status_of([CHUNKED, b"2;x=", *[BLOCK] * blocks, b"\r\n{}\r\n0\r\n\r\n"]) == status


def test_a_body_of_many_chunks_has_no_such_limit() -> None:
    answer = asyncio.run(ask([CHUNKED, *[b"1000\r\n" + BLOCK + b"\r\n"] * 3 * MOST, b"0\r\n\r\n"]))
    assert answer.endswith(b"%d bytes, 3 headers" % (3 * MOST * len(BLOCK)))
