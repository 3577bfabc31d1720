"""Standing in for processes that do not accept, with real sockets and a protocol that says hello."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.cli.listening import open_listener
from service.cli.standing_in import LOOK_SECONDS, StandIn

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Greeting(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"hello")
        transport.close()


@asynccontextmanager
async def standing_in_for(*siblings: socket.socket) -> AsyncIterator[None]:
    task = asyncio.create_task(StandIn(siblings, Greeting).run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def greeting(listener: socket.socket) -> bytes:
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    said = await reader.read()
    writer.close()
    return said


async def test_connections_that_nobody_accepts_are_served() -> None:
    with open_listener("127.0.0.1", 0) as one, open_listener("127.0.0.1", 0) as other:
        async with standing_in_for(one, other):
            said = await asyncio.wait_for(asyncio.gather(*map(greeting, [one, one, other])), 10)
    assert said == [b"hello"] * 3


async def test_connections_are_left_to_an_owner_that_accepts_them() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        async with standing_in_for(listener):
            owner = await asyncio.start_server(lambda _, writer: writer.close(), sock=listener.dup())
            for _ in range(20):
                assert await greeting(listener) == b""
                await asyncio.sleep(LOOK_SECONDS / 7)
            owner.close()


async def test_it_goes_on_after_a_client_that_did_not_wait() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        async with standing_in_for(listener):
            gone = socket.create_connection(listener.getsockname())
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            gone.close()
            await asyncio.sleep(3 * LOOK_SECONDS)
            assert await asyncio.wait_for(greeting(listener), 10) == b"hello"
