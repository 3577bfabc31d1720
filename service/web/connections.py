"""Bounds what connections may cost: how long a client may take to send a request or to take an answer, and how many there are.

uvicorn only closes what is idle between two requests. A client that never sends its first byte, or the last one of a head or
body, or takes no answer, would hold its connection for ever. And its faster parser keeps a header, or what follows the last part
of a body, for as long as it goes on.
"""

from asyncio import Transport
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

from prometheus_client import Counter
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

BODY_BYTES_PER_SECOND = 8 * 1024
"""A body may take a second longer for each of these that have come: large ones take their time on slow lines."""
ENDED = Counter("fitserve_connections_ended", "Connections that were ended, by what was waited for in vain.", ["reason"])
BUSY, IDLE = -2.0, -1.0
"""How late a client is that is answered at this moment, or that may or may not send another request."""

Phase = tuple[Literal["head", "body"], int]
"""What is waited for, and of which request on this connection."""


@dataclass(frozen=True)
class ConnectionLimits:
    """What connections may cost one process."""

    head_seconds: float = 10
    body_seconds: float = 30
    answer_seconds: float = 60
    head_bytes: int = 64 * 1024
    connections: int = 800


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's HTTP protocol for one connection, which is ended when its client lets it wait."""

    limits = ConnectionLimits()
    """Set by the subclass that ``bounded`` makes."""
    is_reading = False
    """Whether a request has begun to come, and has not ended; what answers without ``on_message_complete`` resets it."""
    _is_in_body = False
    _requests = 0
    _body_bytes = 0
    _endless_bytes = 0
    """Bytes in a row that have brought the request no further: neither to the end of its head nor to more of its body."""
    _phase: Phase | None = None
    _waited_seconds = 0.0
    _unsent_bytes = 0
    _stuck_seconds = 0.0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client has come; where there are too many, one that is not answered at this moment goes, or else this one."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections and not _make_room(cast(Iterable[Any], self.connections), self):
            ENDED.labels("full").inc()
            self._refuse(503, "Too many clients are connected. Try again in a moment.", b"retry-after: 1\r\n")

    def on_message_begin(self) -> None:
        """The first byte of a request has been read."""
        self.is_reading, self._is_in_body = True, False
        self._requests += 1
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has been read, or a trailer, of which nothing is kept (RFC 9110, 6.5.1)."""
        if not self._is_in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head of a request has been read."""
        self._is_in_body, self._body_bytes = True, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body has been read."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request has been read."""
        self.is_reading = False
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        place = self._place()
        super().data_received(data)
        self._endless_bytes = self._endless_bytes + len(data) if self._place() == place else 0
        if self._endless_bytes > self.limits.head_bytes:
            self._end(431, f"The address and the headers are over the limit of {self.limits.head_bytes} bytes.")

    def _place(self) -> tuple[int, bool, int, bool]:
        return self._requests, self._is_in_body, self._body_bytes, self.is_reading

    def look(self, seconds: float) -> None:
        """End this connection if its client is late; to be called again and again, ``seconds`` after the last time."""
        self._look_at_answer(seconds)
        phase = self._awaited()
        if phase is None or self.transport.is_closing() or self.flow.read_paused:  # it is we who read no further then
            return
        self._waited_seconds = self._waited_seconds + seconds if phase == self._phase else 0
        self._phase = phase
        if self._waited_seconds >= self._allowed_seconds():
            ENDED.labels(phase[0]).inc()
            self._end(408, "The request did not come to its end in time.")

    @property
    def lateness(self) -> float:
        """Which part of its time the client has used up; ``IDLE`` or ``BUSY`` where it is not waited for."""
        phase = self._awaited()
        if phase is not None and not self.transport.is_closing():
            return self._waited_seconds / self._allowed_seconds() if phase == self._phase else 0
        return BUSY if self.timeout_keep_alive_task is None or self.transport.is_closing() else IDLE

    def _awaited(self) -> Phase | None:
        """What the client has to send now; None while it is answered, or idle between two requests."""
        if self.is_reading and self._is_in_body:
            return "body", self._requests
        is_answered = self.cycle is None or self.cycle.response_complete
        is_idle = not self.is_reading and self.timeout_keep_alive_task is not None  # uvicorn ends it then
        return ("head", self._requests) if is_answered and not is_idle else None

    def _allowed_seconds(self) -> float:
        if not self._is_in_body or not self.is_reading:
            return self.limits.head_seconds
        return self.limits.body_seconds + self._body_bytes / BODY_BYTES_PER_SECOND

    def _look_at_answer(self, seconds: float) -> None:
        unsent = self.transport.get_write_buffer_size()
        is_stuck = unsent > 0 and unsent == self._unsent_bytes
        self._stuck_seconds = self._stuck_seconds + seconds if is_stuck else 0
        self._unsent_bytes = unsent
        if self._stuck_seconds >= self.limits.answer_seconds:
            ENDED.labels("answer").inc()
            self.transport.abort()

    @property
    def _has_answer(self) -> bool:
        """Whether the answer to what is being read has begun."""
        return self._is_in_body and self.cycle.response_started

    def _end(self, status: int, message: str) -> None:
        if self.is_reading and not self._has_answer:
            self._refuse(status, message)
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str, more: bytes = b"") -> None:
        head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n" % len(message)
        self.transport.write(STATUS_LINE[status] + head + more + b"\r\n" + message.encode())
        self.transport.close()


def _make_room(connections: Iterable[BoundedConnection], newcomer: BoundedConnection) -> bool:
    """End the connection whose client is latest, or an idle one; false where all others are busy."""
    others = (connection for connection in connections if connection is not newcomer)
    latest = max(others, key=lambda connection: connection.lateness, default=newcomer)
    if latest is newcomer or latest.lateness == BUSY:
        return False
    ENDED.labels("room").inc()
    latest.transport.close()
    return True


def bounded(protocol: type[BoundedConnection], limits: ConnectionLimits) -> type[BoundedConnection]:
    """The protocol with these limits."""
    return type(protocol.__name__, (protocol,), {"limits": limits})
