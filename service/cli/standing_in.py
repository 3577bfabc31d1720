"""Takes connections that wait in vain at the sockets of other API processes: while these start, hang or are dead."""

import asyncio
import contextlib
import select
import socket
from collections.abc import Callable, Sequence

LOOK_SECONDS = 0.1


class StandIn:
    """Looks at the sockets of other processes again and again, and accepts what still waits at the second look."""

    def __init__(self, siblings: Sequence[socket.socket], make_protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        """``make_protocol``: what serves one connection, for the running event loop."""
        self._siblings = {sibling.fileno(): sibling for sibling in siblings}
        self._make_protocol = make_protocol
        self._poll = select.poll()
        for sibling in siblings:
            sibling.setblocking(False)
            self._poll.register(sibling, select.POLLIN)

    async def run(self) -> None:
        """Stand in until cancelled."""
        waiting: set[int] = set()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            waiting_before, waiting = waiting, {number for number, _ in self._poll.poll(0)}
            for number in waiting & waiting_before:
                await self._take_all(self._siblings[number])

    async def _take_all(self, sibling: socket.socket) -> None:
        # Its owner, or another process, may be faster with any of them; that, or a client that has gone, ends it.
        with contextlib.suppress(OSError):
            while True:
                connection, _ = sibling.accept()
                connection.setblocking(False)
                await asyncio.get_running_loop().connect_accepted_socket(self._make_protocol, connection)
