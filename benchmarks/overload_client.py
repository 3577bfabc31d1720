"""A client that waits for nobody: requests go out at times that were fixed before, whatever comes back. Needs uvloop.

A latency counts from the planned time, so that a client which is late itself hides nothing.
"""

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import uvloop
from fit_cases import Array

CONNECTIONS = 400
"""Far more than a queue may hold, and fewer than the service lets in."""
IDLE_SECONDS = 4.0
"""A connection that has been idle for longer is not used: the service may be closing it at that moment."""
LAST_ANSWERS_SECONDS = 30.0
BROKEN = 0
"""In place of a status: the connection was closed or reset before an answer, or none has come."""
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


@dataclass
class Answers:
    """What became of each request, in the order of the plan; times in seconds from its beginning."""

    planned: Array
    sent: Array = field(init=False)
    answered: Array = field(init=False)
    status: Array = field(init=False)

    def __post_init__(self) -> None:
        self.sent, self.answered = np.full(len(self.planned), np.inf), np.full(len(self.planned), np.inf)
        self.status = np.full(len(self.planned), BROKEN)

    @property
    def is_accepted(self) -> Array:
        """Which were answered with success."""
        return (self.status >= 200) & (self.status < 300)

    def latencies(self, chosen: Array | None = None, since: Array | None = None) -> Array:
        """Seconds from plan to answer of the accepted ones; ``chosen`` is a mask, ``since`` are other times to count from."""
        mask = self.is_accepted if chosen is None else self.is_accepted & chosen
        return (self.answered - (self.planned if since is None else since))[mask]

    def lateness(self) -> Array:
        """Seconds from plan to sending."""
        return (self.sent - self.planned)[np.isfinite(self.sent)]


def arrivals(rate: float, seconds: float, seed: int) -> Array:
    """Planned times of independent clients: a Poisson process."""
    generator = np.random.default_rng(seed)
    gaps = generator.exponential(1 / rate, size=int(rate * seconds))
    return np.cumsum(gaps)


def offer(host: str, port: int, request: bytes, planned: Array) -> Answers:
    """Send the request at each planned time."""
    return uvloop.run(_Client(host, port, request, planned).run())


def saturate(host: str, port: int, request: bytes, connections: int, seconds: float) -> float:
    """Accepted answers per second when so many clients ask again as soon as they are answered."""
    return uvloop.run(_saturate(host, port, request, connections, seconds))


async def _saturate(host: str, port: int, request: bytes, connections: int, seconds: float) -> float:
    client = _Client(host, port, request, np.zeros(0))
    client.is_endless = True
    for _ in range(connections):
        await client.open()
    client.start()
    await asyncio.sleep(seconds / 4)  # the first requests load what is needed
    before = client.accepted
    await asyncio.sleep(seconds)
    counted = client.accepted - before
    client.close()
    return counted / seconds


class _Client:
    """Connections that are used again, the last one first; for one event loop."""

    is_endless = False
    """Whether each connection asks again as soon as it is answered."""

    def __init__(self, host: str, port: int, request: bytes, planned: Array) -> None:
        self._address = host, port
        self._request = request
        self._answers = Answers(planned)
        self._free: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._opening = 0
        self._waiting: list[int] = []
        self._began = 0.0
        self._open_requests = len(planned)
        self._is_done = asyncio.Event()
        self.accepted = 0

    async def run(self) -> Answers:
        """Send everything, and wait for the last answers."""
        openings: set[asyncio.Task[None]] = set()
        self._began = time.perf_counter()
        for number, planned in enumerate(self._answers.planned.tolist()):
            while time.perf_counter() - self._began < planned:
                await asyncio.sleep(0)  # a timer would be a millisecond late
            if not self._use_free(number):
                self._waiting.append(number)
                if len(self._all) + self._opening < CONNECTIONS:
                    self._opening += 1
                    openings.add(asyncio.create_task(self._open_one_more()))
        if self._open_requests:
            await asyncio.wait([asyncio.create_task(self._is_done.wait())], timeout=LAST_ANSWERS_SECONDS)
        self.close()
        return self._answers

    async def open(self) -> None:
        """One more connection."""
        protocol = (await asyncio.get_running_loop().create_connection(lambda: _Connection(self), *self._address))[1]
        self._all.add(cast(_Connection, protocol))
        self.release(cast(_Connection, protocol))

    def start(self) -> None:
        """Let every connection ask."""
        while self._free:
            self._free.pop().ask(0, self._request)

    def close(self) -> None:
        """End all connections."""
        for connection in list(self._all):
            connection.transport.abort()

    def release(self, connection: "_Connection") -> None:
        """A connection has nothing to do."""
        if self._waiting:
            self._send(connection, self._waiting.pop(0))
        else:
            connection.idle_since = time.perf_counter()
            self._free.append(connection)

    def take(self, connection: "_Connection", number: int, status: int) -> None:
        """An answer has come."""
        self.accepted += 200 <= status < 300
        if self.is_endless:
            connection.ask(0, self._request)
            return
        self._note(number, status)
        self.release(connection)

    def lose(self, connection: "_Connection", number: int | None) -> None:
        """A connection was closed; ``number`` is the request on it."""
        self._all.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if number is not None and not self.is_endless:
            self._note(number, BROKEN)

    async def _open_one_more(self) -> None:
        try:
            await self.open()
        finally:
            self._opening -= 1

    def _use_free(self, number: int) -> bool:
        while self._free:
            connection = self._free.pop()
            if time.perf_counter() - connection.idle_since < IDLE_SECONDS:
                self._send(connection, number)
                return True
            connection.transport.abort()
        return False

    def _send(self, connection: "_Connection", number: int) -> None:
        self._answers.sent[number] = time.perf_counter() - self._began
        connection.ask(number, self._request)

    def _note(self, number: int, status: int) -> None:
        self._answers.answered[number] = time.perf_counter() - self._began
        self._answers.status[number] = status
        self._open_requests -= 1
        if not self._open_requests:
            self._is_done.set()


class _Connection(asyncio.Protocol):
    """One request after the other."""

    transport: asyncio.Transport

    def __init__(self, client: _Client) -> None:
        self._client = client
        self._number: int | None = None
        self._answer = bytearray()
        self._length: int | None = None
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, number: int, request: bytes) -> None:
        """Send a request."""
        self._number, self._answer, self._length = number, bytearray(), None
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if self._length is None:
            self._length = _length_of(self._answer)
        if self._length is not None and len(self._answer) >= self._length and self._number is not None:
            number, self._number = self._number, None
            self._client.take(self, number, int(self._answer[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.lose(self, self._number)


def _length_of(answer: bytearray) -> int | None:
    """Bytes of head and body together; None while the head has not come."""
    end = answer.find(b"\r\n\r\n")
    declared = _LENGTH.search(answer, 0, end) if end > 0 else None
    return end + 4 + int(declared[1]) if declared else None
