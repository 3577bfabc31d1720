"""Heads of requests: long ones are read, those without end are not."""

import asyncio
from typing import Any

import pytest
import uvicorn

from service.web.heads import BoundedHeads

START = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: "
BLOCK = b"x" * 4096


async def answer_ok(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def ask(blocks: int) -> bytes:
    """The answer to a request whose only long header comes in so many blocks, each in a read of its own."""
    config = uvicorn.Config(answer_ok, port=0, http=BoundedHeads, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname())
    for part in (START, *[BLOCK] * blocks, b"\r\n\r\n"):
        writer.write(part)
        await asyncio.sleep(0.002)
    answer = await reader.read()
    writer.close()
    server.should_exit = True
    await serving
    return answer


MOST = BoundedHeads.max_head_bytes // len(BLOCK)


@pytest.mark.parametrize(("blocks", "status"), [(1, 200), (MOST - 1, 200), (MOST + 1, 431)])
def test_a_head_over_the_limit_is_refused(blocks: int, status: int) -> None:
    assert asyncio.run(ask(blocks)).startswith(b"HTTP/1.1 %d " % status)
