"""Connections that come while the event loop is busy are all taken in its next turns."""

import asyncio
import socket
from contextlib import ExitStack

import uvloop

from service.cli.accepting import ACCEPTED_AT_ONCE, Acceptor

CLIENTS = 3 * ACCEPTED_AT_ONCE
TURNS = 20
"""Far fewer than clients; a connection also needs some turns to be set up."""


class Greeting(asyncio.Protocol):
    """Says hello, and counts."""

    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        type(self).made += 1
        transport.write(b"hello")  # type: ignore[attr-defined]


def test_a_crowd_that_waits_is_accepted_within_a_few_turns() -> None:
    class Counted(Greeting):
        pass

    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=CLIENTS) as listener, ExitStack() as stack:
            server = await asyncio.get_running_loop().create_server(Counted, sock=listener, backlog=CLIENTS)
            acceptor = Acceptor(listener, Counted)
            clients = [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(CLIENTS)]
            for _ in range(TURNS):
                await asyncio.sleep(0)
            assert Counted.made == CLIENTS
            acceptor.close()
            server.close()
            for client in clients:
                client.settimeout(10)
                assert await asyncio.to_thread(client.recv, 5) == b"hello"

    uvloop.run(story())


def test_a_closed_one_accepts_no_more() -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            Acceptor(listener, Greeting).close()
            with socket.create_connection(listener.getsockname()):
                for _ in range(TURNS):
                    await asyncio.sleep(0)
            listener.setblocking(True)
            listener.settimeout(10)
            listener.accept()[0].close()

    uvloop.run(story())
